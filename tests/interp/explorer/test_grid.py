"""The grid of a prompt: patches and ablations of each cell are those of one pass with a hook."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from data.rows import PROMPTS
from data.tokens import TokenizedRow
from interp.explorer.grid import QUICK, cells_of_rows, grid_of_view, grid_without_effects, is_quick
from interp.explorer.shelf import SeedRows
from interp.explorer.tables import logit_differences
from interp.explorer.view import Edit, View, own_view, read_view
from interp.hooked.model import HookedModel
from interp.patching.analysis import Direction

ViewOf = Callable[[HookedModel, SeedRows], View]


def test_the_patching_grid_is_one_pass_with_a_hook_a_cell(
    any_model: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    view = view_of(any_model, word_rows)
    grid = grid_of_view(view)
    answer, foil = view.question.input_ids[-1], view.corrupted.input_ids[-1]  # pyright: ignore
    corrupted = torch.tensor([view.corrupted.input_ids[:-1]])  # pyright: ignore
    both = logit_differences(view, read_view(view))
    assert both is not None
    for cell, effect in zip(cells_of_rows(grid, view), grid["effect"], strict=True):
        _, cache = any_model.run_with_cache(
            torch.tensor([view.question.input_ids[:-1]]), [cell.site.hook]
        )
        clean, position = cache[cell.site.hook], cell.role.position(view.question)

        def patch(activation: Tensor, hook: object) -> Tensor:
            patched = activation.clone()
            at = (0, position) if cell.site.head is None else (0, position, cell.site.head)  # noqa: B023
            patched[at] = clean[at]  # noqa: B023
            return patched

        with any_model.hooks([(cell.site.hook, patch)]):
            logits = any_model.logits(corrupted)[0, -1]
        patched = float(logits[answer] - logits[foil])
        assert effect == pytest.approx((patched - both[1]) / (both[0] - both[1]), abs=1e-3)


def test_all_of_the_difference_enters_at_the_alias(
    neox: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    view = view_of(neox, word_rows)
    for direction in Direction:
        grid = grid_of_view(view, direction).set_index(["site", "layer", "role"])["effect"]
        effects = grid.to_dict()
        assert effects["resid_pre", 0, "alias_last"] == pytest.approx(1, abs=1e-4)
        assert effects["resid_pre", 0, "question_last"] == pytest.approx(0, abs=1e-4)


def _as_own(view: View) -> TokenizedRow:
    row = view.question.row
    return replace(view.question, row=replace(row, subset=PROMPTS))


@pytest.mark.parametrize("edit", [Edit.ZERO, Edit.MEAN])
def test_without_a_corrupted_prompt_the_grid_is_one_pass_with_an_ablation_a_cell(
    neox: HookedModel, word_rows: SeedRows, view_of: ViewOf, edit: Edit
) -> None:
    questions = replace(view_of(neox, word_rows), corrupted=None)
    own = own_view(neox, word_rows, _as_own(questions), None)
    for view in (questions, own):
        grid = grid_of_view(view, edit=edit)
        before = read_view(view).log_probs[view.answer]
        cells = cells_of_rows(grid, view)
        assert {cell.role for cell in cells} == set(view.roles)
        for cell, effect in zip(cells, grid["effect"], strict=True):
            after = read_view(view, [cell], edit).log_probs[view.answer]
            assert effect == pytest.approx(float(after - before), abs=1e-4)
        assert np.abs(grid["effect"]).max() > 1e-2
    assert logit_differences(own, read_view(own)) is None


def test_every_token_of_an_own_prompt_is_a_column(
    neox: HookedModel, word_rows: SeedRows, view_of: ViewOf
) -> None:
    view = own_view(neox, word_rows, _as_own(view_of(neox, word_rows)), None)
    assert [role.position(view.question) for role in view.roles] == [0, 1, 2]


def test_cells_of_a_grid_that_is_not_computed_are_the_same(
    neox: HookedModel, word_rows: SeedRows, view_of: ViewOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = view_of(neox, word_rows)
    grid, without = grid_of_view(view), grid_without_effects(view)
    assert cells_of_rows(grid, view) == cells_of_rows(without, view)
    assert np.isnan(without["effect"]).all()
    assert is_quick(view)
    monkeypatch.setattr("interp.explorer.grid.QUICK", QUICK / 1e9)
    assert not is_quick(view)
