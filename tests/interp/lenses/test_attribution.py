from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from data.tokens import TokenizedRow
from interp.hooked.activations import pad_tokens
from interp.hooked.model import HookedModel
from interp.lenses.attribution import attribute_logits

OTHER = 5


@torch.no_grad()
def answer_and_other_logits(
    model: HookedModel, rows: list[TokenizedRow]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of the answer and of another token at the prompt's end."""
    logits = model.logits(pad_tokens([row.input_ids for row in rows]))
    ends = [row.answer_positions[0] - 1 for row in rows]
    at_end = logits[range(len(rows)), ends]
    answers = [row.input_ids[row.answer_positions[0]] for row in rows]
    return at_end[range(len(rows)), answers], at_end[:, OTHER]


def sums_by_row(parts: pd.DataFrame) -> np.ndarray:
    return np.bincount(parts["row"].to_numpy(), weights=parts["logit"].to_numpy())


def test_the_parts_sum_to_the_logit_of_the_processed_model(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    parts = attribute_logits(any_model, word_prompts)
    expected, _ = answer_and_other_logits(any_model.processed(), word_prompts)

    assert expected.std() > 0.1
    assert sums_by_row(parts) == pytest.approx(expected.numpy(), abs=1e-4)


def test_differences_are_those_of_the_model_itself(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    parts = attribute_logits(any_model, word_prompts, against=[OTHER] * len(word_prompts))
    answers, others = answer_and_other_logits(any_model, word_prompts)

    assert sums_by_row(parts) == pytest.approx((answers - others).numpy(), abs=1e-4)


def test_every_component_has_one_row_for_each_prompt(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    parts = attribute_logits(neox, word_prompts)
    components = [("embed", 0), ("attn_out", 0), ("mlp_out", 0), ("attn_out", 1), ("mlp_out", 1)]

    assert list(parts.columns) == ["row", "component", "layer", "logit", "quantity"]
    assert set(parts["quantity"]) == {"centred logit"}
    assert parts.groupby(["component", "layer"]).size().to_dict() == dict.fromkeys(
        [*components, ("bias", -1)], len(word_prompts)
    )


def test_a_component_that_writes_nothing_adds_nothing(
    random_model: Callable[[str], torch.nn.Module], word_prompts: list[TokenizedRow]
):
    plain = random_model("neox")
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if "layers.1.mlp.dense_4h_to_h" in name:
                parameter.zero_()
    model = HookedModel.from_hf(plain)  # pyright: ignore[reportArgumentType]
    parts = attribute_logits(model, word_prompts).set_index(["component", "layer"])["logit"]

    assert parts.loc[("mlp_out", 1)].abs().max() < 1e-6
    assert parts.loc[("mlp_out", 0)].abs().max() > 1e-2


def test_the_model_stays_as_it_was(
    any_model: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(any_model)
    attribute_logits(any_model, word_prompts)

    assert state_of(any_model) == before
