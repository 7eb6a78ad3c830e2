"""The shell of every page: contents, sections that can be linked, plotly and the page's script."""

import re

from plotly.offline import get_plotlyjs

from interp.figures.markup import Html, as_html
from interp.figures.style import CSS, UNFOLDED
from interp.report.script import SCRIPT

WITHOUT_SCRIPTS = (
    "<noscript><style>.plotly-graph-div { height: auto !important } "
    '.plotly-graph-div::before { content: "[figure] " attr(aria-label) }</style></noscript>'
)
"""Where no script may run a figure is replaced by the sentence that it shows."""
FOLD_CONTENTS = (
    "<script>document.querySelector('nav details').open = "
    f"matchMedia('(min-width: {UNFOLDED}px)').matches;</script>"
)
"""Before anything is painted, so that a narrow page does not jump when contents fold."""


def page_html(title: str, sections: list[Html], *, kind: str = "report") -> Html:
    """A whole page; plotly's program, which draws the figures, is part of it once, at the end.

    Args:
        title: What the window is called.
        sections: From top to bottom; those with a heading are in the contents.
        kind: What the page says that it is to the command that would write over it.
    """
    contents, body = [], []
    for section in sections:
        heading = re.search("<h([12])>(.*?)</h[12]>", section)
        if heading is None:
            body.append(f"<section>{section}</section>")
            continue
        name = as_html(Html("Result" if heading[1] == "1" else heading[2]))
        anchor = f"section-{_slug(name)}"
        contents.append(f'<li><a href="#{anchor}">{name}</a></li>')
        body.append(f'<section id="{anchor}" aria-label="{name}">{section}</section>')
    joined = "\n".join(body)
    return Html(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{generator(kind)}\n<title>{as_html(title)}</title>\n"
        f"<style>{CSS}</style>\n{WITHOUT_SCRIPTS}\n</head>\n<body>\n"
        f"{_contents(contents)}"
        f'<main id="main">\n{joined}\n</main>\n'
        f"<script>{get_plotlyjs()}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def generator(kind: str) -> str:
    """What a page says of itself near its beginning."""
    return f'<meta name="generator" content="iml report: {kind}">'


def _contents(items: list[str]) -> str:
    return (
        '<a class="skip" href="#main">Skip to the result</a>\n'
        '<nav aria-label="Contents"><details open><summary>Contents: <span></span></summary>\n'
        f"<ol>{''.join(items)}</ol></details>{FOLD_CONTENTS}</nav>\n"
    )


def _slug(name: str) -> str:
    """A name as it can stand in a link.

    >>> _slug("The paper&#x27;s claims")
    'the-paper-s-claims'
    """
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"&#?\w+;", " ", name).lower()).strip("-")
