import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from data.tasks.alias_toy import AliasNames
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow
from data.vocabulary import Kind
from interp.attention.patterns import attention_by_role
from interp.grids.grid import measure_grid
from interp.grids.selection import GridSelection
from interp.hooked.answers import ANSWER_METRICS
from interp.hooked.model import HookedModel
from interp.hypotheses.alias_changes import ChangePair, defined_aliases
from interp.hypotheses.alias_edits import added_to, alias_attention, mean_nats
from interp.hypotheses.change_analysis import ChangeAnalysis, lateness
from interp.interventions.base import answer_table
from interp.planted.processes import planted_run
from training.designs import recipe_design

FEW_ENTITIES = {"n_entities": 4, "sizes": SubsetSizes(defined=20, undefined=8, stage2=12)}
MAIN = recipe_design("alias-toy").main


@pytest.fixture(scope="module")
def rows(toy_rows: Callable[..., list[TokenizedRow]]) -> list[TokenizedRow]:
    return toy_rows(**FEW_ENTITIES)


@pytest.fixture(scope="module")
def plain(rows: list[TokenizedRow]) -> GPTNeoXForCausalLM:
    """A model of random weights whose embeddings are no unembedding."""
    torch.manual_seed(0)
    n_words = 1 + max(token for row in rows for token in row.input_ids)
    shape: dict[str, Any] = {"vocab_size": n_words, "hidden_size": 16, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 2, "intermediate_size": 32, "tie_word_embeddings": False}
    return GPTNeoXForCausalLM(GPTNeoXConfig(**shape, max_position_embeddings=32)).eval()


def embeddings(model: GPTNeoXForCausalLM) -> torch.Tensor:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight


@pytest.fixture(scope="module")
def pair(rows: list[TokenizedRow], plain: GPTNeoXForCausalLM) -> ChangePair:
    before = embeddings(plain).detach().numpy()
    after = before + np.random.default_rng(0).normal(size=before.shape).astype(np.float32)
    found = ChangePair.of(rows, MAIN, before, after)
    assert found is not None
    return found


def asked(rows: list[TokenizedRow], name: str) -> list[TokenizedRow]:
    return [row for row in rows if row.row.is_evaluated and row.row.subset.name == name]


def test_adding_at_an_alias_is_changing_its_embedding(
    rows: list[TokenizedRow], plain: GPTNeoXForCausalLM, pair: ChangePair
) -> None:
    side, questions = pair.lower, asked(rows, MAIN.lower.name)
    vectors = np.random.default_rng(1).normal(size=side.added.shape)
    moved = copy.deepcopy(plain)
    with torch.no_grad():
        embeddings(moved)[list(side.aliases.tokens)] += torch.tensor(vectors).float()
    hooked, other = (HookedModel.from_hf(model) for model in (plain, moved))
    wanted = answer_table(other, questions)["answer_log_prob"].mean()
    assert mean_nats(hooked, questions, side, vectors) == pytest.approx(wanted, abs=1e-5)
    assert mean_nats(hooked, questions) != pytest.approx(wanted, abs=1e-4)
    assert ANSWER_METRICS[1] == "answer_log_prob"
    edited = alias_attention(hooked, questions, added_to(side, vectors))
    np.testing.assert_allclose(edited, alias_attention(other, questions), atol=1e-5)


def test_attention_to_the_alias_is_that_of_the_attention_analysis(
    rows: list[TokenizedRow], plain: GPTNeoXForCausalLM
) -> None:
    hooked, questions = HookedModel.from_hf(plain), asked(rows, MAIN.higher.name)
    found = attention_by_role(hooked, questions, roles=("alias",))
    wanted = found.weights[:, :, :, found.destinations.index("prompt_last"), 0]
    shape = (len(questions), -1)
    np.testing.assert_allclose(alias_attention(hooked, questions), wanted.reshape(shape), atol=1e-6)


def test_changes_are_read_where_aliases_of_one_token_share_entities(
    toy_rows: Callable[..., list[TokenizedRow]], rows: list[TokenizedRow]
) -> None:
    zeros = np.zeros((500, 4))
    long = toy_rows(**FEW_ENTITIES, names=AliasNames(tokens=2, syllables=40))
    assert ChangePair.of(long, MAIN, zeros, zeros) is None
    assert not defined_aliases(long, MAIN)
    (higher, lower) = defined_aliases(rows, MAIN)
    assert len(higher.names) == len(lower.names) == 12
    kinds = {row.row.alias: row.row.entity for row in rows if row.row.kind is Kind.DEFINITION}
    assert [kinds[name] for name in higher.names] == list(higher.entities)


def test_half_of_a_change_is_timed_between_checkpoints(pair: ChangePair) -> None:
    """The higher subset's rows change evenly, the lower one's all at once at a quarter."""
    tokens = [list(side.aliases.tokens) for side in (pair.higher, pair.lower)]
    size = 1 + max(map(max, tokens))
    steps, course = [0, 25, 50, 100], []
    for step in steps:
        table = np.zeros((size, pair.higher.added.shape[1]))
        table[tokens[0]] = pair.higher.added * step / 100
        table[tokens[1]] = pair.lower.added * (step >= 25)
        course.append(table)
    assert lateness(pair, course, steps) == pytest.approx(0.5 - 0.125)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "part", "quantity"),
    [("storage", "direction", "apart"), ("strength", "length", "length"),
     ("shift", "constant", ""), ("truth", "tags", "tag_cosine"),
     ("reading", "constant", "attention"), ("recency", "length", "later")],
)  # fmt: skip
def test_each_planted_cause_is_seen_and_none_in_its_twin(
    kind: str, part: str, quantity: str, tmp_path: Path
) -> None:
    run = planted_run(kind, 5, tmp_path / kind, n_seeds=2)
    selection = GridSelection(runs=(run,), stage=2)
    summary = measure_grid(ChangeAnalysis(folder=run.folder), selection, workers=1)[1]
    keys = zip(summary["quantity"], summary["part"], summary["subset"], strict=True)
    cells = dict(zip(keys, summary[["value", "control"]].to_numpy().tolist(), strict=True))
    gap, lower = cells["gap", "", ""][0], MAIN.lower.name
    shares = {
        each: cells["closed", each, lower][0] / gap
        for each in ("direction", "length", "constant", "tags")
    }
    assert shares.pop(part) > 0.5
    if kind == "truth":
        shares.pop("constant")  # the tags' direction is one
    assert max(map(abs, shares.values())) < 0.25
    if quantity:
        value, control = cells[quantity, "", ""]
        assert value > 0.3
        assert abs(control) < 0.3
