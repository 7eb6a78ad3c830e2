"""The script of every page: draws figures as they come into view, saves them and tables as files.

It asks no network for anything. Without it sentences and tables are there all the same, and folds
still unfold.
"""

SCRIPT = """
(() => {
const $ = (selector, from = document) => [...from.querySelectorAll(selector)];
const plots = $('.plotly-graph-div'), drawn = new Map();

function draw(div) {
  if (!drawn.has(div)) {
    const {data, layout} = JSON.parse(div.closest('figure').querySelector('script').textContent);
    const config = {responsive: true, displaylogo: false, showSendToCloud: false,
                    toImageButtonOptions: {filename: div.id}};
    drawn.set(div, Plotly.newPlot(div, data, layout, config));
  }
  return drawn.get(div);
}
const resize = from => $('.js-plotly-plot', from)
  .filter(div => div.offsetParent).forEach(div => Plotly.Plots.resize(div));
const near = new IntersectionObserver(
  seen => seen.filter(each => each.isIntersecting).forEach(each => draw(each.target)),
  {rootMargin: '600px'});
plots.forEach(div => near.observe(div));
document.addEventListener('toggle', event => resize(event.target), true);

function button(text, label, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.setAttribute('aria-label', label);
  made.addEventListener('click', () => act());
  return made;
}
function bar(after, ...buttons) {
  const made = document.createElement('div');
  made.className = 'save';
  made.append('save as', ...buttons);
  after.after(made);
}
function save(name, text, type) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function words(cell) {
  const copy = cell.cloneNode(true);
  $('br', copy).forEach(each => each.replaceWith(' '));
  return copy.textContent.replace(/\\s+/g, ' ').trim();
}
const quoted = text => /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
const csv = table => '\\ufeff' + [...table.rows].map(  // the mark tells Excel that it is UTF-8
  row => [...row.cells].map(cell => quoted(words(cell))).join(',') + '\\r\\n').join('');
const slug = text => text.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');

let saved = Promise.resolve();  // plotly saves one image at a time
for (const div of plots) {
  const image = format => button(
    format.toUpperCase(), `Save the figure ${div.id} as ${format.toUpperCase()}`,
    () => { saved = saved.then(() => draw(div)).then(() => Plotly.downloadImage(div, {
      format, filename: div.id, width: div.offsetWidth, height: div.offsetHeight,
      scale: format == 'png' ? 2 : 1})); });
  bar(div.parentElement, image('svg'), image('png'));
}
for (const box of $('.scroll')) {
  const table = box.querySelector('table'), name = table.caption?.textContent ?? 'table';
  bar(box, button('CSV', `Save the table ${name} as CSV`,
                  () => save(`${slug(name)}.csv`, csv(table), 'text/csv')));
}

const contents = document.querySelector('nav details');
const isWide = () => getComputedStyle(contents.querySelector('summary')).display == 'none';
const fold = () => { contents.open = isWide(); };
addEventListener('resize', () => { if (isWide()) contents.open = true; });
const links = $('nav a').map(link => [link, document.querySelector(link.hash)]);
function mark() {
  let current = links[0];
  for (const link of links) if (link[1].getBoundingClientRect().top < 160) current = link;
  const end = document.documentElement;
  if (end.scrollTop > 0 && end.scrollTop + end.clientHeight > end.scrollHeight - 4)
    current = links.at(-1);
  for (const [link] of links) link.removeAttribute('aria-current');
  current[0].setAttribute('aria-current', 'true');
  document.querySelector('nav summary span').textContent = current[0].textContent;
}
let waiting = false;
addEventListener('scroll', () => {
  if (!waiting) requestAnimationFrame(() => { waiting = false; mark(); });
  waiting = true;
}, {passive: true});
for (const [link] of links) link.addEventListener('click', fold);

const folds = $('main details');
const all = button('Unfold all', 'Unfold or fold all of the page', () => {
  const open = folds.some(each => !each.open);
  folds.forEach(each => { each.open = open; });
  all.textContent = open ? 'Fold all' : 'Unfold all';
});
const last = document.createElement('li');
last.append(all);
contents.querySelector('ol').append(last);
function arrive() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let fold = target.closest('main details'); fold;
       fold = fold.parentElement.closest('main details')) fold.open = true;
  target.scrollIntoView();
}
addEventListener('hashchange', arrive);

let folded = [];
addEventListener('beforeprint', () => {
  document.documentElement.classList.add('printed');
  folded = folds.filter(each => !each.open);
  folds.forEach(each => { each.open = true; });
  plots.forEach(draw);
  resize(document);
});
addEventListener('afterprint', () => {
  document.documentElement.classList.remove('printed');
  folded.forEach(each => { each.open = false; });
  resize(document);
});
if (links.length) mark();
if (location.hash) arrive();
})();
"""
