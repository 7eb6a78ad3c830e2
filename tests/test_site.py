"""The site builds without a warning, its links lead somewhere, and it asks nobody for anything."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from html.parser import HTMLParser
from importlib import util
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest

from tests.documents import DOCS, PAGES, ROOT
from tests.interp.drawn_pages import CHROMIUM, needs_chromium

LONGEST = 180.0
"""Seconds of processor time to build it."""
FETCHED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src"} | {
    "audio": "src", "embed": "src", "object": "data", "use": "href", "image": "href",
}  # fmt: skip
"""What a browser fetches when it draws a page, by element."""
FETCHED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect"}


class Page(HTMLParser):
    """A page's anchors, the links that a reader may follow, and what the browser fetches."""

    def __init__(self, path: Path) -> None:
        """Reads a file."""
        super().__init__()
        self.path, self.links, self.fetched = path, set[str](), set[str]()
        self.anchors = {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes note of one element."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag == "link" and FETCHED_LINKS & set(given.get("rel", "").split()):
            self.fetched.add(given["href"])
        if (place := given.get(FETCHED.get(tag, ""))) is not None:
            self.fetched.add(place)
        self.fetched |= {each.split()[0] for each in given.get("srcset", "").split(",") if each}


class Site:
    """The site in a folder, and what building it took and said."""

    def __init__(self, folder: Path) -> None:
        """Builds it, with warnings as errors."""
        self.folder = folder
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["-m", "sphinx", "--jobs", "2", "--fail-on-warning", "--keep-going", "--quiet"]
        self.done = subprocess.run(
            [sys.executable, *command, "--doctree-dir", folder / "doctrees", DOCS, folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    @cached_property
    def pages(self) -> dict[Path, Page]:
        """All pages, by their place."""
        return {path: Page(path) for path in sorted(self.folder.rglob("*.html"))}


def of_the_site(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that may have to wait until the site is built."""
    return pytest.mark.slow(pytest.mark.timeout(3600)(test))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Built once for the tests of this file."""
    return Site(tmp_path_factory.mktemp("site") / "html")


@of_the_site
def test_site_builds_without_a_warning_in_three_minutes(site: Site) -> None:
    print(f"{len(site.pages)} pages in {site.seconds:.0f} s of processor time")

    assert site.done.returncode == 0, site.done.stderr
    assert site.done.stderr == ""
    assert site.seconds <= LONGEST
    for path in PAGES:
        assert (site.folder / path.relative_to(DOCS)).with_suffix(".html") in site.pages


@of_the_site
def test_every_notebook_and_every_package_has_a_page(site: Site) -> None:
    made = {str(path.relative_to(site.folder)) for path in site.pages}
    inits = [
        init for top in ("data", "training", "interp") for init in (ROOT / top).rglob("__init__.py")
    ]
    rooms = {".".join(init.parent.relative_to(ROOT).parts) for init in inits}

    assert {
        f"generated/notebooks/{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")
    } <= made
    assert {f"generated/api/{room}.html" for room in rooms} <= made


@of_the_site
def test_every_link_within_the_site_leads_to_a_place(site: Site) -> None:
    lost = [
        f"{path.relative_to(site.folder)}: {link}"
        for path, page in site.pages.items()
        for link in page.links
        if not urlsplit(link).scheme and not leads_somewhere(site, path, link)
    ]
    assert lost == []


def leads_somewhere(site: Site, path: Path, link: str) -> bool:
    """Whether the file is there, and the anchor in it."""
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    page = site.pages.get(target)
    return target.is_file() and (page is None or unquote(parts.fragment) in page.anchors)


@of_the_site
def test_pages_fetch_nothing_from_elsewhere(site: Site) -> None:
    for path, page in site.pages.items():
        for place in page.fetched:
            assert urlsplit(place).scheme in ("", "data"), f"{path.name} fetches {place}"
    for path in site.folder.rglob("*.css"):
        fetched = re.findall(r"(?:url\(|@import)\s*[\"']?(\w+:|//)", path.read_text())
        assert set(fetched) <= {"data:"}, path


@of_the_site
@needs_chromium
def test_search_works_on_files(site: Site, tmp_path: Path) -> None:
    address = f"{(site.folder / 'search.html').as_uri()}?q=distrust_gap"
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}", "--dump-dom",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000", address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)

    results = done.stdout.split('id="search-results"')[1]
    assert "glossary.html" in results


@pytest.fixture(scope="module")
def python_pages() -> ModuleType:
    """What turns docstrings into pages."""
    spec = util.spec_from_file_location("python_pages", DOCS / "python_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("docstring", "what", "said"),
    [
        ("Of `a|b` and *all*, |t|.", "function", "Of ``a|b`` and \\*all\\*, \\|t\\|."),
        ("Code over\n`two\nlines` here.", "function", "Code over\n``two\nlines`` here."),
        ("What it is:\n\n    a   b*\n    c", "module", "What it is:\n\n::\n\n    a   b*\n    c"),
        ("Which pilot: the seed's.", "attribute", "Which pilot: the seed's."),
        ("Doubles.\n\n>>> f(`1` * 2)\n4", "function", "Doubles.\n\n>>> f(`1` * 2)\n4"),
        ("It does.\n\nArgs:\n    x_: A `y`.", "function", "It does.\n\n:param x\\_: A ``y``."),
    ],
)
def test_docstrings_mean_in_sphinx_what_they_mean_here(
    docstring: str, what: str, said: str, python_pages: ModuleType
) -> None:
    lines = docstring.splitlines()

    python_pages.to_rst(None, what, "name", None, None, lines)

    assert "\n".join(lines).strip() == said
