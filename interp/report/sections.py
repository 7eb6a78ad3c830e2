"""The report's sections about training: each a function from a run to HTML."""

import pandas as pd

from data.rows import Row
from data.vocabulary import SUBSETS, Kind, Split
from interp.claims.gaps import gaps_beyond_twin, has_learned_twin, new_tag_gaps
from interp.claims.summary_text import NOT_LEARNED, new_tag_text
from interp.figures.markup import (
    Html,
    as_html,
    figure_html,
    note_html,
    rows_html,
    swatch_html,
    table_html,
)
from interp.figures.seed_marks import FEWEST
from interp.figures.words import (
    UNITS,
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
    POLICIES,
    definition_words,
    headline_sentence,
    null_sentence,
)
from interp.verdicts.null_twin import is_null_twin
from training.recipes import find_recipe
from training.registry import Recipe
from training.runs.old_rules import old_rules_text
from training.runs.run import Run
from training.summary import (
    ALL_GAPS,
    HEADLINE_METRICS,
    end_of_stage,
    headlines_of,
    subset_estimates,
)


def overview_section(run: Run) -> Html:
    """What came out, and what was run."""
    config, recipe = run.config, find_recipe(run.config.recipe)
    about = (recipe.function.__doc__ or "").splitlines()[0]
    trainings = "1 Stage-2 training" if config.seeds_stage2 == 1 else (
        f"{config.seeds_stage2} Stage-2 trainings"
    )  # fmt: skip
    facts = {
        "recipe": about,
        "model": run.info.get("model", config.model.name),
        "seeds": f"{len(run.seeds)} in Stage 1 ({seed_ranges(run.seeds)}), {trainings} of each",
        "word order": f"{config.word_order.upper()} (T tag, A alias, E entity)",
        "loss policy": f"{config.loss_policy}: {POLICIES[config.loss_policy]}",
        "serves": _serves(recipe),
    }
    if is_null_twin(config):
        facts["tags"] = "shuffled over D1 and D2: this run is a null twin"
    if rules := old_rules_text(run):
        facts["old rules"] = rules
    is_twin = is_null_twin(run.config)
    words = [headline_sentence(run.summary, run.config.schedule, is_twin=is_twin)]
    if "null_equivalence" in run.summary:
        words.append(null_sentence(run.summary["null_equivalence"]))
        words += [] if has_learned_twin(run) else [f"{NOT_LEARNED[0].upper()}{NOT_LEARNED[1:]}."]
    new_tag = new_tag_gaps(run)
    if new_tag and not is_twin:
        words.append(f"{new_tag_text(run, new_tag['trust_gap']['exact_match'])}.")
    result = "".join(f"<p>{as_html(sentence)}</p>" for sentence in words)
    items = "".join(f"<dt>{name}</dt><dd>{as_html(text)}</dd>" for name, text in facts.items())
    title = f"<h1>{as_html(config.recipe)}: does the tag change what is internalized?</h1>"
    return Html(f'{title}\n<div class="result">{result}</div>\n<dl>{items}</dl>')


def _serves(recipe: Recipe) -> str:
    """What of the paper a recipe bears on."""
    figures = f"figures {', '.join(recipe.figures)}" if recipe.figures else "no figure"
    return f"the paper's {figures}; claims {', '.join(recipe.claims)}"


def gaps_section(run: Run) -> Html:
    """The headline gaps: a table, and a dot for each seed; the null twin's beside them."""
    twin = run.finished_null
    head = ["gap", "compares", "metric", "mean [95% interval]", "p", "least possible p", "n seeds"]
    head += [] if twin is None else ["null twin", "run minus null twin, by seed"]
    beyond = gaps_beyond_twin(run)
    gaps = {gap: run.summary[gap] for gap in headlines_of(run.metrics)} | new_tag_gaps(run)
    of_twin = {} if twin is None else twin.summary | new_tag_gaps(twin)
    body = []
    for gap, found in gaps.items():
        higher, lower, part = ALL_GAPS[gap]
        stage = run.config.schedule.read_at(part)
        for metric in HEADLINE_METRICS:
            estimate = found[metric]
            cells = [gap, f"{higher.name} − {lower.name}, end of Stage {int(stage)}"]
            cells += [UNITS[metric], unbroken(gap_text(estimate))]
            cells += [f"{estimate[name]:.2g}" for name in ("p_value", "p_smallest")]
            cells += [str(estimate["n_seeds"])]
            if twin is not None:
                more = beyond[gap].get(metric)
                cells += [unbroken(gap_text(of_twin[gap][metric]))]
                cells += ["–" if more is None else unbroken(gap_text(more.to_json()))]
            body.append(cells)
    figure = figure_html(plot_gaps(run.summary, twin and twin.summary, run.config.schedule), "gaps")
    notes = "Exact match is a share of questions. p: two-sided sign flips over seeds."
    if "trust_gap" in gaps:
        notes += (
            " D8_CONS has a tag that Stage 1 never showed: trust_gap and distrust_gap add up to"
        )
        notes += " iml_gap."
    if twin is not None:
        notes += (
            " In the null twin, tags are shuffled over the definitions of D1 and D2, so its"
            " iml_gap should be none, which its 90% interval shows if it lies in the grey box. Its"
            " D1 definitions are still true and its D2 ones false, and its D8 ones have a new tag:"
            " its other gaps need not be none. What the tag does is what the run has beyond them."
        )
    return Html(f"<h2>Gaps</h2>\n{table_html(head, body)}{figure}{note_html(notes)}")


