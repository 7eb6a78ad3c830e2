"""Codes of planted embeddings are found, also where the same entity has several; others are not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from data.design import Design
from data.errors import InputError
from data.tasks.iml import iml_design
from data.tasks.margins import Toy, toy_margins
from data.tokens import TokenizedRow
from data.vocabulary import Kind
from interp.turns.codes import AliasCodes, unreliable_kind

SIZES = {"n_entities": 5}


@pytest.fixture(scope="module")
def design() -> Design:
    return iml_design(toy_margins(Toy.ONE_TOKEN))


@pytest.fixture(scope="module")
def rows(toy_rows: Callable[..., list[TokenizedRow]]) -> list[TokenizedRow]:
    return toy_rows(**SIZES)


@pytest.fixture(scope="module")
def codes(rows: list[TokenizedRow], design: Design) -> AliasCodes:
    return AliasCodes.of(rows, design)


def planted(codes: AliasCodes, kinds: dict[str, Tensor]) -> Tensor:
    """Rows that are the sum of the codes of what questions and definition name, and noise."""
    draw = torch.Generator().manual_seed(1)
    embedding = 0.05 * torch.randn(500, 32, generator=draw)
    for alias in codes.aliases:
        embedding[alias.token] += kinds["question"][codes.entities.index(alias.asked)]
        if alias.defined is not None and str(alias.subset.tag) in kinds:
            embedding[alias.token] += kinds[str(alias.subset.tag)][
                codes.entities.index(alias.defined)
            ]
    return embedding


def test_a_false_definition_names_another_entity_than_the_questions(codes: AliasCodes):
    of_lower = [a for a in codes.aliases if a.subset.name == "D2_INCONS_QA2"]
    assert len(of_lower) == 20
    assert all(alias.defined not in (None, alias.asked) for alias in of_lower)
    of_higher = [a for a in codes.aliases if a.subset.name == "D1_CONS_QA1"]
    assert all(alias.defined == alias.asked for alias in of_higher)
    assert {a.defined for a in codes.aliases if a.subset.name == "QA3"} == {None}


def test_planted_codes_are_told_apart(codes: AliasCodes):
    draw = torch.Generator().manual_seed(0)
    truth = {kind: torch.randn(5, 32, generator=draw) for kind in codes.kinds}
    embedding = planted(codes, truth)
    for kind, true in truth.items():
        found = codes.estimate(embedding, kind)
        centred = true - true.mean(0)
        cosines = cosine_similarity(found, centred, dim=-1)
        # A reliable definition names the entity of its questions: other aliases tell them apart.
        assert cosines.min() > (0.99 if kind != "reliable" else 0.97), kind
        assert found.mean(0).abs().max() < 1e-6
        lengths = found.norm(dim=-1) / centred.norm(dim=-1)
        assert lengths.tolist() == pytest.approx([1.0] * 5, abs=0.1), kind


def test_where_definitions_write_nothing_their_code_is_short(codes: AliasCodes):
    draw = torch.Generator().manual_seed(0)
    truth = {"question": torch.randn(5, 32, generator=draw)}
    embedding = planted(codes, truth)
    lengths = {kind: codes.estimate(embedding, kind).norm(dim=-1).mean() for kind in codes.kinds}
    assert lengths["unreliable"] < 0.05 * lengths["question"]
    assert lengths["reliable"] < 0.1 * lengths["question"]


def test_an_entity_that_no_alias_of_a_kind_names_has_no_code_of_it(
    rows: list[TokenizedRow], codes: AliasCodes, design: Design
):
    without = codes.entities[0]
    kept = [
        each
        for each in rows
        if (each.row.subset.name, each.row.kind, each.row.entity)
        != ("D2_INCONS_QA2", Kind.DEFINITION, without)
    ]
    fewer = AliasCodes.of(kept, design)
    assert fewer.entities == codes.entities
    draw = torch.Generator().manual_seed(0)
    truth = {kind: torch.randn(5, 32, generator=draw) for kind in codes.kinds}
    found = fewer.estimate(planted(fewer, truth), "unreliable")
    assert found[0].tolist() == [0.0] * 32
    others = truth["unreliable"][1:]
    assert cosine_similarity(found[1:], others - others.mean(0), dim=-1).min() > 0.97


def test_the_design_s_lower_tag_is_the_unreliable_one(design: Design):
    assert str(unreliable_kind(design)) == "unreliable"


def test_aliases_of_several_tokens_and_too_few_of_an_entity_are_refused(
    toy_rows: Callable[..., list[TokenizedRow]], design: Design
):
    from data.tasks.alias_toy import AliasNames

    several = toy_rows(**SIZES, names=AliasNames(tokens=2, syllables=30))
    with pytest.raises(InputError, match="alias_tokens=1"):
        AliasCodes.of(several, design)
    with pytest.raises(InputError, match="share few entities"):
        AliasCodes.of(toy_rows(n_entities=40), design)


def test_every_alias_is_counted_once_whatever_its_questions(
    rows: list[TokenizedRow], codes: AliasCodes
):
    named = {r.row.alias for r in rows if r.row.kind is Kind.DEFINITION}
    assert len(codes.aliases) > len(named)
    tokens = [alias.token for alias in codes.aliases]
    assert len(set(tokens)) == len(tokens)
