"""What does this model make of this prompt? A board for Jupyter to look, patch and ablate.

    from interp import explore, open_run, load_hooked_folder, prompts

    explore(open_run("runs/alias-toy"), seed=1000, stage=2, subset="D5_CONS")

    model = load_hooked_folder("models/tinystories-656k")
    explore(model, prompts(model, ["Lily has a red"], answers=["ball"], roles={"who": "Lily"}))

Several runs, of other word orders say, make one explorer with a menu of runs. It needs the extra
`notebook` (ipywidgets and anywidget) and no network.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from data.pairs import PromptPair, check_pair
from data.tokens import TokenizedRow
from interp.explorer.choice import first_choice
from interp.explorer.shelf import Shelf
from interp.hooked.activations import check_rows
from interp.hooked.model import HookedModel
from training.runs.run import Run

if TYPE_CHECKING:
    from interp.explorer.widgets import Explorer


def explore(
    run: Run | Sequence[Run] | HookedModel | object,
    prompts: Sequence[TokenizedRow] | Sequence[PromptPair] | object = (),
    *,
    seed: int | None = None,
    stage: int | None = None,
    step: int | None = None,
    subset: str | None = None,
    alias: str | None = None,
    question: str | None = None,
) -> "Explorer":
    """Menus, texts and figures about one prompt to one model, to be shown by Jupyter.

    Of a run the prompts are its questions, of any other model those that are given; a person can
    type others. The keywords say what to show first, of the first run; unless given, the last step
    of Stage 2 and the first question about what the design expects to be ahead.

    Args:
        run: A finished run, or several; or any hooked model.
        prompts: Of a hooked model: rows of `interp.prompts`, or pairs of `interp.prompt_pairs`, to
            patch with.
        seed: A Stage-1 seed.
        stage: 1 or 2.
        step: A checkpoint of the stage.
        subset: Whose aliases to ask about.
        alias: One of them.
        question: An attribute to ask for.

    Raises:
        InputError: there is no such thing in the run, no checkpoint, no prompt or one that the
            model cannot read, or ipywidgets is missing.
    """
    first = {
        "seed": seed, "stage": stage, "step": step, "subset": subset, "alias": alias,
        "question": question,
    }  # fmt: skip
    if isinstance(run, HookedModel):
        return _explore_prompts(run, prompts, [name for name, value in first.items() if value])
    if isinstance(prompts, Sequence) and not len(prompts):
        return _explore_runs([run] if isinstance(run, Run) else run, first)
    raise InputError("prompts go with a hooked model; a run asks its own questions")


def _explore_runs(given: Any, first: dict[str, Any]) -> "Explorer":
    runs = list(given) if isinstance(given, Sequence) else []
    if not runs or not all(isinstance(each, Run) for each in runs):
        raise InputError(
            "explore() takes a run or several, or a hooked model with its prompts; open one with "
            "open_run(folder) or load_hooked_folder(folder)"
        )
    for each in runs:
        each.require_finished()
    explorer = _explorer()
    shelf = Shelf(runs)
    choice = first_choice(shelf, **first)
    assert choice.seed is not None
    runs[0].tokenized_rows(choice.seed)  # compares all rows with those that were trained on
    from interp.explorer.sources import RunSource

    return explorer(RunSource(shelf), choice)


def _explore_prompts(model: HookedModel, prompts: Any, keywords: list[str]) -> "Explorer":
    if keywords:
        raise InputError(f"a model has no {', '.join(keywords)}; leave that out, or give a run")
    given = [prompts] if isinstance(prompts, TokenizedRow | PromptPair) else prompts
    found = list(given) if isinstance(given, Sequence) else []
    kinds = {type(each) for each in found}
    if len(kinds) != 1 or not kinds < {TokenizedRow, PromptPair}:
        raise InputError(
            "no prompts to look at; give rows of prompts(model, texts, answers=...), or pairs of "
            "prompt_pairs(...)"
        )
    for each in found:
        if isinstance(each, PromptPair):
            check_pair(each)
        check_rows(
            model, [each] if isinstance(each, TokenizedRow) else [each.clean, each.corrupted]
        )
    explorer = _explorer()
    from interp.explorer.sources import PromptChoice, PromptSource

    return explorer(PromptSource(model, found), PromptChoice())


def _explorer() -> "type[Explorer]":
    try:
        from interp.explorer.widgets import Explorer
    except ImportError as error:
        raise InputError(
            f"explore() needs a package that is not here ({error.name}); "
            'install it with pip install "iml-workbench[notebook]"'
        ) from error
    return Explorer
