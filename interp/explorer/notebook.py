"""What does this model make of this question? A panel for Jupyter to look, patch and ablate.

    from interp.explorer import explore
    from training.runs.run import Run

    explore(Run.load("runs/alias-toy"), seed=1000, stage=2, subset="D5_CONS")

Several runs, of other word orders say, make one explorer with a menu of runs. It needs the extra
`notebook` (ipywidgets and anywidget) and no network.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data.errors import InputError
from interp.explorer.choice import first_choice
from interp.explorer.shelf import Shelf
from training.runs.run import Run

if TYPE_CHECKING:
    from interp.explorer.widgets import Explorer


def explore(
    run: Run | Sequence[Run],
    *,
    seed: int | None = None,
    stage: int | None = None,
    step: int | None = None,
    subset: str | None = None,
    alias: str | None = None,
    question: str | None = None,
) -> "Explorer":
    """Menus, texts and figures about one question to one checkpoint, to be shown by Jupyter.

    The keywords say what to show first, of the first run; unless given, the last step of Stage 2
    and the first question about what the design expects to be ahead.

    Args:
        run: A finished run, or several.
        seed: A Stage-1 seed.
        stage: 1 or 2.
        step: A checkpoint of the stage.
        subset: Whose aliases to ask about.
        alias: One of them.
        question: An attribute to ask for.

    Raises:
        InputError: there is no such thing in the run, no checkpoint, or ipywidgets is missing.
    """
    runs = [run] if isinstance(run, Run) else list(run)
    if not runs or not all(isinstance(each, Run) for each in runs):
        raise InputError("explore() takes a run or several; open one with Run.load(folder)")
    for each in runs:
        each.require_finished()
    try:
        from interp.explorer.widgets import Explorer
    except ImportError as error:
        raise InputError(
            f"explore() needs a package that is not here ({error.name}); "
            'install it with pip install "iml-workbench[notebook]"'
        ) from error
    shelf = Shelf(runs)
    choice = first_choice(
        shelf, seed=seed, stage=stage, step=step, subset=subset, alias=alias, question=question
    )
    assert choice.seed is not None
    runs[0].tokenized_rows(choice.seed)  # compares all rows with those that were trained on
    return Explorer(shelf, choice)
