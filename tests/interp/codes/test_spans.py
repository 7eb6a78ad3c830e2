"""Two aliases of one entity exchanged, wholly or in a code's directions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from interp.codes import spans
from interp.codes.analysis import seed_codes
from interp.codes.places import CodePlace
from interp.codes.seed_codes import SeedCodes
from interp.codes.span_wording import span_sentences
from interp.codes.spans import measure_spans, partners_of, within
from interp.hooked.model import load_hooked
from training.runs.run import Run

SEED = 1000


@pytest.fixture(scope="module")
def model(tiny_run: Run):
    return load_hooked(tiny_run, SEED, 2)


@pytest.fixture(scope="module")
def codes(tiny_run: Run, model) -> SeedCodes:
    return seed_codes(tiny_run, model, tiny_run.tokenized_rows(SEED), CodePlace(), SEED)


@pytest.fixture(scope="module")
def table(codes: SeedCodes, model) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("interp.codes.nulls.N_DRAWS", 1)
        patch.setattr(spans, "CODES", ("question",))
        patch.setattr(spans, "ENOUGH", 0.0)  # of this little run's aliases some have no partner
        return measure_spans(codes, model, CodePlace())


def test_a_partner_is_of_the_same_entity_and_of_the_other_subset(codes: SeedCodes):
    partners, changes = partners_of(codes), codes.changes
    assert (changes.numbers[partners] == changes.numbers).all()
    for number in np.unique(changes.numbers):
        for side in (True, False):
            own = (changes.numbers == number) & (changes.is_higher == side)
            others = (changes.numbers == number) & (changes.is_higher != side)
            if not others.any():
                assert (partners[own] == own.nonzero()[0]).all()  # it is its own
                continue
            assert others[partners[own]].all()
            drawn = len(set(partners[own]))
            assert drawn == min(int(own.sum()), int(others.sum()))  # none twice before each once


def test_where_entities_have_aliases_on_one_side_only_nothing_is_exchanged(codes: SeedCodes, model):
    alone = replace(codes)
    own = np.arange(len(codes.changes.numbers))
    alone.__dict__["changes"] = replace(codes.changes, numbers=own)  # one alias an entity
    assert (partners_of(alone) == own).all()
    assert measure_spans(alone, model, CodePlace()).empty


@torch.no_grad()
def test_whole_vectors_exchanged_are_tokens_exchanged(codes: SeedCodes, model, table):
    """The gap after it is that of a model whose aliases' tokens have changed places."""
    partners = partners_of(codes)
    log_probs = np.zeros(len(partners))
    for at, alias in enumerate(codes.aliases.compared):
        partner = codes.aliases.compared[partners[at]].questions[0]
        for row in alias.questions:
            tokens = list(row.input_ids)
            tokens[row.spans["alias"][0]] = partner.input_ids[partner.spans["alias"][0]]
            (place,) = row.answer_positions
            logits = model.logits(torch.tensor([tokens]))[0, place - 1].log_softmax(-1)
            log_probs[at] += logits[tokens[place]].item() / len(alias.questions)
    is_higher = codes.changes.is_higher
    expected = log_probs[is_higher].mean() - log_probs[~is_higher].mean()
    gaps = table.loc[(table["quantity"] == "gap") & (table["edit"] == "whole"), "value"]
    assert gaps.item() == pytest.approx(expected, abs=1e-4)


def test_a_span_and_what_lies_beside_it_are_the_whole(codes: SeedCodes, table):
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(8, 3)))[0].T
    vectors = rng.normal(size=(5, 8))
    beside = vectors - within(vectors, directions)
    np.testing.assert_allclose(beside @ directions.T, 0, atol=1e-12)
    np.testing.assert_allclose(within(within(vectors, directions), directions),
                               within(vectors, directions))  # fmt: skip
    gaps = table.loc[table["quantity"] == "gap"]
    assert set(gaps["edit"]) == {"span", "beside", "whole", "changed_span", "changed_whole"}
    nulls = gaps.set_index("edit")[["null_random", "null_permuted", "null_tag"]].notna().all(axis=1)
    assert nulls.to_dict() == {"span": True, "changed_span": True, "beside": False,
                               "whole": False, "changed_whole": False}  # fmt: skip
    directions = table.loc[table["quantity"] == "directions", "value"].item()
    assert 1 <= directions < len(codes.before.entities)


def test_a_sentence_says_what_lies_in_the_directions_and_beside_them(tiny_run: Run):
    def cell(value: float) -> dict[str, float]:
        ends = {"value_low": value - 0.1, "value_high": value + 0.1, "value": value}
        return ends | {"null_random": 0.1, "null_tag": 0.2, "null_permuted": 0.3}

    main = tiny_run.design.main
    shares = {"span": 0.9, "beside": 0.05, "changed_span": 0.7}
    known = {("question", main.gap, edit, "share"): cell(value) for edit, value in shares.items()}
    known |= {("", main.gap, edit, "share"): cell(1.0) for edit in ("whole", "changed_whole")}
    known["question", "", "", "directions"] = {"value": 5.5}

    first, second = span_sentences(known, main)
    assert "the 5.5 directions of the questions' code explains 90% [80%, 100%] of the gap" in first
    assert "all else 5% [-5%, 15%]; as many random directions 10%" in first
    assert "the same directions explain 70% [60%, 80%]" in second
    assert span_sentences({}, main) == []
