"""No text of any figure is cut or stands on another, as a browser draws it."""

import json
import re
from html import unescape
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from tests.interp.drawn_pages import drawn, needs_chromium
from tests.interp.every_figure import FIGURES, LONG_FIGURES

WIDTHS = (1044, 1320)
"""Of a figure in a report in windows of 1,100 and of 1,600 pixels."""
HALVES = {"plot_curves": (512, 650)}
"""Of those that stand two beside each other."""
SCRIPT = """
function corners(element) {
  const box = element.getBBox(), m = element.getScreenCTM(), inset = 1.5;
  const x0 = box.x + inset, x1 = box.x + Math.max(box.width - inset, inset);
  const y0 = box.y + inset, y1 = box.y + Math.max(box.height - inset, inset);
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(
    ([x, y]) => [m.a * x + m.c * y + m.e, m.b * x + m.d * y + m.f]);
}
function areApart(one, other) {  // whether a side of the first has the second beyond it
  return one.some((point, i) => {
    const next = one[(i + 1) % 4], normal = [point[1] - next[1], next[0] - point[0]];
    const along = shape => shape.map(p => p[0] * normal[0] + p[1] * normal[1]);
    const a = along(one), b = along(other);
    return Math.max(...a) <= Math.min(...b) || Math.max(...b) <= Math.min(...a);
  });
}
function isSeen(text) {
  let opacity = 1;
  for (let e = text; e && e.style; e = e.parentNode) opacity *= getComputedStyle(e).opacity;
  return opacity > 0.05 && text.textContent.trim() && text.getBoundingClientRect().width > 0;
}
async function lookAt(name, figure, width) {
  const place = document.createElement("div"), found = [];
  place.style.width = `${width}px`;
  place.style.height = `${figure.layout.height}px`;
  document.body.append(place);
  await Plotly.newPlot(place, figure.data, {...figure.layout, width}, {displayModeBar: false});
  const frame = place.getBoundingClientRect();
  const texts = [...place.querySelectorAll("text")].filter(isSeen);
  const shapes = texts.map(corners);
  texts.forEach((text, i) => {
    if (shapes[i].some(([x, y]) => x < frame.left || x > frame.right || y < frame.top ||
        y > frame.bottom)) found.push(`${name} at ${width}: cut: ${text.textContent}`);
    for (let j = 0; j < i; j++)
      if (!areApart(shapes[i], shapes[j]) && !areApart(shapes[j], shapes[i]))
        found.push(`${name} at ${width}: ${text.textContent} on ${texts[j].textContent}`);
  });
  place.remove();
  return found;
}
(async () => {
  const found = [];
  for (const [name, figure, widths] of FIGURES)
    for (const width of widths) found.push(...await lookAt(name, figure, width));
  const told = document.createElement("pre");
  told.id = "found";
  told.textContent = JSON.stringify(found);
  document.body.append(told);
})();
"""


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("figures", [FIGURES, LONG_FIGURES], ids=["usual", "long"])
def test_no_text_is_cut_or_stands_on_another(figures: dict, tmp_path: Path):
    listed = [
        [name, json.loads(make().to_json()), HALVES.get(name, WIDTHS)]
        for name, make in figures.items()
    ]
    data = json.dumps(listed).replace("</", "<\\/")
    scripts = [get_plotlyjs(), f"const FIGURES = {data};\n{SCRIPT}"]
    page = "".join(f"<script>{each}</script>" for each in scripts)
    shown = drawn(f'<meta charset="utf-8"><body style="margin: 0">{page}', tmp_path, width=1400)

    (found,) = re.findall(r'<pre id="found">(.*?)</pre>', shown, re.S)
    assert json.loads(unescape(found)) == []
