"""Reports of all analyses, of a sweep and of runs side by side in a real browser, at any width."""

import csv
import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interp.report.compare_page import compare_html
from interp.report.page import report_html
from tests.interp.browser import Browser, chromium
from tests.interp.contrast import texts_of, too_faint
from tests.interp.drawn_pages import needs_chromium
from training.runs.run import Run

pytest.importorskip("websocket")
pytestmark = [pytest.mark.slow, needs_chromium]

ROOT = Path(__file__).parents[3]
DEMO = Path(os.environ.get("IML_DEMO_RUN", ROOT / "runs" / "alias-toy"))
WIDTHS = (400, 1100, 1600)
LARGEST, SLOWEST = 12 * 2**20, 2000  # bytes of a page; milliseconds to its first paint
ANALYSES = """
import sys
from interp.cli import main
for words in (
    "lens --stage 1", "lens --stage 2", "probe --quick --stage 2 --layer 1 --site resid_post",
    "patch --stage 2 --limit 4 --confidence 0 --site attn_out --site z", "attention --stage 2",
    "ablate --stage 2 --layer 1 --seed 1000", "transplant --stage 2 --differences",
    "erase --stage 2 --layer 1 --site resid_post --seed 1000",
    "align --stage 2 --limit 4",
):
    name, *options = words.split()
    assert main([name, sys.argv[1], *options, "--workers", "1"]) == 0, words
"""
"""Made by a process of its own, as in this one the types of every call are checked."""
TITLES = {"Probes", "Lenses", "Patching", "Attention", "Ablations and knock-outs"} | {
    "Erasing the tag", "Transplants", "Weight differences", "Gradient alignment"
}  # fmt: skip


@pytest.fixture(scope="session")
def analysed(tiny_run: Run, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A copy of the tiny run with the tables of every analysis, of small settings."""

    def make(folder: Path) -> None:
        shutil.copytree(tiny_run.folder, folder / "run")
        command = [sys.executable, "-c", ANALYSES, str(folder / "run")]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    return made_once("analysed", make) / "run"


@pytest.fixture(scope="session", params=["tiny", "compared", "demo"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of each kind as a file; that of a whole run where there is one."""
    path = tmp_path_factory.mktemp("page") / f"{request.param}.html"
    if request.param == "demo":
        if not (DEMO / "run.json").exists():
            pytest.skip("no run of the demo; name one in IML_DEMO_RUN")
        html = report_html(Run.load(DEMO))
    else:
        run = Run.load(request.getfixturevalue("analysed"))
        assert run.null is not None
        if request.param == "compared":
            html = compare_html([run, run.null], path.name)
        else:
            html = report_html(run)
    path.write_text(html)
    return path


@pytest.fixture(scope="module", params=WIDTHS)
def browser(
    request: pytest.FixtureRequest, page: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder, width=request.param, height=900) as browser:
        size = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.call("Emulation.setDeviceMetricsOverride", **size)
        browser.call("Page.navigate", url=page.as_uri())
        browser.wait("document.readyState == 'complete'", what="the page")
        yield browser


def unfold(browser: Browser) -> None:
    """Unfolds everything and scrolls through it, so that every figure comes into view."""
    browser.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = true; })")
    browser.evaluate("""(async () => {
        for (let y = 0; y < document.documentElement.scrollHeight; y += 500) {
            scrollTo(0, y);
            await new Promise(resolve => setTimeout(resolve, 60));
        }
        scrollTo(0, 0);
    })()""")
    drawn = "[...document.querySelectorAll('.plotly-graph-div')].every(d => d._fullLayout)"
    browser.wait(drawn, what="every figure drawn")


def too_wide(browser: Browser) -> list[str]:
    """What makes a page wider than its window: elements beyond it that no box scrolls."""
    return browser.evaluate("""[...document.querySelectorAll('body *')].filter(each =>
        each.getBoundingClientRect().right > document.documentElement.clientWidth + 1
        && !each.closest('.scroll, .plot')).map(each => each.outerHTML.slice(0, 120))""")


def downloaded(folder: Path, name: str) -> bytes:
    """The content of a file as soon as the browser has saved it."""
    end = time.monotonic() + 60
    while not (folder / name).exists():
        assert time.monotonic() < end, f"{name} was not saved"
        time.sleep(0.05)
    return (folder / name).read_bytes()


def test_a_page_is_small_and_soon_painted(browser: Browser, page: Path):
    painted = browser.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )

    assert page.stat().st_size <= LARGEST
    assert painted <= SLOWEST


def test_every_section_is_in_the_contents_which_stay_in_view(browser: Browser, page: Path):
    linked = browser.evaluate("[...document.querySelectorAll('nav a')].map(a => a.textContent)")
    headings = browser.evaluate("[...document.querySelectorAll('h2')].map(h => h.textContent)")
    assert linked == ["Result", *headings]
    if page.name == "tiny.html":
        assert set(headings) >= TITLES

    links = "document.querySelectorAll('nav a')"
    browser.evaluate(f"{links}[3].click()")
    browser.wait(f"{links}[3].hasAttribute('aria-current')", what="marking the section")
    top, bar, current = browser.evaluate(f"""[
        document.querySelector({links}[3].hash).getBoundingClientRect().top,
        document.querySelector('nav').getBoundingClientRect().top,
        document.querySelectorAll('nav [aria-current]').length]""")
    browser.evaluate("history.replaceState(null, '', ' '); scrollTo(0, 0)")

    assert 0 <= top < 200
    assert bar == 0
    assert current == 1


