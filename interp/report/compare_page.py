"""One self-contained HTML page about several runs, side by side at one scale."""

import shlex
from collections.abc import Sequence

from interp.figures.answer_first import Part, folded_html, result_html, section_html
from interp.figures.markup import Html, as_html, table_html
from interp.figures.words import plain, seed_ranges
from interp.report.compare_sections import (
    compared_analyses,
    compared_claims,
    compared_curves,
    compared_gaps,
    compared_subsets,
)
from interp.report.compare_wording import limits_of, result_sentences
from interp.report.compared_runs import Comparison, named_runs
from interp.report.shell import page_html
from training.runs.run import Run

KIND = "comparison"
"""What the page says that it is to the command that would write over it."""
COMPARE_FILE = "report-compare.html"


def compare_html(runs: Sequence[Run], file: str) -> Html:
    """The whole page about several finished runs, the others held against the first.

    Args:
        runs: Two or more.
        file: Where it will be written, for the command that makes it again.
    """
    comparison = named_runs(runs)
    sections = [
        _overview(comparison),
        _settings(comparison),
        compared_gaps(comparison),
        compared_curves(comparison),
        compared_subsets(comparison),
        compared_claims(comparison),
        compared_analyses(comparison),
        _again(comparison, file),
    ]
    title = f"Compared: {', '.join(each.name for each in comparison.runs)}"
    return page_html(title, [each for each in sections if each is not None], kind=KIND)


def _overview(comparison: Comparison) -> Html:
    names = [each.name for each in comparison.runs]
    facts = {
        each.name: f"{each.run.config.recipe}, {len(each.run.seeds)} seeds "
        f"({seed_ranges(each.run.seeds)})"
        + (", a null twin" if each.run.config.is_null_twin else "")
        + ("" if each.run.finished_null is None else ", with its null twin")
        for each in comparison.runs
    }
    items = "".join(
        f"<dt>{as_html(name)}</dt><dd>{as_html(text)}</dd>" for name, text in facts.items()
    )
    title = f"<h1>{as_html(', '.join(names[:-1]))} and {as_html(names[-1])}, side by side</h1>"
    said = [*result_sentences(comparison), *limits_of(comparison)]
    return Html(f"{title}\n{result_html(said)}<dl>{items}</dl>")


def _settings(comparison: Comparison) -> Html:
    """In which parameters the runs differ, and folded all that they share."""
    facts = [
        {"recipe": each.run.config.recipe, **each.run.config.identity}
        | {"seeds": seed_ranges(each.run.seeds)}
        for each in comparison.runs
    ]
    names = list(dict.fromkeys(name for each in facts for name in each))
    texts = {name: [plain(each.get(name, "–")) for each in facts] for name in names}
    differing = {name: row for name, row in texts.items() if len(set(row)) > 1}
    columns = [each.name for each in comparison.runs]
    body = [[name, *row] for name, row in differing.items()]
    shared = [[name, row[0]] for name, row in texts.items() if name not in differing]
    named = ", ".join(name.replace("_", " ") for name in differing)
    part = Part(
        sentences=[f"The runs differ in {named}." if differing else "They differ in no setting."],
        tables=[
            table_html(["setting", *columns], body, name="Settings that differ"),
            table_html(["setting", "value"], shared, name="Settings that all runs share"),
        ],
    )
    return section_html("What differs", [part])


def _again(comparison: Comparison, file: str) -> Html:
    """The command that makes the page again, and what the runs were made with."""
    folders = [shlex.quote(str(each.run.folder)) for each in comparison.runs]
    out = "" if file == COMPARE_FILE else f" --out {shlex.quote(file)}"
    infos = [each.run.info for each in comparison.runs]
    facts = ("git_commit", "device", "threads", "started", "finished")
    body = [[name, *(str(info.get(name) or "unknown") for info in infos)] for name in facts]
    packages = dict.fromkeys(name for info in infos for name in info["versions"])
    body += [[n, *(info["versions"].get(n) or "not installed" for info in infos)] for n in packages]
    head = ["what", *(each.name for each in comparison.runs)]
    table = table_html(head, body, name="Made with")
    told = folded_html("Versions and machines of the runs", table)
    command = as_html(f"iml report {' '.join(folders)}{out}")
    return Html(f"<h2>Settings</h2>\n<p>To make this page again:</p>\n<pre>{command}</pre>\n{told}")
