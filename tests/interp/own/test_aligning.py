"""Gradients of a person's own prompts: always those of the plain model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import TokenizedRow, word_tokenizer
from interp.alignment.plots import plot_alignment
from interp.hooked.model import HookedModel, load_hooked_folder
from interp.own.aligning import align
from interp.own.texts import prompts
from tests.interp.own.words import ANSWERS, WORDS


@pytest.fixture(scope="module")
def others(model: HookedModel) -> list[TokenizedRow]:
    return prompts(model, ["w14 w1", "w15 w4", "w16 w8"], answers=ANSWERS)


@pytest.fixture
def folder(plain: PreTrainedModel, tmp_path: Path) -> Path:
    plain.save_pretrained(tmp_path / "my-model")
    word_tokenizer(WORDS).save_pretrained(tmp_path / "my-model")
    return tmp_path / "my-model"


def test_align(
    plain: PreTrainedModel, rows: Sequence[TokenizedRow], others: Sequence[TokenizedRow]
):
    table = align(plain, rows, others)

    cosines = table.query("measure == 'grad_cosine'")
    assert cosines["pairing"].value_counts().to_dict() == {"own": 3, "other": 6}
    own, other = (
        np.mean(cosines.loc[cosines["pairing"] == name, "value"].to_numpy())
        for name in ("own", "other")
    )
    assert own > other  # they share their answers
    same = align(plain, rows, rows).query("measure == 'grad_cosine' and pairing == 'own'")
    assert same["value"].to_numpy() == pytest.approx(1, abs=1e-5)
    figure: Any = plot_alignment(table)
    assert "one model" in figure.layout.title.text
    assert list(figure.layout.xaxis.ticktext) == ["own pairs", "all other pairs"]
    with pytest.raises(InputError, match="3 rows and 1 others"):
        align(plain, rows, others[:1])


def test_a_folder_and_what_was_opened_from_it_are_the_plain_model(
    plain: PreTrainedModel,
    rows: Sequence[TokenizedRow],
    others: Sequence[TokenizedRow],
    folder: Path,
):
    expected = align(plain, rows, others)

    for model in (folder, str(folder), load_hooked_folder(folder)):
        pd.testing.assert_frame_equal(align(model, rows, others), expected)


def test_a_hooked_model_of_a_plain_one_is_refused(
    model: HookedModel, rows: Sequence[TokenizedRow], others: Sequence[TokenizedRow]
):
    with pytest.raises(InputError, match="made of a plain one, which it does not keep; give"):
        align(model, rows, others)


def test_a_folder_that_changed_is_refused(
    plain: PreTrainedModel,
    rows: Sequence[TokenizedRow],
    others: Sequence[TokenizedRow],
    folder: Path,
):
    hooked = load_hooked_folder(folder)
    erasing = ("blocks.0.hook_mlp_out", lambda x, hook: torch.zeros_like(x))
    with hooked.hooks([erasing]), pytest.raises(InputError, match="or hooks are on it"):
        align(hooked, rows, others)
    weight = next(hooked.bridge.original_model.parameters())
    with torch.no_grad():
        weight.copy_(weight.flip(0))
    with pytest.raises(InputError, match="no longer holds the weights of this hooked model"):
        align(hooked, rows, others)
    hooked.refresh(plain)  # from memory
    with pytest.raises(InputError, match="made of a plain one"):
        align(hooked, rows, others)


def test_rows_of_another_tokenizer_than_the_folder_s_are_refused(
    rows: Sequence[TokenizedRow], others: Sequence[TokenizedRow], folder: Path
):
    word_tokenizer(WORDS[::-1]).save_pretrained(folder)

    with pytest.raises(InputError, match=r"tokens of a tokenizer of 40 tokens; to .*my-model,"):
        align(folder, rows, others)
