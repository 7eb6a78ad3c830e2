"""A verb for each analysis of one's own model and prompts: rows in, the table of its figure out.

    probe(model, rows, labels)     plot_probes        is a label readable, where?
    lens(model, rows)              plot_lens          what would the model say after each layer?
    patch(model, pairs)            plot_patching      which activation carries the answer?
    attend(model, row)             plot_attention     what does each token look at?
    attribute(model, rows)         plot_attribution   which component writes the answer?

Each is the analysis of a run for one model, with its own controls; `ablate` and `align` have files
of their own.
"""

from collections.abc import Hashable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from data.errors import InputError
from data.pairs import PromptPair
from data.rows import PROMPTS
from data.tokens import TokenizedRow
from interp.attention.patterns import token_attention
from interp.attention.view import token_words
from interp.hooked.activations import check_rows, collect_activations
from interp.hooked.addresses import (
    AnyTokenRole,
    TokenRole,
    find_token_role,
    own_token_roles,
)
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites
from interp.lenses.analysis import mean_readings, read_lens, train_tuned_lens
from interp.lenses.attribution import attribute_logits
from interp.own.texts import other_answers
from interp.patching.analysis import PATCHED_SITES, patch_pairs
from interp.probes.held_out import N_PERMUTATIONS, read_held_out
from training.runs.run import Run


def open_run(folder: Path | str) -> Run:
    """A finished run by its folder."""
    return Run.load(Path(folder))


