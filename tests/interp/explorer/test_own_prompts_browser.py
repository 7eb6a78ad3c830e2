"""The board of a pretrained model in a real browser: how quick it is, and how it looks."""

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interp.browser import Browser
from tests.interp.explorer.jupyter_browser import (
    GRID,
    MISPLACED,
    choose,
    failures,
    grid_cell,
    in_browser,
    notebook_in_browser,
    wait_for_figures,
)

ROOT = Path(__file__).parents[3]
MODEL = ROOT.parent / "shared" / "data" / "models" / "tinystories-656k"
pytestmark = [
    *in_browser,
    pytest.mark.skipif(not MODEL.is_dir(), reason="the pretrained model is not here"),
]
CODE = f"""from interp import explore, load_hooked_folder, prompt_pairs
model = load_hooked_folder({str(MODEL)!r})
pairs = prompt_pairs(
    model,
    ["Lily went to the park with her", "Tim liked the dog. Tim hugged the"],
    ["Tim went to the park with his", "Tim liked the cat. Tim hugged the"],
    answers=["mom", "dog"], corrupted_answers=["dad", "cat"], roles={{"who": ["Lily", (0, 3)]}},
)
explore(model, pairs)"""
SECONDS, REPEATS = 0.5, 8
"""What the quickest of some updates may take; all of them on a machine that does nothing else."""
ANSWERS = "document.querySelector('[data-panel=answers]')"
STOPWATCH = """(() => {
    window.times = [];
    let start = null;
    const begin = () => { start = performance.now(); };
    document.addEventListener('mouseup', begin, true);
    document.addEventListener('change', begin, true);
    document.querySelector('[data-figure=answers]').on('plotly_afterplot', () => {
        if (start != null) window.times.push((performance.now() - start) / 1000);
        start = null;
    });
    return true;
})()"""
"""From a click, or a menu's choice, until the changed figure is drawn, in the browser's clock."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with notebook_in_browser(tmp_path_factory.mktemp("browser"), CODE) as browser:
        wait_for_figures(browser)
        yield browser


def test_an_update_takes_half_a_second(browser: Browser) -> None:
    browser.evaluate(STOPWATCH)
    taken: dict[str, list[float]] = {"click": [], "prompt": []}
    for number in range(REPEATS):
        for name in taken:
            if name == "click":
                browser.click(*grid_cell(browser, 2, 0))
            else:
                choose(browser, "prompt", (number + 1) % 2)
            taken[name].append(browser.wait("window.times.pop()", what=f"an update by {name}"))
    for name, seconds in taken.items():
        print(f"{name}: {min(seconds):.2f} s at best, {statistics.median(seconds):.2f} s median")
        assert min(seconds) <= SECONDS, (name, seconds)


@pytest.mark.parametrize("width", [400, 1100, 1600])
def test_nothing_is_cut_or_overlaps(browser: Browser, width: int) -> None:
    size = {"width": width, "height": 1500, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    room = "document.querySelector('[data-panel=grid]').parentElement.clientWidth"
    fits = f"{GRID}.clientWidth <= {room} && {GRID}.querySelector('svg').clientWidth <= {room}"
    try:
        browser.wait(f"({fits}) && {room} < {width}", what="figures that fit")
        browser.wait(f"{MISPLACED} == '[]' || (window.tries = (window.tries ?? 0) + 1) > 40",
                     what="a settled page")  # fmt: skip
        assert json.loads(browser.evaluate(MISPLACED)) == []
    finally:
        browser.evaluate("window.tries = 0")
        browser.call("Emulation.clearDeviceMetricsOverride")


def test_a_typed_prompt_is_answered(browser: Browser) -> None:
    texts = {"your prompt": "Tim went to the park with his", "its answer": "dog",
             "your corrupted": "", "and its answer": ""}  # fmt: skip
    for label, text in texts.items():
        browser.evaluate(f"""(() => {{
            const box = [...document.querySelectorAll('.widget-text')].find(
                box => box.querySelector('label').textContent == {json.dumps(label)});
            const field = box.querySelector('input');
            field.value = {json.dumps(text)};
            field.dispatchEvent(new Event('input', {{bubbles: true}}));
        }})()""")
        time.sleep(0.5)  # nobody types into four fields at once
    browser.evaluate(
        "[...document.querySelectorAll('button')].find(b => b.textContent == 'ask this').click()"
    )
    shown = "document.querySelector('.widget-html table')?.textContent"
    browser.wait(f"{shown}.includes('with his dog')", what="the typed prompt")
    grid = "document.querySelector('[data-panel=grid]').ariaLabel"
    browser.wait(f"{grid}.startsWith('Ablating each cell to its mean')", what="its grid")


def test_the_keyboard_changes_a_cell(browser: Browser) -> None:
    browser.evaluate(f"{GRID}.focus(), 1")
    for key in ("ArrowUp", "ArrowRight", "Enter"):
        browser.evaluate(
            f"{GRID}.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}}))"
        )
    said = "document.querySelector('[data-panel=grid] [aria-live]').textContent"
    assert browser.evaluate(said).startswith("stream before layer 0 at token 1 (")
    browser.wait(f"{ANSWERS}.textContent.includes('changed: stream before layer 0 at token 1')",
                 what="a change by the keyboard")  # fmt: skip


def test_no_script_failed(browser: Browser) -> None:
    assert failures(browser) == []
