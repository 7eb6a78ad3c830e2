"""What the weights of one layer say, in sentences; behind each number that of the control."""

import pandas as pd

from interp.figures.seed_marks import over_seeds
from interp.one_layer.measures import FROBENIUS, NUCLEAR, OTHER, OWN
from training.models.own import AFTER, BEFORE

PROMPTED = {"alias": "x'"}


def blocks_found(table: pd.DataFrame, control: pd.DataFrame | None = None) -> list[str]:
    """Blocks, spectrum, direction and probabilities at the last step.

    Args:
        table: Rows of a `blocks` table of one run.
        control: Those of its control.
    """
    last, of_control = _at_end(table), None if control is None else _at_end(control)
    sentences = _direction_sentences(last, of_control)
    blocks = last.loc[last["quantity"] == "block"]
    for part in dict.fromkeys(blocks["part"]):
        own, other = ((part, state) for state in (OWN, OTHER))
        sentences.append(
            f"{part}: {_mean(last, 'block', *own)} to the word that belongs, "
            f"{_mean(last, 'block', *other)} to others"
            + _behind(of_control, ("block", *own), ("block", *other))
        )
    sentences.append(
        f"Nuclear norm of the value matrix {_mean(last, NUCLEAR)}, Frobenius norm "
        f"{_mean(last, FROBENIUS)}" + _behind(of_control, (NUCLEAR,), (FROBENIUS,))
    )
    for subset in dict.fromkeys(last.loc[last["quantity"] == "probability", "part"]):
        sentences.append(
            f"Mean probability of the answer, {subset}: {_mean(last, 'probability', subset)}"
            + _behind(of_control, ("probability", subset))
        )
    n = table["seed"].nunique()
    return [*sentences, f"Means over n = {n} seed{'s' * (n > 1)} at the last step, 95% intervals."]


def _direction_sentences(last: pd.DataFrame, control: pd.DataFrame | None) -> list[str]:
    """How well the two kinds of texts are told apart at each place."""
    found = []
    auc = last.loc[last["quantity"] == "auc"]
    for place in dict.fromkeys(auc["part"]):
        said = [
            f"{_mean(last, 'auc', place, state)} {state}"
            for state in (AFTER, BEFORE)
            if state in set(auc["state"])
        ]
        behind = "" if control is None else _behind(control, ("auc", place, BEFORE))
        found.append(
            f"AUC of a linear classifier at {PROMPTED.get(place, place)} (.5 guesses): "
            f"{', '.join(said)}{behind}"
        )
    return found


def _at_end(table: pd.DataFrame) -> pd.DataFrame:
    rows = table.loc[table["step"] == table.groupby("seed")["step"].transform("max")]
    return over_seeds(rows, ["quantity", "part", "state"], "value")


def _behind(control: pd.DataFrame | None, *keys: tuple[str, ...]) -> str:
    if control is None:
        return ""
    return f"; control {', '.join(_mean(control, *key) for key in keys)}"


def _mean(cells: pd.DataFrame, quantity: str, part: str = "", state: str = "") -> str:
    is_cell = (cells["quantity"] == quantity) & (cells["part"] == part) & (cells["state"] == state)
    (cell,) = cells.loc[is_cell].to_dict("records")
    decimals = 3 if quantity in ("auc", "probability") else 2
    interval = (
        f" [{cell['ci_low']:.{decimals}f}, {cell['ci_high']:.{decimals}f}]"
        if cell["n_seeds"] > 1
        else ""
    )
    return f"{cell['mean']:.{decimals}f}{interval}"