def probe(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    labels: Sequence[Hashable],
    *,
    groups: Sequence[Hashable] | None = None,
    roles: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    target: str = "label",
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """How well a logistic probe reads the rows' labels from rows that it never saw.

    Columns `target site layer role probe`, those of `HeldOutReading`, `chance` and `width`. The
    control is `null_accuracy`, of permuted labels, and `p_value` is the permutations' own.

    Args:
        model: Read only.
        rows: See `prompts`.
        labels: One for each row, of two classes or more.
        groups: Rows of one group are all tested or all trained on, as those about one person; each
            row is by itself unless given.
        roles: Token roles to read; those that the person named, and the prompt's end, unless given.
        layers: Layers of the residual stream; all unless given.
        target: What figures call the labels.
        n_permutations: Of labels.
        seed: Draws folds and permutations.

    Raises:
        InputError: numbers of rows and labels differ, or `read_held_out` refuses them.
    """
    for name, given in (("labels", labels), ("groups", groups)):
        if given is not None and len(given) != len(rows):
            raise InputError(f"{len(rows)} rows and {len(given)} {name}; give one for each row")
    y = _numbered(labels)
    of_group = np.arange(len(rows)) if groups is None else _numbered(groups)
    chosen, sites = _roles(rows, roles), choose_sites(model, layers=layers)
    activations = collect_activations(model, rows, sites=sites, roles=chosen)
    records = []
    for site in sites:
        for role in chosen:
            features = activations.at(site, role)
            reading = read_held_out(
                features,
                y,
                of_group,
                n_permutations=n_permutations,
                rng=np.random.default_rng(seed),
            )
            where = {"target": target, "site": site.name, "layer": site.layer, "role": str(role)}
            beside = {"chance": np.bincount(y).max() / len(y), "width": features.shape[1]}
            records.append(where | {"probe": "logistic"} | asdict(reading) | beside)
    return pd.DataFrame(records)


def lens(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    *,
    roles: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    tuned: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Rank and log-probability of the answers' first tokens after each layer: means over rows.

    Columns as of `interp.lenses.analysis.lens_checkpoint`. The control of prompts that differ in
    their answers is the quantity `other_answer`: the answer of the next prompt that has another.

    Args:
        model: Read only.
        rows: See `prompts`.
        roles: Token roles to read; those that the person named, and the prompt's end, unless given.
        layers: Layers of the residual stream; all unless given.
        tuned: Whether to train a tuned lens on the rows and read it, too.
        seed: Of the tuned lens.
    """
    chosen, sites = _roles(rows, roles), choose_sites(model, layers=layers)
    activations = collect_activations(model, rows, sites=sites, roles=chosen)
    said = [row.input_ids[row.answer_positions[0]] for row in rows]
    answers = {"answer": np.array(said)}
    if len(set(said)) > 1 and all(row.row.subset == PROMPTS for row in rows):
        answers["other_answer"] = np.array([said[_next_other(said, i)] for i in range(len(said))])
    tables = {"logit": read_lens(model, activations, answers)}
    if tuned:
        translators = train_tuned_lens(model, rows, sites, seed=seed)
        tables["tuned"] = read_lens(model, activations, answers, translators=translators)
    return mean_readings(tables, [row.row.subset.name for row in rows])


def patch(
    model: HookedModel,
    pairs: Sequence[PromptPair],
    *,
    roles: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
) -> pd.DataFrame:
    """What each activation of one prompt does in the other; see `patch_pairs`, which has it all.

    Args:
        model: Read only.
        pairs: See `prompt_pairs`.
        roles: Token roles, and `all`; every one that the prompts have unless given.
        layers: All unless given.
    """
    sites = None
    if layers is not None:
        sites = choose_sites(model, PATCHED_SITES, layers)
    return patch_pairs(model, pairs, sites=sites, roles=roles)


def attend(
    model: HookedModel,
    rows: TokenizedRow | Sequence[TokenizedRow],
    *,
    layers: Sequence[int] | None = None,
) -> pd.DataFrame:
    """What each token looks at, in each head.

    Columns `row layer head dest_pos src_pos attention dest_token src_token`; `row` is its id.

    Args:
        model: Read only.
        rows: See `prompts`; a figure shows one of them.
        layers: All unless given.

    Raises:
        InputError: there are no rows, or the model has no such layer.
    """
    rows = [rows] if isinstance(rows, TokenizedRow) else rows
    if not rows:
        raise InputError("no rows to look at; give one or more, see prompts()")
    check_rows(model, rows)
    tables = []
    for row in rows:
        table, words = token_attention(model, row, layers=layers), np.array(token_words(model, row))
        table.insert(0, "row", row.row.row_id)
        ends = {f"{end}_token": words[table[f"{end}_pos"]] for end in ("dest", "src")}
        tables.append(table.assign(**ends))
    return pd.concat(tables, ignore_index=True)


def attribute(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    *,
    against: Sequence[str] | str | None = None,
) -> pd.DataFrame:
    """What each component writes into the answer's logit at the prompt's end: logit attribution.

    Columns `row component layer logit control quantity subset`. `logit` is the part of the answer's
    logit above the vocabulary's mean (of its first token), or above another answer's logit. The
    control is the same part for the answer of the next row that has another answer: what a
    component writes whatever the prompt. It is missing where all rows have one answer.

    Args:
        model: Read only.
        rows: See `prompts`.
        against: Other answers, one for each row or one for all, whose logits to subtract.

    Raises:
        InputError: there are no rows, an other answer begins as the answer does, or what the
            components write does not add up to the model's logits.
    """
    if not rows:
        raise InputError("no rows to attribute; give one or more, see prompts()")
    answers = [row.input_ids[row.answer_positions[0]] for row in rows]
    others = None if against is None else other_answers(model, rows, against)
    for row, answer, other in zip(rows, answers, others or [-1] * len(rows), strict=True):
        if answer == other:
            raise InputError(
                f"{row.row.row_id}: {row.row.rendered.answer!r} and the answer against it begin "
                "with the same token; give another"
            )
    table = attribute_logits(model, rows, against=others)
    donors = [_next_other(answers, i) for i in range(len(rows))]
    moved = attribute_logits(
        model,
        rows,
        answers=[answers[donor] for donor in donors],
        against=None if others is None else [others[donor] for donor in donors],
    )
    has_control = np.array([donor != i for i, donor in enumerate(donors)])
    control = moved["logit"].where(has_control[table["row"].to_numpy()])
    table.insert(table.columns.get_loc("quantity"), "control", control)  # pyright: ignore[reportArgumentType]
    return table.assign(subset=rows[0].row.subset.name)


def _roles(rows: Sequence[TokenizedRow], roles: Sequence[str] | None) -> list[AnyTokenRole]:
    """Those that are named; else the last tokens of the person's own and of the prompt."""
    if roles is not None:
        return [find_token_role(role, rows) for role in roles]
    own = [role for role in own_token_roles(rows) if role.endswith("_last")]
    return [*own, TokenRole.PROMPT_LAST]


def _numbered(values: Sequence[Hashable]) -> Int[np.ndarray, " value"]:
    names = list(dict.fromkeys(values))
    return np.array([names.index(value) for value in values])


def _next_other(values: Sequence[int], place: int) -> int:
    """Where the next other value is, from the start again after the end; the place if none."""
    order = [(place + step) % len(values) for step in range(1, len(values))]
    return next((i for i in order if values[i] != values[place]), place)
