import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from data.tasks.iml import SUBSETS
from data.vocabulary import Kind
from interp.figures.markup import Html
from interp.figures.words import gap_text
from interp.report import page as report
from interp.report.claims_section import claims_section
from interp.report.page import build_report, report_html, sections_of
from interp.report.script import SCRIPT
from interp.report.sections import curves_section, example_rows, gaps_section
from interp.report.wording import headline_sentence, null_sentence
from training.recipes import find_recipe
from training.runs.integrity import run_damage
from training.runs.requests import RunRequest
from training.runs.run import Run, write_null_verdict
from training.runs.runner import run_seeds

TINY = {"aliases_per_subset": 12, "aliases_qa3": 4, "aliases_stage2": 4, "entities": 5}
TINY |= {"epochs_stage1": 1, "epochs_stage2": 2, "d_model": 16, "heads": 2, "d_mlp": 8}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of two seeds with its null twin, too small to learn anything."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = find_recipe("alias-toy")(**TINY)
    request = RunRequest(config=config, folder=folder, seeds=(5, 6))
    run_seeds([request, request.null_twin()], workers=1)
    write_null_verdict(Run.load(folder))
    return folder


@pytest.fixture(scope="module")
def page(trained: Path) -> str:
    """The page without plotly's program."""
    return report_html(Run.load(trained)).replace(get_plotlyjs(), "")


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "copy")


def test_a_rebuilt_report_has_the_same_bytes_in_any_folder(trained: Path, copy: Path):
    first = build_report(Run.load(copy)).read_bytes()

    assert build_report(Run.load(copy)).read_bytes() == first
    assert report_html(Run.load(trained)).encode() == first


def test_the_report_is_in_the_manifest(copy: Path):
    path = build_report(Run.load(copy))

    assert path == copy / "report.html"
    assert run_damage(copy) == []
    assert "report.html" in json.loads((copy / "manifest.json").read_text())


def test_plotly_is_embedded_once(trained: Path):
    assert report_html(Run.load(trained)).count(get_plotlyjs()) == 1


def test_nothing_is_loaded_from_elsewhere(page: str):
    page = page.replace(SCRIPT, "")  # what that does is seen in a browser
    assert not re.findall(r'(?:src|href)\s*=(?!"#section-)(?!"#main")|@import|url\(', page)
    assert "<link" not in page
    assert "http" not in page


def test_every_tag_is_closed(page: str):
    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    parser = Balance()
    parser.feed(page)

    assert parser.open == []


def test_the_page_states_the_result_and_the_verdict_on_the_null_twin(trained: Path, page: str):
    summary = Run.load(trained).summary

    assert headline_sentence(summary, Run.load(trained).design) in page
    assert null_sentence(summary["null_equivalence"], Run.load(trained).design) in page


def test_the_page_says_that_word_orders_differ_in_objective(page: str):
    assert "runs of different word orders differ in objective" in page


def test_every_gap_of_run_and_null_twin_is_in_the_table(trained: Path):
    run = Run.load(trained)
    null = run.null
    assert null is not None

    html = gaps_section(run).replace("\N{NO-BREAK SPACE}", " ")

    for gap in ("iml_gap", "stage1_gap", "ocl_gap"):
        for metric in ("exact_match", "answer_log_prob"):
            assert gap_text(run.summary[gap][metric]) in html
            assert gap_text(null.summary[gap][metric]) in html


def test_curves_of_run_and_null_twin_stand_side_by_side(trained: Path):
    ids = re.findall(r'<div id="([\w-]+)" class="plotly', curves_section(Run.load(trained)))

    assert ids == [
        "curves-exact_match-run",
        "curves-exact_match-null-twin",
        "curves-answer_log_prob-run",
        "curves-answer_log_prob-null-twin",
    ]


def test_every_section_can_be_linked_and_is_in_the_contents(page: str):
    linked = re.findall(r'<li><a href="#(section-[a-z-]+)">', page)

    assert linked[:3] == ["section-result", "section-gaps", "section-claims"]
    assert re.findall(r'<section id="(section-[a-z-]+)" aria-label="', page) == linked
    assert page.count("<section") == len(linked)


def test_every_section_of_training_begins_with_a_sentence_and_folds_what_is_more(page: str):
    for name in ("gaps", "claims", "curves", "subsets"):
        section = page.partition(f'<section id="section-{name}"')[2].partition("</section>")[0]
        assert section.partition("</h2>")[2].lstrip().startswith('<div class="result"><p>')
        shown, folded = section.split("<details>", maxsplit=1)
        assert shown.count("<figure>") <= 2  # a run beside its null twin
        assert shown.count("<figure>") + shown.count("<table>") >= 1
        assert "How to read this" in folded


def test_a_run_without_null_twin_has_a_report_without_one(copy: Path):
    shutil.rmtree(copy / "null")
    (copy / "manifest.json").unlink()  # which knows another summary
    summary = json.loads((copy / "summary.json").read_text())
    del summary["null_equivalence"]
    (copy / "summary.json").write_text(json.dumps(summary))

    run = Run.load(copy)
    claims = claims_section(run)

    for section in sections_of(run):
        if section is not claims_section:
            html = section(run) or ""
            assert "ull twin" not in html
            assert "--with-null" not in html
    assert claims is not None
    assert "no null twin: repeat iml run with --with-null" in claims


def test_an_unfinished_null_twin_is_left_out(copy: Path):
    path = copy / "null" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"finished": None}))

    assert "curves-exact_match-null-twin" not in curves_section(Run.load(copy))


def test_text_from_the_run_folder_is_escaped(copy: Path):
    path = copy / "run.json"
    info = json.loads(path.read_text())
    info["git_commit"] = "<script>alert(1)</script>"
    path.write_text(json.dumps(info))

    html = report_html(Run.load(copy))

    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


def test_all_parameters_and_versions_are_listed(trained: Path, page: str):
    run = Run.load(trained)

    for name, value in run.config.parameters.items():
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        assert f"<td>{name}</td><td>{shown}</td>" in page
    assert f"<td>torch</td><td>{run.info['versions']['torch']}</td>" in page


def test_examples_show_each_subset_by_one_alias(trained: Path):
    rows = [each.row for each in Run.load(trained).tokenized_rows(5)]

    examples = example_rows(rows, Run.load(trained).design)

    kinds = {name: [r.kind for r in examples if r.subset.name == name] for name in SUBSETS}
    assert kinds["D1_CONS_QA1"] == [Kind.DEFINITION, Kind.QA, Kind.QA]
    assert kinds["D5_CONS"] == [Kind.DEFINITION, Kind.QA]
    assert kinds["QA7_UNSEEN"] == [Kind.QA]
    assert len({(r.subset.name, r.alias) for r in examples}) == len({r.subset.name for r in rows})


def test_sections_that_do_not_apply_are_left_out(trained: Path, monkeypatch: pytest.MonkeyPatch):
    sections = [lambda run: None, lambda run: Html(f"<p>{run.seeds}</p>")]
    monkeypatch.setattr(report, "sections_of", lambda _run: sections)

    html = report_html(Run.load(trained))

    assert html.count("<section>") == 1
    assert "<section><p>[5, 6]</p></section>" in html