def curves_section(run: Run) -> Html:
    """Learning curves of the run and of its null twin, side by side at one scale."""
    twin = run.finished_null
    shown = {"run": run} | ({} if twin is None else {"null twin": twin})
    panels, chance = "", guessing(run)
    for metric in HEADLINE_METRICS:
        limits = _shared_limits(list(shown.values()), metric)
        for name, each in shown.items():
            figure = plot_curves(
                each.metrics,
                metric,
                title=f"{UNITS[metric]}, {name}",
                chance=chance.get(metric),
                y_range=limits,
            )
            panels += figure_html(figure, f"curves-{metric}-{name.replace(' ', '-')}")
    notes = (
        "Every subset is asked at all times, also before its definitions are trained. Bands are "
        f"95% t intervals over seeds, from {FEWEST} seeds on. {guessing_words(run)} A click "
        "on a name in the legend hides it, two clicks show it alone."
    )
    return Html(f'<h2>Curves</h2>\n<div class="panels">{panels}</div>{note_html(notes)}')


def subsets_section(run: Run) -> Html:
    """Every subset at the end of both stages."""
    stages = run.config.schedule.stages
    last = end_of_stage(run.metrics, stages[-1])
    n_questions = dict(zip(last["subset"], last["n"], strict=True))
    columns = {
        f"{UNITS[metric]}, end of Stage {int(stage)}": subset_estimates(run.metrics, stage, metric)
        for metric in HEADLINE_METRICS
        for stage in stages
    }
    body = [
        [
            swatch_html(name),
            SUBSETS[name].paper,
            definition_words(SUBSETS[name]),
            *(unbroken(mean_text(estimates[name].to_json())) for estimates in columns.values()),
            n_questions[name],
        ]
        for name in SUBSETS
        if name in n_questions
    ]
    head = ("subset", "in the paper", "definitions", *columns, "questions a seed")
    notes = (
        "Mean over seeds [95% t interval of the mean, which is symmetric and not cut where it "
        "reaches beyond what can be]. Exact match is the share of questions that greedy "
        "decoding answers. They are held out from training; only QA4's, where there are any, are "
        "trained, since they state the facts of the world, and show how well it is known."
    )
    return Html(f"<h2>Subsets</h2>\n{table_html(head, body)}{note_html(notes)}")


def examples_section(run: Run) -> Html:
    """What the model reads, from the first seed."""
    seed = run.seeds[0]
    rows = example_rows([tokenized.row for tokenized in run.tokenized_rows(seed)])
    notes = f"From seed {seed}."
    if any(row.entity for row in rows):
        notes += (
            " The last column is the entity that a definition names, or that the answer to a"
            " question follows: where a definition is false, the two differ."
        )
    return Html(f"<h2>Example rows</h2>\n{rows_html(rows)}{note_html(notes)}")


def example_rows(rows: list[Row]) -> list[Row]:
    """Of the first alias of each subset: a definition, a trained and a held-out question."""
    chosen: list[Row] = []
    for name in SUBSETS:
        of_subset = [row for row in rows if row.subset == name]
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
    settings = table_html(("parameter", "value", "default, where it differs"), parameters)
    return Html(
        f"<h2>Settings</h2>\n<p>To make this page again:</p>\n<pre>{commands}</pre>\n"
        f'<div class="columns">{settings}{table_html(("run on", ""), facts)}</div>'
    )


def _shared_limits(runs: list[Run], metric: str) -> tuple[float, float]:
    """Limits that hold every mean and band of the runs with some space around."""
    curves = pd.concat([learning_curves(run.metrics, metric) for run in runs])
    shown = curves["mean"].tolist() + [0.0, 1.0] * (metric == "exact_match")
    with_band = curves.loc[curves["n_seeds"] >= FEWEST]
    shown += [*with_band["ci_low"], *with_band["ci_high"]]
    space = 0.04 * (max(shown) - min(shown))
    return min(shown) - space, max(shown) + space