def test_what_is_folded_says_what_it_holds(browser: Browser):
    words = browser.evaluate(
        "[...document.querySelectorAll('main summary')].map(s => s.textContent)"
    )

    assert len(words) > 3
    assert all(len(each.strip()) > 8 for each in words)


def test_folded_and_unfolded_nothing_is_wider_than_the_page(browser: Browser):
    browser.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = false; })")
    assert too_wide(browser) == []
    unfold(browser)
    assert too_wide(browser) == []
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_figures_that_were_folded_are_as_wide_as_their_place(browser: Browser):
    unfold(browser)
    widths = browser.evaluate("""[...document.querySelectorAll('.plotly-graph-div')].map(
        div => [div.id, div.clientWidth, div.querySelector('.main-svg').clientWidth])""")

    assert len(widths) > 3
    assert [each for each in widths if abs(each[1] - each[2]) > 2 or each[1] < 350] == []


def test_text_stands_out_in_sentences_tables_and_figures(browser: Browser):
    unfold(browser)
    texts = texts_of(browser)

    assert len([each for each in texts if each["figure"]]) > 50
    assert too_faint(texts) == []


def test_figures_and_tables_have_names_and_headings(browser: Browser):
    unnamed = browser.evaluate("""[
        ...[...document.querySelectorAll('.plotly-graph-div')].filter(
            div => div.role != 'img' || div.ariaLabel.length < 10),
        ...[...document.querySelectorAll('table')].filter(
            table => !table.caption.textContent || !table.parentElement.ariaLabel),
        ...[...document.querySelectorAll('th')].filter(th => !th.scope || !th.textContent.trim()),
        ...[...document.querySelectorAll('section')].filter(section => !section.ariaLabel),
    ].map(each => each.outerHTML.slice(0, 200))""")

    assert unnamed == []
    assert browser.evaluate("document.querySelectorAll('main, nav[aria-label]').length") == 2
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(set(ids)) == len(ids)


def test_the_keyboard_first_reaches_a_link_past_the_contents(browser: Browser):
    browser.call("Page.reload")
    browser.wait("document.readyState == 'complete'", what="the page")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab",
                     windowsVirtualKeyCode=9)  # fmt: skip
    words, left, outline = browser.evaluate("""[
        document.activeElement.textContent, document.activeElement.getBoundingClientRect().left,
        getComputedStyle(document.activeElement).outlineWidth]""")
    browser.evaluate("document.activeElement.blur()")

    assert words == "Skip to the result"
    assert left >= 0
    assert outline == "3px"


def test_tables_and_figures_are_saved_from_the_page_itself(browser: Browser):
    unfold(browser)
    n_tables, n_figures = browser.evaluate("""[document.querySelectorAll('table').length,
        document.querySelectorAll('.plotly-graph-div').length]""")
    labels = browser.evaluate(
        "[...document.querySelectorAll('.save button')].map(b => b.ariaLabel)"
    )
    assert len(labels) == n_tables + 2 * n_figures

    shown = browser.evaluate("""[...document.querySelector('table').rows].map(
        row => [...row.cells].map(cell => cell.textContent.replace(/\\s+/g, ' ').trim()))""")
    name = browser.evaluate("""(() => {
        document.querySelector('.scroll + .save button').click();
        return document.querySelector('caption').textContent;
    })()""")
    figure = browser.evaluate("""(() => {
        document.querySelectorAll('.plot + .save')[0].querySelectorAll('button').forEach(
            button => button.click());
        return document.querySelector('.plotly-graph-div').id;
    })()""")
    slug = "-".join(filter(None, "".join(c if c.isalnum() else " " for c in name.lower()).split()))
    content = downloaded(browser.downloads, f"{slug}.csv").decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(content))) == shown
    assert downloaded(browser.downloads, f"{figure}.svg").startswith(b"<svg")
    assert downloaded(browser.downloads, f"{figure}.png").startswith(b"\x89PNG")


def test_what_is_printed_is_unfolded_and_drawn(browser: Browser):
    browser.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = false; })")
    browser.evaluate("""addEventListener('beforeprint', () => setTimeout(() => {
        window.printed = [document.querySelectorAll('main details:not([open])').length,
            document.querySelectorAll('.plotly-graph-div:not(.js-plotly-plot)').length]; }))""")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    found = browser.wait("window.printed", what="printing")
    browser.evaluate("dispatchEvent(new Event('afterprint'))")

    assert found == [0, 0]
    assert browser.evaluate("document.querySelectorAll('main details[open]').length") == 0


def test_no_script_failed_and_nothing_was_asked_of_another_place(browser: Browser, page: Path):
    assert browser.errors == []
    others = {url for url in browser.requested if not url.startswith(("data:", "blob:"))}
    assert others == {page.as_uri()}


def test_without_scripts_sentences_tables_and_what_figures_show_are_there(
    browser: Browser,
):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.call("Page.reload")
    time.sleep(1)
    tree = browser.call("DOMSnapshot.captureSnapshot", computedStyles=[])
    said = "\n".join(tree["strings"])
    browser.call("Emulation.setScriptExecutionDisabled", value=False)

    assert "[figure] " in said
    assert "95% t interval" in said
