from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from data.errors import InputError
from data.tasks.iml import IML_GAP
from data.tasks.subset_sizes import SubsetSizes
from data.tokens import TokenizedRow
from data.vocabulary import Kind
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.base import answer_table
from interp.interventions.erasure_analysis import ErasureAnalysis
from interp.interventions.erasure_halves import STAGE2, Halves
from interp.interventions.wording import erasure_sentence
from training.files import write_manifest, write_table
from training.runs.run import Run

StateOf = Callable[[HookedModel], tuple[object, ...]]
ToyRows = Callable[..., list[TokenizedRow]]
ALIAS = TokenRole.ALIAS_LAST
N_ENTITIES, N_WORDS = 12, 40


@pytest.fixture(scope="module")
def rows(toy_rows: ToyRows) -> list[TokenizedRow]:
    """A toy's rows, token ids folded into the tiny models' vocabulary."""
    sizes = SubsetSizes(defined=200, undefined=8, stage2=24)
    return fold(toy_rows(sizes=sizes, n_entities=N_ENTITIES, n_attributes=2))


def fold(rows: list[TokenizedRow]) -> list[TokenizedRow]:
    return [replace(row, input_ids=tuple(i % N_WORDS for i in row.input_ids)) for row in rows]


def at(table: pd.DataFrame, **where: object) -> dict[str, Any]:
    for name, value in where.items():
        table = table.loc[table[name] == value]
    (record,) = table.to_dict("records")
    return record


def test_every_site_and_role_has_a_cell_on_every_architecture(
    any_model: HookedModel, toy_rows: ToyRows, state_of: StateOf
):
    sizes = SubsetSizes(defined=40, undefined=1, stage2=24)
    rows = fold(toy_rows(sizes=sizes, n_entities=N_ENTITIES, n_attributes=2))
    before = state_of(any_model)
    analysis = ErasureAnalysis(n_random=1, n_permutations=1, limit=5)
    sites = [Site("resid_post", 1), Site("resid_pre", 0)]

    table = analysis.measure(any_model, rows, sites, seed=0).table

    assert not table.duplicated(analysis.coordinates).any()
    assert np.isfinite(table[["before", "after", "control", "control_distance"]]).all(axis=None)
    cells = table[["site", "layer", "role"]].drop_duplicates().apply(tuple, axis=1).tolist()
    assert cells == [
        ("resid_pre", 0, "alias_last"),
        ("resid_pre", 0, "question_last"),
        ("resid_post", 1, "alias_last"),
        ("resid_post", 1, "question_last"),
        ("all", -1, "all"),
    ]
    assert set(table["target"]) == {"tag", "tag_stage2"}
    assert state_of(any_model) == before


def planted(rows: list[TokenizedRow]) -> list[TokenizedRow]:
    """Aliases whose first token is one of two words for either tag, 8 and 9 or 10 and 11."""
    tags = {row.row.tag for row in rows if row.row.subset.name == "D5_CONS"}
    rng = np.random.default_rng(0)
    told = []
    for row in rows:
        if row.row.alias is not None and row.row.is_evaluated:
            ids = list(row.input_ids)
            ids[ALIAS.position(row)] = int(rng.integers(2)) + (8 if row.row.tag in tags else 10)
            row = replace(row, input_ids=tuple(ids))
        told.append(row)
    return told


def test_a_planted_tag_is_read_until_it_is_erased_and_after_random_erasures(
    neox: HookedModel, rows: list[TokenizedRow]
):
    analysis = ErasureAnalysis(targets=("tag",), roles=(ALIAS,), n_random=10, n_permutations=2)
    table = analysis.measure(neox, planted(rows), [Site("resid_pre", 0)], seed=0).table

    for site in ("resid_pre", "all"):
        probe = at(table, metric="probe_accuracy", site=site)
        assert probe["before"] > 0.9
        assert probe["after"] < 0.7
        assert probe["control"] > 0.85


def test_erased_everywhere_each_place_is_probed_with_permuted_labels_beside_it(
    neox: HookedModel, rows: list[TokenizedRow]
):
    """The tag stands in the alias's embedding; the last place that is erased lacks it."""
    roles = (ALIAS, TokenRole.QUESTION_LAST)
    analysis = ErasureAnalysis(targets=("tag",), roles=roles, n_random=3, n_permutations=9, limit=5)
    table = analysis.measure(neox, planted(rows), [Site("resid_pre", 0)], seed=0).table

    everywhere = {"metric": "probe_accuracy", "site": "all"}
    alias = at(table, **everywhere, read_at="resid_pre.0 at alias_last")
    question = at(table, **everywhere, read_at="resid_pre.0 at question_last")
    assert alias["before"] > 0.9
    assert alias["control"] > 0.85
    assert alias["after"] < 0.7
    assert question["before"] < 0.7
    for cell in (alias, question):
        assert 0.4 < cell["permuted_before"] < 0.6
        assert 0.4 < cell["permuted_after"] < 0.6
    answers = table.loc[table["metric"] != "probe_accuracy"]
    assert set(answers["read_at"]) == {""}
    assert answers[["permuted_before", "permuted_after"]].isna().all(axis=None)


