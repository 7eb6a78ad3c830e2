"""The report's sections about training: each a function from a run to HTML."""

import pandas as pd

from data.design import Design
from data.rows import Row
from data.vocabulary import Kind, Split
from interp.claims.summary_text import TWIN_NOT_LEARNED, note_texts
from interp.figures.answer_first import Part, folded_html, result_html, section_html
from interp.figures.markup import (
    Html,
    as_html,
    note_html,
    rows_html,
    swatch_html,
    table_html,
)
from interp.figures.seed_marks import FEWEST
from interp.figures.words import (
    gap_text,
    mean_text,
    plain,
    seed_ranges,
    unbroken,
)
from interp.report.guessing import guessing, guessing_words
from interp.report.plots import learning_curves, plot_curves, plot_gaps
from interp.report.reproduction import reproduction_commands
from interp.report.wording import (
    curve_sentence,
    gap_sentence,
    headline_sentence,
    null_sentence,
    subset_sentence,
)
from interp.verdicts.gaps import contrasts_in, gaps_beyond_twin, has_learned_twin
from interp.verdicts.spread import spread_sentences, spreads_of
from training.metrics import HEADLINE_METRICS, find_metric
from training.recipes import find_recipe
from training.registry import Recipe
from training.runs.old_rules import old_rules_text
from training.runs.run import Run
from training.summary import (
    end_of_stage,
    subset_estimates,
)


def overview_section(run: Run) -> Html:
    """The section that says what came out, and what was run."""
    config, recipe = run.config, find_recipe(run.config.recipe)
    about = (recipe.function.__doc__ or "").splitlines()[0]
    trainings = "1 Stage-2 training" if config.seeds_stage2 == 1 else (
        f"{config.seeds_stage2} Stage-2 trainings"
    )  # fmt: skip
    facts = {
        "recipe": about,
        "experiment": _experiment(run.design),
        "model": run.info.get("model", config.model.name),
        "seeds": f"{len(run.seeds)} in Stage 1 ({seed_ranges(run.seeds)}), {trainings} of each",
        "loss policy": f"{config.loss_policy}: {config.loss_policy.words}",
        "serves": _serves(recipe),
    }
    if config.word_order is not None:
        facts["word order"] = f"{config.word_order.upper()} (T tag, A alias, E entity)"
    twin = run.design.null_twin
    if config.is_null_twin and twin is not None:
        facts["null twin"] = f"{twin.meaning}: this run is a null twin"
    if rules := old_rules_text(run):
        facts["old rules"] = rules
    is_twin = config.is_null_twin
    words = [headline_sentence(run.summary, run.design, config.schedule, is_twin=is_twin)]
    if "null_equivalence" in run.summary:
        words.append(null_sentence(run.summary["null_equivalence"], run.design))
        words += (
            []
            if has_learned_twin(run)
            else [f"{TWIN_NOT_LEARNED[0].upper()}{TWIN_NOT_LEARNED[1:]}."]
        )
    if not is_twin:
        words += [f"{text}." for text in note_texts(run, contrasts_in(run))]
    items = "".join(f"<dt>{name}</dt><dd>{as_html(text)}</dd>" for name, text in facts.items())
    title = f"<h1>{as_html(config.recipe)}: {as_html(run.design.question)}</h1>"
    return Html(f"{title}\n{result_html(words)}<dl>{items}</dl>")


def _experiment(design: Design) -> str:
    """What an experiment trains, part by part."""
    parts = "; ".join(f"{part.name} {words}" for part, words in design.parts.items())
    return f"{design.name}: {parts}"


def _serves(recipe: Recipe) -> str:
    """What a recipe bears on: figures of the paper, and claims."""
    figures = f"the paper's figures {', '.join(recipe.figures)}; " if recipe.figures else ""
    return f"{figures}claims {', '.join(recipe.claims)}"


def gaps_section(run: Run) -> Html:
    """The headline gaps: a dot for each seed, and a table, beside those of the null twin."""
    twin = run.finished_null
    head = ["gap", "compares", "metric", "mean [95% interval]", "p", "least possible p", "n seeds"]
    head += [] if twin is None else ["null twin", "run minus null twin, by seed"]
    beyond = gaps_beyond_twin(run)
    gaps, of_twin = contrasts_in(run), {} if twin is None else contrasts_in(twin)
    body = []
    for gap, found in gaps.items():
        contrast = run.design.contrast(gap)
        higher, lower = contrast.names
        stage = run.config.schedule.read_at(contrast.part)
        for metric in HEADLINE_METRICS:
            estimate = found[metric]
            means = f" ({contrast.meaning})" if contrast.meaning else ""
            cells = [gap, f"{higher} − {lower}, end of Stage {int(stage)}{means}"]
            cells += [find_metric(metric).heading, unbroken(gap_text(estimate))]
            cells += [f"{estimate[name]:.2g}" for name in ("p_value", "p_smallest")]
            cells += [str(estimate["n_seeds"])]
            if twin is not None:
                more = beyond[gap].get(metric)
                cells += [unbroken(gap_text(of_twin[gap][metric]))]
                cells += ["–" if more is None else unbroken(gap_text(more.to_json()))]
            body.append(cells)
    figure = plot_gaps(run.summary, run.design, twin and twin.summary, run.config.schedule)
    part = Part(
        sentences=[gap_sentence(run), *spread_sentences(run, spreads_of(run))],
        figures={"gaps": figure},
        tables=[
            table_html(head, body, name="Gaps beside those of the null twin" if twin else "Gaps")
        ],
    )
    notes = "Exact match is a share of questions. p: two-sided sign flips over seeds."
    notes += "".join(f" {text}." for gap, text in run.design.notes.items() if gap in gaps)
    if twin is not None:
        notes += f" {_twin_note(run.design)}"
    return section_html("Gaps", [part], notes=notes)


