from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from data.tasks.alias_toy import AliasNames, IMLConfig
from data.tasks.source_toy import SourceConfig
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import WordOrder

MakeRows = Callable[..., list[TokenizedRow]]
MakeConfig = Callable[..., Any]
SIZES = SubsetSizes(defined=12, undefined=5, stage2=4)


@pytest.fixture
def iml_config() -> Callable[..., IMLConfig]:
    """Makes a small alias toy, with changes."""
    config = IMLConfig(
        sizes=SIZES,
        names=AliasNames(),
        word_order=WordOrder.TAE,
        shuffle_tags=False,
        n_entities=6,
        n_attributes=3,
        n_values=4,
        held_out_questions=1,
        fact_repeats=2,
    )

    def make(**changes: Any) -> IMLConfig:
        return replace(config, **changes)

    return make


@pytest.fixture
def source_config() -> Callable[..., SourceConfig]:
    """Makes a small source toy, with changes."""
    config = SourceConfig(
        sizes=SIZES,
        names=AliasNames(),
        word_order=WordOrder.TAE,
        shuffle_tags=False,
        n_attributes=3,
        n_values=4,
        held_out_questions=1,
    )

    def make(**changes: Any) -> SourceConfig:
        return replace(config, **changes)

    return make


@pytest.fixture
def toy(iml_config: MakeConfig) -> MakeRows:
    """Makes the tokenized rows of a small alias toy, with changes to its config."""

    def make(seed: int = 0, **changes: Any) -> list[TokenizedRow]:
        drawn = iml_config(**changes).build(seed)
        return tokenize_rows(drawn.rows, word_tokenizer(drawn.words))

    return make


@pytest.fixture
def source_toy(source_config: MakeConfig) -> MakeRows:
    """Makes the tokenized rows of a small source toy, with changes to its config."""

    def make(**changes: Any) -> list[TokenizedRow]:
        drawn = source_config(**changes).build(0)
        return tokenize_rows(drawn.rows, word_tokenizer(drawn.words))

    return make
