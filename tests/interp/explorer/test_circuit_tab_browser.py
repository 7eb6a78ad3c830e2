"""The circuit tab in JupyterLab in a real browser: mouse, keyboard, a narrow window."""

import json
import statistics
import time
from collections.abc import Iterator

import pytest

from tests.interp.browser import Browser
from tests.interp.explorer.jupyter_browser import (
    MISPLACED,
    choose,
    failures,
    in_browser,
    notebook_in_browser,
    wait_for_figures,
)
from training.recipes import find_recipe
from training.runs.requests import RunRequest
from training.runs.runner import run_seeds

pytestmark = in_browser
PICTURE = "document.querySelector('[data-figure=picture]')"
WATCHED = "document.querySelector('[data-figure=watched]')"
AFTER = f"""JSON.stringify({WATCHED}.data.filter(t => t.legendgroup == 'after').map(t => t.y))"""
"""What is watched of all subsets without the ablated parts, by metric; `[]` if none is."""
PARTS = """[...document.querySelectorAll('.widget-dropdown')].find(
    box => box.querySelector('label').textContent == 'part').querySelector('select')"""
REPEATS, SECONDS = 6, 1.0
"""What the quickest of some updates may take, on a machine that does nothing else."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("circuit-tab")
    recipe = find_recipe("alias-toy")
    config = recipe(**{**recipe.smoke, "aliases_stage2": 24})  # halves of them can be tested
    run_seeds([RunRequest(config=config, folder=folder / "run", seeds=(1000,))], workers=1)
    code = (
        "from interp.explorer import explore\nfrom training.runs.run import Run\n"
        f"explore(Run.load({str(folder / 'run')!r}))"
    )
    with notebook_in_browser(tmp_path_factory.mktemp("browser"), code) as browser:
        wait_for_figures(browser)
        press(browser, ".widget-tab .lm-TabBar-tab", "circuit")
        browser.wait(f"{PICTURE}?.data && {WATCHED}?.data && true", what="the circuit tab")
        yield browser


@pytest.fixture(params=["units", "edges"])
def marks(browser: Browser, request: pytest.FixtureRequest) -> Iterator[str]:
    """The trace to click on, nothing ablated: of units, then of edges."""
    put_all_back(browser)
    choose_parts(browser, request.param)
    yield request.param
    put_all_back(browser)
    choose_parts(browser, "units")


def choose_parts(browser: Browser, parts: str) -> None:
    choose(browser, "parts are", int(parts == "edges"))
    is_there = f"trace => trace.meta == '{parts}' && trace.x.length"  # edges have an empty one
    browser.wait(f"{PICTURE}.data.some({is_there})", what=f"{parts} to click")


def press(browser: Browser, selector: str, words: str) -> None:
    """Clicks, as a person would, the element with these words."""
    found = browser.evaluate(f"""(() => {{
        const one = [...document.querySelectorAll({json.dumps(selector)})].find(
            each => each.textContent.trim() == {json.dumps(words)});
        one.scrollIntoView({{block: 'center'}});
        const box = one.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    }})()""")
    browser.click(*found)


def part_place(browser: Browser, number: int, marks: str = "units") -> tuple[float, float]:
    """Where a part of the picture is on the screen, by its number in its trace."""
    return tuple(
        browser.evaluate(f"""(() => {{
            const figure = {PICTURE};
            figure.scrollIntoView({{block: 'center'}});
            const box = figure.querySelector('.nsewdrag').getBoundingClientRect();
            const units = figure.data.find(trace => trace.meta == '{marks}');
            const {{xaxis, yaxis}} = figure._fullLayout;
            return [box.x + xaxis.l2p(units.x[{number}]), box.y + yaxis.l2p(units.y[{number}])];
        }})()""")
    )


def strike(browser: Browser, key: str) -> None:
    event = f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})"
    browser.evaluate(f"{PICTURE}.dispatchEvent({event})")


def largest(browser: Browser) -> int:
    sizes = browser.evaluate(f"{PICTURE}.data.find(trace => trace.meta == 'units').marker.size")
    return sizes.index(max(sizes))


def put_all_back(browser: Browser) -> None:
    if browser.evaluate(AFTER) != "[]":
        press(browser, "button", "put all back")
        browser.wait(f"{AFTER} == '[]'", what="everything put back")


def test_a_click_ablates_a_part_and_the_answers_move(browser: Browser) -> None:
    put_all_back(browser)
    before = f"JSON.stringify({WATCHED}.data.filter(t => t.legendgroup == 'before').map(t => t.y))"
    number = largest(browser)
    browser.click(*part_place(browser, number))
    browser.wait(f"{AFTER} != '[]'", what="answers without the part")
    assert browser.evaluate(AFTER) != browser.evaluate(before)
    higher = browser.evaluate(f"{WATCHED}.data.find(t => t.legendgroup == 'after').y[0]")
    assert f"{higher:.2f}" in browser.evaluate(f"{WATCHED}.textContent")
    assert browser.evaluate(f"{WATCHED}._fullLayout.xaxis.ticktext[0]") == "D5"
    note = "document.querySelector('[data-panel=watched]').textContent"
    assert "random choices of as many parts" in browser.evaluate(note)
    browser.click(*part_place(browser, number))
    browser.wait(f"{AFTER} == '[]'", what="the part put back")


def test_a_head_that_is_touched_shows_where_it_looks_and_what_it_writes(browser: Browser) -> None:
    put_all_back(browser)
    names = browser.evaluate(f"[...{PARTS}.options].map(option => option.textContent)")
    place = next(i for i, name in enumerate(names) if name.startswith("a0.h1@alias"))
    choose(browser, "part", place)
    attended = "document.querySelector('[data-figure=attended]')"
    written = "document.querySelector('[data-panel=written]').textContent"
    browser.wait(f"{written}.includes('layer 0, head 1 at the alias')", what="what it writes")
    browser.wait(f"{attended}.textContent.includes('layer 0, head 1')", what="its attention")
    assert browser.evaluate(f"{attended}.querySelectorAll('.heatmaplayer .hm').length") == 1
    press(browser, "button", "ablate or put back")
    browser.wait(f"{AFTER} != '[]'", what="an ablation by the menu")
    put_all_back(browser)


def test_another_ablation_gives_other_answers(browser: Browser) -> None:
    put_all_back(browser)
    browser.click(*part_place(browser, largest(browser)))
    browser.wait(f"{AFTER} != '[]'", what="an ablation")
    mean = browser.evaluate(AFTER)
    choose(browser, "ablates", 1)
    browser.wait(f"{AFTER} != {json.dumps(mean)}", what="ablation to zero")
    choose(browser, "ablates", 0)
    browser.wait(f"{AFTER} == {json.dumps(mean)}", what="ablation to the mean")


def test_the_keyboard_ablates_a_part(browser: Browser) -> None:
    put_all_back(browser)
    browser.evaluate(f"{PICTURE}.focus(), 1")
    for key in ("ArrowUp", "ArrowRight"):
        strike(browser, key)
    said = "document.querySelector('[data-panel=picture] [aria-live]').textContent"
    assert browser.evaluate(said).startswith("layer 0, head 0 at the alias; nats lost without it")
    strike(browser, "Enter")
    browser.wait(f"{AFTER} != '[]'", what="an ablation by the keyboard")
    note = "document.querySelector('[data-panel=watched]').textContent"
    assert "ablated: a0.h0@alias" in browser.evaluate(note)


def test_a_click_on_an_edge_ablates_it_and_the_answers_move(browser: Browser) -> None:
    put_all_back(browser)
    choose_parts(browser, "edges")
    names = browser.evaluate(f"{PICTURE}.layout.meta.cells.rows")
    before = f"JSON.stringify({WATCHED}.data.filter(t => t.legendgroup == 'before').map(t => t.y))"
    browser.click(*part_place(browser, 0, "edges"))
    browser.wait(f"{AFTER} != '[]'", what="answers without the edge")
    assert browser.evaluate(AFTER) != browser.evaluate(before)
    note = browser.evaluate("document.querySelector('[data-panel=watched]').textContent")
    assert f"ablated: {names[0]}; grey: " in note
    assert "of as many edges of the same layers and kinds" in note
    browser.evaluate(f"{PICTURE}.focus(), 1")
    for _ in range(3):  # down to the strongest, from wherever the walk among the units ended
        strike(browser, "ArrowDown")
    said = "document.querySelector('[data-panel=picture] [aria-live]').textContent"
    assert browser.evaluate(said).endswith("; ablated")
    strike(browser, "Enter")
    browser.wait(f"{AFTER} == '[]'", what="the edge put back by the keyboard")
    choose_parts(browser, "units")


def test_edges_are_found_by_their_names(browser: Browser) -> None:
    put_all_back(browser)
    choose_parts(browser, "edges")
    find(browser, ">logits")
    browser.wait(f"{PICTURE}.layout.meta.cells.rows.every(name => name.endsWith('>logits'))",
                 what="a picture of the edges into the logits")  # fmt: skip
    into_logits = f"[...{PARTS}.options].filter(each => each.textContent.includes('>logits'))"
    browser.wait(f"{PARTS}.options.length == {into_logits}.length", what="a menu of these alone")
    n = browser.evaluate(f"{PARTS}.options.length")
    assert n > 5
    find(browser, "")
    browser.wait(f"{PARTS}.options.length > {n}", what="all edges")
    choose_parts(browser, "units")


def find(browser: Browser, text: str) -> None:
    browser.evaluate(f"""(() => {{
        const box = [...document.querySelectorAll('.widget-text')].find(
            box => box.querySelector('label').textContent == 'find parts');
        const field = box.querySelector('input');
        field.value = {json.dumps(text)};
        for (const event of ['input', 'change']) {{
            field.dispatchEvent(new Event(event, {{bubbles: true}}));
        }}
    }})()""")


def test_an_update_takes_a_second(browser: Browser, marks: str) -> None:
    number, taken = largest(browser) if marks == "units" else 0, []
    for _ in range(REPEATS):
        before, place = browser.evaluate(AFTER), part_place(browser, number, marks)
        browser.evaluate(f"""(() => {{
            const start = () => {{ window.start = performance.now(); window.took = null; }};
            document.addEventListener('mouseup', start, {{capture: true, once: true}});
            {WATCHED}.once('plotly_afterplot', () => {{
                window.took = (performance.now() - window.start) / 1000;
            }});
        }})()""")
        browser.click(*place)
        browser.wait(f"{AFTER} != {json.dumps(before)}", what="an update")
        taken.append(browser.wait("window.took", what="an update's time"))
        time.sleep(0.2)
    print(f"update of {marks}: {min(taken):.2f} s at best, {statistics.median(taken):.2f} s median")
    assert min(taken) <= SECONDS


@pytest.mark.parametrize("width", [400, 1100, 1600])
def test_nothing_is_cut_or_overlaps(browser: Browser, marks: str, width: int) -> None:
    size = {"width": width, "height": 1500, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    room = f"{PICTURE}.closest('[data-panel]').parentElement.clientWidth"
    drawn = f"{PICTURE}.querySelector('svg').clientWidth"
    try:
        browser.wait(
            f"Math.max({PICTURE}.clientWidth, {drawn}) <= {room} && {room} < {width}",
            what="figures that fit",
        )
        browser.wait(f"{MISPLACED} == '[]' || (window.tries = (window.tries ?? 0) + 1) > 40",
                     what="a settled page")  # fmt: skip
        assert json.loads(browser.evaluate(MISPLACED)) == []
    finally:
        browser.evaluate("window.tries = 0")
        browser.call("Emulation.clearDeviceMetricsOverride")


def test_the_other_tab_is_as_it_was(browser: Browser) -> None:
    press(browser, ".widget-tab .lm-TabBar-tab", "prompt")
    browser.wait("document.querySelector('[data-figure=grid]').clientWidth > 0", what="the grid")
    wait_for_figures_of_both(browser)
    press(browser, ".widget-tab .lm-TabBar-tab", "circuit")
    browser.wait(f"{PICTURE}.clientWidth > 0", what="the circuit again")


def wait_for_figures_of_both(browser: Browser) -> None:
    browser.wait(
        "[...document.querySelectorAll('[data-figure]')].filter(x => x.data).length == 9",
        what="5 and 4 figures",
    )


def test_nothing_was_asked_of_another_host_and_no_script_failed(browser: Browser) -> None:
    local = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")
    assert [url for url in browser.requested if not url.startswith(local)] == []
    assert failures(browser) == []