def _twin_note(design: Design) -> str:
    """What the null twin is, and which of its gaps should be none."""
    twin = design.null_twin
    if twin is None:
        return ""
    return (
        f"The null twin ({twin.meaning}): its {twin.contrast} should be none, which its 90% "
        f"interval shows if it lies in the grey box. {twin.note}"
    ).strip()


def curves_section(run: Run) -> Html:
    """Learning curves of the run and of its null twin, side by side at one scale."""
    twin = run.finished_null
    shown = {"run": run} | ({} if twin is None else {"null twin": twin})
    figures, chance = {}, guessing(run)
    for metric in HEADLINE_METRICS:
        limits = shared_limits(list(shown.values()), metric)
        for name, each in shown.items():
            figures[f"curves-{metric}-{name.replace(' ', '-')}"] = plot_curves(
                each.metrics,
                metric,
                title=f"{find_metric(metric).heading}, {name}",
                chance=chance.get(metric),
                y_range=limits,
            )
    notes = (
        "Every subset is asked at all times, also before its definitions are trained. Bands are "
        f"95% t intervals over seeds, from {FEWEST} seeds on. {guessing_words(run)} A click "
        "on a name in the legend hides it, two clicks show it alone."
    )
    part = Part(sentences=[curve_sentence(run)], figures=figures, side_by_side=len(shown))
    return section_html("Curves", [part], notes=notes)


def subsets_section(run: Run) -> Html:
    """Every subset at the end of both stages."""
    stages = run.config.schedule.stages
    last = end_of_stage(run.metrics, stages[-1])
    n_questions = dict(zip(last["subset"], last["n"], strict=True))
    columns = {
        f"{find_metric(metric).heading}, end of Stage {int(stage)}": subset_estimates(
            run.metrics, run.design, stage, metric
        )
        for metric in HEADLINE_METRICS
        for stage in stages
    }
    body = [
        [
            swatch_html(subset),
            subset.notation,
            subset.meaning,
            *(
                unbroken(mean_text(estimates[subset.name].to_json()))
                for estimates in columns.values()
            ),
            n_questions[subset.name],
        ]
        for subset in run.design.subsets
        if subset.name in n_questions
    ]
    head = ("subset", "in the paper", "definitions", *columns, "questions a seed")
    notes = (
        "Mean over seeds [95% t interval of the mean, which is symmetric and not cut where it "
        "reaches beyond what can be]. Exact match is the share of questions that greedy "
        "decoding answers. They are held out from training; only those that state the facts of "
        "the world by their own names are trained, where there are any, and show how well it is "
        "known."
    )
    table = table_html(head, body, name="Subsets at the end of each stage")
    part = Part(sentences=[subset_sentence(run)], tables=[table])
    return section_html("Subsets", [part], notes=notes)


def examples_section(run: Run) -> Html:
    """What the model reads, from the first seed."""
    seed = run.seeds[0]
    rows = example_rows([tokenized.row for tokenized in run.tokenized_rows(seed)], run.design)
    notes = f"From seed {seed}."
    if any(row.entity for row in rows):
        notes += (
            " The last column is the entity that a definition names, or that the answer to a"
            " question follows: where a definition is false, the two differ."
        )
    subsets = len({row.subset.name for row in rows})
    told = folded_html(
        f"{len(rows)} rows of {subsets} subsets, with their roles coloured",
        Html(rows_html(rows) + note_html(notes)),
    )
    return Html(f"<h2>Example rows</h2>\n{told}")


def example_rows(rows: list[Row], design: Design) -> list[Row]:
    """A definition, a trained and a held-out question of the first alias of each subset."""
    chosen: list[Row] = []
    for subset in design.subsets:
        of_subset = [row for row in rows if row.subset == subset]
        of_alias = [row for row in of_subset if row.alias == of_subset[0].alias]
        for kind in Kind:
            for split in Split:
                chosen += [r for r in of_alias if r.kind is kind and r.split is split][:1]
    return chosen


def settings_section(run: Run) -> Html:
    """All parameters, versions, and the commands that make this page again."""
    defaults = {n: plain(p.default) for n, p in find_recipe(run.config.recipe).parameters.items()}
    parameters = [
        (name, value, "" if value == defaults[name] else defaults[name])
        for name, value in ((name, plain(v)) for name, v in run.config.parameters.items())
    ]
    info = run.info
    facts = [("run id", run.config.run_id), ("git commit", info["git_commit"] or "unknown")]
    facts += [(name, info[name]) for name in ("device", "threads", "started", "finished")]
    facts += [(name, version or "not installed") for name, version in info["versions"].items()]
    commands = as_html("\n".join(reproduction_commands(run)))
    head = ("parameter", "value", "default, where it differs")
    settings = table_html(head, parameters, name="Settings")
    machine = table_html(("what", "value"), facts, name="Run on")
    told = folded_html(
        f"{len(parameters)} settings, and the versions and the machine it was run on",
        Html(f'<div class="columns">{settings}{machine}</div>'),
    )
    return Html(
        f"<h2>Settings</h2>\n<p>To make this page again:</p>\n<pre>{commands}</pre>\n{told}"
    )


def shared_limits(runs: list[Run], metric: str) -> tuple[float, float]:
    """Limits that hold every mean and band of the runs with some space around."""
    curves = pd.concat([learning_curves(run.metrics, metric) for run in runs])
    shown = curves["mean"].tolist() + [0.0, 1.0] * (metric == "exact_match")
    with_band = curves.loc[curves["n_seeds"] >= FEWEST]
    shown += [*with_band["ci_low"], *with_band["ci_high"]]
    space = 0.04 * (max(shown) - min(shown))
    return min(shown) - space, max(shown) + space
