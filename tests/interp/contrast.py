"""How well text stands out on a page in a browser, by the rule of WCAG 2.1."""

from typing import Any

from tests.interp.browser import Browser

LEAST, LEAST_LARGE = 4.5, 3.0
LARGE, LARGE_BOLD = 24.0, 18.66  # pixels

_SCRIPT = """(async () => {
const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
function color(text) {  // any colour that CSS knows, as red, green, blue and opacity
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
function luminance(rgb) {
  const [r, g, b] = rgb.map(each => each / 255).map(
    each => each <= .03928 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
}
function ratio(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + .05) / (low + .05);
}
function behind(element) {  // what HTML elements paint behind their text
  const layers = [];
  for (let each = element; each; each = each.parentElement)
    layers.push(color(getComputedStyle(each).backgroundColor));
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
}
const images = new Map();
async function pixels(image) {  // a heat map, which plotly draws as an image
  if (!images.has(image)) {
    const loaded = new Image();
    loaded.src = image.href.baseVal;
    await loaded.decode();
    const canvas = document.createElement('canvas');
    canvas.width = loaded.width; canvas.height = loaded.height;
    const own = canvas.getContext('2d', {willReadFrequently: true});
    own.drawImage(loaded, 0, 0);
    images.set(image, own);
  }
  return images.get(image);
}
async function behindMark(text, box) {  // what a figure paints behind its text
  let found = behind(text.closest('.plotly-graph-div'));
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  for (const image of text.closest('svg').querySelectorAll('.heatmaplayer image')) {
    const place = image.getBoundingClientRect();
    if (x < place.left || x > place.right || y < place.top || y > place.bottom) continue;
    const own = await pixels(image), {width, height} = own.canvas;
    const [r, g, b, a] = own.getImageData(
      Math.min(width - 1, (x - place.left) / place.width * width),
      Math.min(height - 1, (y - place.top) / place.height * height), 1, 1).data;
    found = over([r, g, b, a / 255], found);
  }
  return found;
}
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement, style = getComputedStyle(element);
  if (!node.textContent.trim() || style.visibility == 'hidden') continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const box = range.getBoundingClientRect();
  if (!box.width || !box.height) continue;
  const isMark = element instanceof SVGElement;
  const ink = color(isMark ? style.fill : style.color);
  let opacity = isMark ? Number(style.fillOpacity) : 1;
  for (let each = element; each; each = each.parentElement)
    opacity *= Number(getComputedStyle(each).opacity);
  const below = isMark ? await behindMark(element, box) : behind(element);
  found.push({
    text: node.textContent.trim().slice(0, 60), figure: element.closest('figure') ?
      element.closest('figure').querySelector('.plotly-graph-div').id : '',
    ratio: ratio(over([...ink.slice(0, 3), ink[3] * opacity], below), below),
    size: parseFloat(style.fontSize), bold: Number(style.fontWeight) >= 700});
}
return found;
})()"""


def texts_of(browser: Browser) -> list[dict[str, Any]]:
    """Every text that the page shows, with its contrast against what is behind it."""
    return browser.evaluate(_SCRIPT)


def too_faint(texts: list[dict[str, Any]]) -> list[str]:
    """The texts whose contrast is too low for their size, in words."""
    found = []
    for each in texts:
        is_large = each["size"] >= (LARGE_BOLD if each["bold"] else LARGE)
        if each["ratio"] < (LEAST_LARGE if is_large else LEAST):
            found.append(f"{each['ratio']:.2f}: {each['figure']} {each['text']!r}")
    return found
