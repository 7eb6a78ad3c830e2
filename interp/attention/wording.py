"""Attention in words: whether heads carry the alias to the answer, how many, and for which tag."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from data.errors import InputError
from interp.attention.analysis import attention_contrast
from interp.attention.cells import ALL_HEADS, head_name
from interp.attention.patterns import PROMPT_LAST
from interp.figures.grid_tables import ALPHA
from interp.figures.words import gap_text

ALIAS = "alias"
MOST_LAYERS = 3
"""So many layers are told of, those that move most from the alias to the answer."""


def found(table: pd.DataFrame, summary: pd.DataFrame, *, compared: tuple[str, str]) -> list[str]:
    """See `attention_sentences`; none where attention from prompt's end to alias was not looked at.

    A command may have looked at other subsets or roles only; then its table has it all.
    """
    at_alias = summary.loc[(summary["destination"] == PROMPT_LAST) & (summary["source"] == ALIAS)]
    asked = set(at_alias.loc[at_alias["text"] == "qa", "subset"])
    if not set(compared) <= asked:
        return []
    return attention_sentences(table, summary, compared=compared)


def attention_sentences(
    table: pd.DataFrame, summary: pd.DataFrame, *, compared: tuple[str, str]
) -> list[str]:
    """What heads look at and move at the prompt's last token, and whether two subsets differ.

    Args:
        table: Rows of an `attention` table of one run and checkpoint.
        summary: The same of its `attention_summary`.
        compared: Two subsets; the first one's heads are described.
    """
    carried = alias_cells(summary, compared[0])
    sentences = [alias_sentence(carried, compared[0], layer) for layer in _layers(carried)]
    if (n_layers := len(set(carried["layer"]))) > len(sentences):
        sentences[0] = f"Of {n_layers} layers those that move most: {sentences[0]}"
    contrast = attention_contrast(table, *compared)
    for kind, what in (
        ("pattern", "attention to the alias"),
        ("direct_logit", "what heads move from the alias to the answer's logit"),
    ):
        cells = alias_cells(contrast.assign(subset=compared[0]), compared[0])
        of_kind = cells.loc[cells["kind"] == kind]
        sentences.append(difference_sentence(of_kind, f"{what}, {compared[0]} minus {compared[1]}"))
    random = summary.loc[(summary["text"] == "random") & (summary["head"] != ALL_HEADS)]
    sentences += [
        score_sentence(random.loc[random["kind"] == kind], words)
        for kind, words in (
            ("induction", "induction (on random tokens that are repeated)"),
            ("previous_token", "attention to the previous token (on random tokens)"),
        )
    ]
    smallest, n_seeds = (summary[name].to_numpy().max() for name in ("p_smallest", "n_seeds"))
    limit = (
        f"n = {n_seeds} Stage-1 seed{'s' * int(n_seeds != 1)} can give no p below {smallest:.2g}."
    )
    return [*sentences, limit]


def alias_cells(cells: pd.DataFrame, subset: str) -> pd.DataFrame:
    """The cells from alias to prompt's last token, in questions about a subset.

    Raises:
        InputError: the table has no such cells.
    """
    chosen = cells.loc[
        (cells["subset"] == subset)
        & (cells["text"] == "qa")
        & (cells["destination"] == PROMPT_LAST)
        & (cells["source"] == ALIAS)
    ]
    if chosen.empty:
        raise InputError(f"the attention table has no questions about {subset}; choose others")
    return chosen


def alias_sentence(cells: pd.DataFrame, subset: str, layer: int) -> str:
    """How much one layer looks at the alias, and what it moves from there to the answer's logit."""
    of_layer = cells.loc[cells["layer"] == layer].set_index(["kind", "head"])
    pattern, logit = (_cell(of_layer, kind, ALL_HEADS) for kind in ("pattern", "direct_logit"))
    strongest = _cell(of_layer, "direct_logit", "#1")
    words = (
        f"{subset}, layer {layer}: at the prompt's last token the heads spend "
        f"{pattern['value']:.2f} of their attention on the alias (even attention would be "
        f"{pattern['control']:.2f}; difference {_estimate_text(pattern)}, {_p_text(pattern)}). "
        f"What they move from it adds {logit['value']:+.2f} to the answer's logit and "
        f"{logit['control']:+.2f} to the answers of other rows (difference "
        f"{_estimate_text(logit)}, {_p_text(logit)})"
    )
    if logit["p_corrected"] <= ALPHA and logit["difference"] > 0:
        share, n_heads = strongest["difference"] / logit["difference"], _n_heads(of_layer)
        words += (
            f"; the strongest head, chosen on half of the aliases, gives {share:.0%} of that on "
            f"the other half, where {1 / n_heads:.0%} would be an even share"
        )
    return f"{words}."


def difference_sentence(cells: pd.DataFrame, what: str) -> str:
    """Which cells differ between two subsets after correction; without any, the largest.

    Args:
        cells: Rows of `attention_contrast`.
        what: What is subtracted from what.
    """
    ordered = cells.sort_values("difference", key=abs, ascending=False, kind="stable")
    records = ordered.to_dict("records")
    found = [cell for cell in records if cell["p_corrected"] <= ALPHA]
    best = (found or records)[0]
    verdict = f"differs in {len(found)} of {len(records)} cells, most" if found else (
        f"differs in none of {len(records)} cells; most"
    )  # fmt: skip
    return (
        f"{what[0].upper()}{what[1:]}: {verdict} at {head_name(best['layer'], best['head'])}, "
        f"{_estimate_text(best)}, {_p_text(best)}."
    )


def score_sentence(cells: pd.DataFrame, what: str) -> str:
    """The ranked head that scores highest above its control."""
    best = cells.loc[cells["difference"].idxmax()].to_dict()
    return (
        f"Strongest {what}: {head_name(best['layer'], best['head'])} with {best['value']:.2f}, "
        f"control {best['control']:.2f} (difference {_estimate_text(best)}, {_p_text(best)})."
    )


def _layers(cells: pd.DataFrame) -> list[int]:
    """The layers that move most to the answer's logit beyond the control, in the model's order."""
    moved = cells.loc[(cells["kind"] == "direct_logit") & (cells["head"] == ALL_HEADS)]
    most = moved.sort_values("difference", key=abs, ascending=False, kind="stable")
    return sorted(most["layer"].head(MOST_LAYERS).tolist())


def _cell(of_layer: pd.DataFrame, kind: str, head: str) -> Mapping[str, Any]:
    return of_layer.loc[[(kind, head)]].to_dict("records")[0]


def _n_heads(of_layer: pd.DataFrame) -> int:
    heads = of_layer.index.get_level_values("head")
    return len({head for head in heads if head.startswith("#")})


def _estimate_text(cell: Mapping[str, Any]) -> str:
    """The difference as `wording` takes it: None where one seed has no interval."""
    low, high = (None if pd.isna(cell[name]) else cell[name] for name in ("ci_low", "ci_high"))
    return gap_text({"mean": cell["difference"], "ci_low": low, "ci_high": high})


def _p_text(cell: Mapping[str, Any]) -> str:
    return f"corrected p = {cell['p_corrected']:.2g}"