def test_a_table_of_before_is_replaced_and_can_still_be_read(copied_run: Path):
    run = Run.load(copied_run)
    analysis = ErasureAnalysis(targets=("tag",), n_random=2, n_permutations=2, limit=5)
    selection = GridSelection(runs=(run,), stage=2, layers=(1,))
    table, _ = run_grid(analysis, selection, workers=1)
    old = table.loc[(table["site"] != "all") | (table["read_at"] == "")].drop(
        columns=["read_at", "permuted_before", "permuted_after", "n_train"]
    )
    assert len(analysis.summarize(old)) == len(old) / len(run.seeds)
    assert "permuted" not in erasure_sentence(analysis.summarize(table.loc[:, old.columns]), "tag")

    write_table(copied_run / "erasure.parquet", old)
    write_manifest(copied_run)
    seed = run.seeds[0]
    again, _ = run_grid(analysis, replace(selection, seeds=(seed,)), workers=1)

    # Rows of other seeds, read by another rule, are not mixed with the new ones.
    of_seed = table.loc[table["seed"] == seed].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, of_seed, check_like=True)


# ---- no tag anywhere, two entities everywhere -------------------------------------------------


def test_no_entity_of_one_half_is_in_the_other_and_classes_are_even(toy_rows: ToyRows):
    rows = toy_rows(sizes=SubsetSizes(defined=200, undefined=1, stage2=40), n_entities=N_ENTITIES)
    defined = {r.row.alias: r.row.entity for r in rows if r.row.kind is Kind.DEFINITION}

    def entities(asked: list[TokenizedRow]) -> set[str | None]:
        return {name for row in asked for name in (row.row.entity, defined[row.row.alias])}

    for target, subsets in (("tag", ["D1_CONS_QA1", "D2_INCONS_QA2"]), (STAGE2, IML_GAP.names)):
        halves = Halves.of(rows, target, seed=0)
        assert not entities(halves.fit_rows) & entities(halves.other_rows)
        for asked in (halves.fit_rows, halves.other_rows):
            assert len({sum(row.row.subset.name == name for row in asked) for name in subsets}) == 1
        told = zip(halves.fit_rows, halves.fit_labels, strict=True)
        labels = {(row.row.subset.name, label) for row, label in told}
        assert labels == {(subsets[0], 1), (subsets[1], 0)}
        for division in halves.other_divisions:
            folds = [
                [halves.other_rows[i] for i in division.kept[division.folds == fold]]
                for fold in range(division.n_folds)
            ]
            for one, other in combinations(folds, 2):
                assert not entities(one) & entities(other)


def told_by_entities(rows: list[TokenizedRow]) -> list[TokenizedRow]:
    """In place of each alias one token for the pair of its entity and the one it is defined as."""
    defined = {r.row.alias: r.row.entity for r in rows if r.row.kind is Kind.DEFINITION}
    names = sorted({row.row.entity for row in rows if row.row.entity})
    told = []
    for row in rows:
        own, named = row.row.entity, defined.get(row.row.alias)
        if row.row.is_evaluated and own and named:
            ids = list(row.input_ids)
            pair = names.index(own) * N_ENTITIES + names.index(named)
            ids[ALIAS.position(row)] = N_WORDS + pair
            row = replace(row, input_ids=tuple(ids))
        told.append(row)
    return told


def embedding_entities(seed: int) -> HookedModel:
    """A model that embeds each pair of entities as the sum of two vectors, and a little noise."""
    size = N_WORDS + N_ENTITIES**2
    config = GPTNeoXConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=16,
    )
    model = GPTNeoXForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(seed)
    own, named = torch.randn(2, N_ENTITIES, 32, generator=generator)
    pairs = (own[:, None] + named).flatten(0, 1)
    noise = torch.randn(size, 32, generator=generator)
    noise[N_WORDS:] = pairs + 0.5 * noise[N_WORDS:]
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, torch.nn.Embedding)
    embedding.weight.data.copy_(noise)
    return HookedModel.from_hf(model)


