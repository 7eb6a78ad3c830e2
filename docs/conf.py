"""How Sphinx builds the site: `make docs`. Neither building nor reading it needs a network."""

import shutil
import sys
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
sys.path[:0] = [str(ROOT), str(DOCS)]

from python_pages import short_signature, shorten_value, to_rst, write_pages  # noqa: E402

project = html_title = "iml-workbench"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
smartquotes_action = "D"  # dashes; a quote before code would be turned the wrong way
linkcheck_timeout, linkcheck_retries, linkcheck_workers = 10, 1, 2
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!(data|training|interp)\.).*"),  # other packages' names: no network, no links
    (
        "py:.*",
        r".*\.(Choice|Found|Item|PartT|Placed|Result|Task|Value|_\w+)",
    ),  # type variables and what is private
]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["figures.css"]
html_show_sourcelink = html_copy_source = html_show_copyright = False

myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks are stored with what they showed
suppress_warnings = ["mystnb.unknown_mime_type"]  # beside a plotly figure stands its picture
nb_ipywidgets_js = {}  # would be fetched from a server
nb_mime_priority_overrides = [("html", "image/png", 0), ("html", "image/svg+xml", 1)]

add_module_names = False
maximum_signature_line_length = 88  # one parameter a line in longer ones
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def bring_notebooks() -> None:
    """Copies the notebooks beside the pages: Sphinx reads no file above its own folder."""
    folder = GENERATED / "notebooks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy2(notebook, folder)


def setup(app: Sphinx) -> None:
    """Writes the pages that are made and not kept, before Sphinx looks for pages."""
    bring_notebooks()
    write_pages(ROOT, GENERATED / "api")
    app.connect("autodoc-process-docstring", to_rst)
    app.connect("autodoc-process-signature", short_signature)
    app.connect("object-description-transform", shorten_value)