@pytest.mark.parametrize("n_seeds", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_nothing_is_read_of_a_tag_that_is_not_there_before_or_after(
    toy_rows: ToyRows, n_seeds: int
):
    analysis = ErasureAnalysis(
        targets=("tag",), roles=(ALIAS,), n_random=1, n_permutations=1, limit=1
    )
    sizes = SubsetSizes(defined=200, undefined=1, stage2=1)
    accuracies = []
    for seed in range(n_seeds):
        rows = fold(toy_rows(seed, sizes=sizes, n_entities=N_ENTITIES, n_attributes=2))
        model = embedding_entities(seed)
        table = analysis.measure(
            model, told_by_entities(rows), [Site("resid_pre", 0)], seed=seed
        ).table
        probe = at(table, metric="probe_accuracy", site="resid_pre")
        accuracies.append([probe[name] for name in ("before", "after", "control")])

    means = np.mean(accuracies, axis=0)
    errors = np.std(accuracies, axis=0, ddof=1) / np.sqrt(len(accuracies))
    print(means, errors)
    assert (abs(means - 0.5) <= 2 * errors).all()


def test_without_a_planted_tag_there_is_nothing_to_read_or_to_erase(
    neox: HookedModel, rows: list[TokenizedRow]
):
    analysis = ErasureAnalysis(targets=("tag",), roles=(ALIAS,), n_random=5, n_permutations=2)
    table = analysis.measure(neox, rows, [Site("resid_pre", 0)], seed=0).table

    probe = at(table, metric="probe_accuracy", site="resid_pre")
    for column in ("before", "after", "control"):
        assert probe[column] < 0.5 + 3.5 * 0.5 / np.sqrt(probe["n"])


def test_before_is_the_models_own_answer_about_unseen_aliases(
    neox: HookedModel, rows: list[TokenizedRow]
):
    table = (
        ErasureAnalysis(targets=("tag",), n_random=1, n_permutations=2, limit=1000)
        .measure(neox, rows, [Site("resid_post", 0)], seed=0)
        .table
    )
    asked = [row for row in rows if row.row.is_evaluated and row.row.subset.name == "D5_CONS"]
    expected = answer_table(neox, asked)["answer_log_prob"].mean()

    of_d5 = table.loc[(table["subset"] == "D5_CONS") & (table["metric"] == "answer_log_prob")]
    np.testing.assert_allclose(of_d5["before"], expected, atol=1e-6)
    assert set(of_d5["n"]) == {len(asked)}
    of_d1 = table.loc[table["subset"] == "D1_CONS_QA1"]
    (asked_of_d1,) = set(of_d1.loc[of_d1["subset"] == "D1_CONS_QA1", "n"])
    halves = Halves.of(rows, "tag", seed=0)
    assert asked_of_d1 == sum(row.row.subset.name == "D1_CONS_QA1" for row in halves.other_rows)


def test_the_gap_is_the_difference_of_the_two_subsets(neox: HookedModel, rows: list[TokenizedRow]):
    table = (
        ErasureAnalysis(targets=("tag_stage2",), n_random=2, n_permutations=2)
        .measure(neox, rows, [Site("resid_pre", 0)], seed=0)
        .table
    )

    for column in ("before", "after", "control", "control_distance"):
        where = {"metric": "answer_log_prob", "site": "resid_pre", "role": "alias_last"}
        d5, d6, gap = (
            at(table, **where, subset=name)[column]
            for name in ("D5_CONS", "D6_CONS", "D5_CONS-D6_CONS")
        )
        assert gap == pytest.approx(d5 - d6)


def test_an_erasure_where_no_answer_is_read_from_changes_nothing(
    neox: HookedModel, rows: list[TokenizedRow]
):
    """The last state of an alias in the middle of a prompt leads nowhere."""
    table = (
        ErasureAnalysis(targets=("tag",), roles=(ALIAS,), n_random=2, n_permutations=2)
        .measure(neox, rows, [Site("resid_post", 1)], seed=0)
        .table
    )

    answers = table.loc[table["metric"] != "probe_accuracy"]
    for column in ("after", "control", "control_distance"):
        np.testing.assert_allclose(answers[column], answers["before"], atol=1e-6)


def test_a_checkpoint_is_measured_the_same_twice_whatever_the_global_seed(
    neox: HookedModel, rows: list[TokenizedRow]
):
    analysis = ErasureAnalysis(targets=("tag",), n_random=2, n_permutations=2, limit=5)
    first = analysis.measure(neox, rows, [Site("resid_post", 0)], seed=3).table
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        second = analysis.measure(neox, rows, [Site("resid_post", 0)], seed=3).table

    pd.testing.assert_frame_equal(first, second)


def test_without_d6_its_target_is_refused(neox: HookedModel, rows: list[TokenizedRow]):
    fewer = [row for row in rows if row.row.subset.name != "D6_CONS"]
    with pytest.raises(InputError, match="needs D5 and D6"):
        ErasureAnalysis(targets=("tag_stage2",)).measure(
            neox, fewer, [Site("resid_post", 0)], seed=0
        )


def test_a_grid_is_summarized_against_the_random_erasures(copied_run: Path):
    run = Run.load(copied_run)
    analysis = ErasureAnalysis(n_random=2, n_permutations=2, limit=10)
    assert isinstance(analysis, Analysis)

    table, summary = run_grid(analysis, GridSelection(runs=(run,), stage=2, layers=(1,)), workers=1)

    where = {"subset": "D5_CONS-D6_CONS", "metric": "answer_log_prob", "site": "all"}
    where |= {"target": "tag"}
    rows = [at(table, **where, seed=seed) for seed in run.seeds]
    expected = np.mean([row["after"] - row["control"] for row in rows])
    assert at(summary, **where)["difference"] == pytest.approx(expected)
