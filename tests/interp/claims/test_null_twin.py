"""What claims say of tags that mean nothing, and of tags that were given a meaning.

Simulated are the tables of many seeds at once: blocks of 8 are the runs, so that how often a claim
holds by chance can be counted.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.subsets import Subset
from data.tasks.iml import SUBSETS
from data.texts import ENTITY_ATTRIBUTION_QUESTIONS, DefinitionStyle
from data.vocabulary import TagKind
from interp.claims.all_claims import CLAIMS
from interp.claims.verdicts import claims_of_run
from interp.verdicts.claim import Claim, TagEvidence
from interp.verdicts.null_twin import needs_twin
from interp.verdicts.rule import Word, judge
from interp.verdicts.verdict import values_by_seed
from tests.interp.hand_made_runs import by_id, make_run, rows_of
from training.recipes import find_recipe
from training.runs.run import Run

N_SEEDS, N_RUNS = 8, 100
SD = 0.05
NAME, *_ = ENTITY_ATTRIBUTION_QUESTIONS
ASKED = ("all", "attribution", *ENTITY_ATTRIBUTION_QUESTIONS, f"{NAME}_as_defined")
DEFINED = [subset for subset in SUBSETS.values() if subset.has_definitions]
Effect = Callable[[Subset], float]
CELLS = {
    "alpha": [{"alpha": alpha} for alpha in (0.5, 0.95, 1.0)],
    "batch size": [{"batch_size": size} for size in (16, 64, 1024)],
    "word order": [{"word_order": order} for order in ("tae", "ate", "aet", "eat")],
    "model": [{}] * 5,
}
MODELS = ("pythia-70m", "pythia-1.4b", "gpt-neo-1.3B", "gpt-neo-2.7B", "Llama-2-7b-hf")


def nothing(subset: Subset) -> float:
    return 0.0


def learned(subset: Subset) -> float:
    """What the reliable tag says is believed, true or false; what the other says is not."""
    if subset.tag is TagKind.RELIABLE:
        return 0.3 if subset.consistent else -0.3
    return -0.3 if subset.tag is TagKind.UNRELIABLE and subset.consistent else 0.0


@pytest.fixture
def simulate(tmp_path: Path):
    """Makes a run with a null twin in which truth and newness count, and tags as `effect` says."""
    rng = np.random.default_rng(0)
    seeds = np.arange(N_SEEDS * N_RUNS)

    def levels(effect: Effect, scale: float, subset: Subset, question: str) -> np.ndarray:
        base = 0.5 if subset.consistent else 0.3
        base += 0.1 * (subset.tag is TagKind.NOVEL) + scale * effect(subset)
        if question.endswith("as_defined"):  # how often the false entity is named
            base = 0.3 - scale * 2 * effect(subset)
        return base + rng.normal(0, SD, len(seeds))

    def tables(effect: Effect, scale: float, folder: Path) -> pd.DataFrame:
        folder.mkdir()
        shared = {"metric": "exact_match", "stage2_seed": 0, "step": 10, "seed": seeds}
        metrics = [
            pd.DataFrame({**shared, "subset": subset.name, "question": question, "stage": stage})
            .assign(value=levels(effect, scale, subset, question))
            for subset in DEFINED
            for question in ASKED
            for stage in {1, int(subset.part)}
        ]  # fmt: skip
        about = {"loss_policy": "answer", "component": "all", "pairing": "own", "stage": 1}
        about |= {"step": 10, "alias": "a", "row_a": 0, "row_b": 1, "seed": seeds}
        aligned = [
            pd.DataFrame({**about, "subset": name, "measure": measure}).assign(
                value=levels(lambda s, sign=sign: sign * effect(s), scale, SUBSETS[name], "all")
            )
            for name in ("D1_CONS_QA1", "D2_INCONS_QA2", "D5_CONS", "D6_CONS")
            for measure, sign in (("grad_cosine", 1), ("grad_dot", 1), ("grad_sqdist", -1))
        ]
        pd.concat(aligned).to_parquet(folder / "alignment.parquet")
        words = dict.fromkeys(("subset", "question", "metric"), "category")
        return pd.concat(metrics, ignore_index=True).astype(words)

    def one(effect: Effect, scale: float, folder: Path, **parameters) -> Run:
        metrics = tables(effect, scale, folder)
        run = replace(make_run([], folder, **parameters), given_metrics=metrics)
        path = folder / "alignment.parquet"
        pd.read_parquet(path).assign(run_id=run.config.run_id).to_parquet(path)
        return run

    def make(effect: Effect, name: str, *, scale: float = 1.0, twin: bool = False, **parameters):
        run = one(effect, scale, tmp_path / name, **parameters)
        if twin:
            null = one(nothing, 1.0, tmp_path / f"{name}-twin", **parameters)
            run = replace(run, given_null=null)
        return run

    return make


def runs_for(claims: Iterable[Claim], simulate, effect: Effect) -> dict[str, dict]:
    """For each setting that claims compare over the runs by its value, for "" a single one.

    The effect grows with alpha and falls with the batch size.
    """
    found: dict[str, dict] = {"": {"": simulate(effect, "single", twin=True)}}
    for setting in {claim.across.setting.name for claim in claims if claim.across}:
        found[setting] = {}
        for i, parameters in enumerate(CELLS[setting]):
            scale = parameters.get("alpha", 16 / parameters.get("batch_size", 16))
            value = MODELS[i] if setting == "model" else next(iter(parameters.values()))
            found[setting][value] = simulate(effect, f"{setting}{i}", scale=scale, **parameters)
    return found


def share_that_holds(claim: Claim, cells: dict[str, dict]) -> float:
    setting = claim.across.setting.name if claim.across else ""
    values, _ = values_by_seed(claim, cells[setting])
    runs = np.array(list(values.values())).reshape(N_RUNS, N_SEEDS)
    return sum(judge(claim, run) is Word.HOLDS for run in runs) / N_RUNS


OF_TAGS = [
    claim
    for claim in CLAIMS
    if claim.tag is not None and not claim.is_of_no_effect and claim.group not in ("T2", "C2", "C3")
]
"""Those that a run of `alias-toy` can be made up for."""


def test_where_tags_mean_nothing_no_claim_about_one_holds_more_often_than_by_chance(simulate):
    cells = runs_for(OF_TAGS, simulate, nothing)

    shares = {claim.id: share_that_holds(claim, cells) for claim in OF_TAGS}

    assert {"S8.beyond_twin", "M1", "M4.above_D6", "G3.cosine", "O1.tae", "A2"} <= set(shares)
    # Of 100 runs, 5% is found up to .05 + 2 * sqrt(.05 * .95 / 100) = .094.
    assert {name: share for name, share in shares.items() if share > 0.094} == {}


def test_where_tags_do_something_claims_about_them_hold(simulate):
    chosen = [
        claim
        for claim in OF_TAGS
        # A new tag is not trusted most of all here, nor are names what the tag counts for.
        if claim.id not in ("M2.larger", "M4.name", "B2", "G2.norms") and claim.group != "Z1"
    ]
    cells = runs_for(chosen, simulate, learned)

    shares = {claim.id: share_that_holds(claim, cells) for claim in chosen}

    assert {name: share for name, share in shares.items() if share < 0.95} == {}


def test_no_other_claim_speaks_of_a_tag():
    others = [claim for claim in CLAIMS if claim.tag is None]
    words = {claim.id: claim.statement.split() for claim in others}

    assert [name for name, each in words.items() if {"tag", "tags"} & set(each)] == []


def test_what_definitions_of_unlike_truth_or_newness_show_is_held_against_the_null_twin():
    by_twin = {claim.id for claim in CLAIMS if claim.tag is TagEvidence.NULL_TWIN}

    assert by_twin == {"S8.beyond_twin", "G3.cosine", "G3.dot", "G3.distance"} | {
        f"M4.{part}" for part in ("below_D5", "above_D6", "name", "name_single_stage")
    }


X1 = {"D1_CONS_QA1": [0.99, 1.0, 0.99, 1.0], "D2_INCONS_QA2": [0.9, 0.91, 0.92, 0.9]}


def test_a_run_like_its_null_twin_says_nothing_of_the_tag(bears_on):
    bears_on("S3", "S8")
    twin = make_run(rows_of(X1, stage=1), shuffle_tags=True)
    run = make_run(rows_of(X1, stage=1), null=twin)

    of_run, of_twin = by_id(claims_of_run(run)), by_id(claims_of_run(twin))

    for found in (of_run, of_twin):
        assert [v.id for v in found.values() if "tag" in v.statement and v.word is Word.HOLDS] == []
        assert found["S3"].word is Word.HOLDS
    estimate = of_run["S8.beyond_twin"].estimate
    assert estimate is not None
    assert estimate.per_seed == {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0}
    assert of_run["S8.beyond_twin"].statement.endswith("(run minus null twin)")
    assert of_twin["S8"].reason == "a null twin: its tags are shuffled and mean nothing"


def test_without_a_null_twin_nothing_is_measured_that_needs_one(bears_on):
    bears_on("S8", "M4")
    rows = rows_of(X1, stage=1) + rows_of(
        {"D5_CONS": [0.6, 0.7], "D6_CONS": [0.2, 0.1], "D8_CONS": [0.4, 0.4]}, stage=2
    )

    found = claims_of_run(make_run(rows))

    assert {each.word for each in found} == {Word.NOT_MEASURED}
    assert found[0].reason == "no null twin: repeat iml run with --with-null"


def test_seeds_that_the_null_twin_lacks_do_not_count(bears_on):
    bears_on("S8")
    twin = make_run(rows_of({k: v[:2] for k, v in X1.items()}, stage=1, first_seed=1))
    run = make_run(rows_of(X1, stage=1), null=twin)

    estimate = by_id(claims_of_run(run))["S8.beyond_twin"].estimate

    # By hand: seeds 1 and 2 of the run are .09 and .07, of the twin .09 and .09.
    assert estimate is not None
    assert estimate.per_seed == pytest.approx({1: 0.0, 2: -0.02})


def test_below_alpha_1_equally_true_definitions_are_compared(bears_on):
    bears_on("S8")
    levels = X1 | {
        "D9_INCONS_QA9": [0.7, 0.72, 0.71, 0.7],
        "D10_CONS_QA10": [0.98, 0.99, 0.98, 0.99],
    }

    found = by_id(claims_of_run(make_run(rows_of(levels, stage=1), alpha=0.95)))

    assert set(found) == {"S8", "S8.true", "S8.false"}
    assert found["S8"].word is Word.HOLDS
    estimate = found["S8.false"].estimate
    assert estimate is not None
    assert estimate.per_seed == pytest.approx({0: -0.2, 1: -0.19, 2: -0.21, 3: -0.2})


@pytest.mark.parametrize("style", list(DefinitionStyle))
def test_tags_that_are_words_need_a_null_twin_for_every_claim(style: DefinitionStyle):
    recipe = find_recipe("cvdb-two-stage")
    config = recipe(**{**recipe.smoke, "style": style})
    (m1,) = (claim for claim in CLAIMS if claim.id == "M1")

    means_something = style in (DefinitionStyle.SOURCES, DefinitionStyle.IS_ISNT)
    assert needs_twin(m1, config) is means_something


def test_a_model_that_learned_nothing_shows_no_effect_of_nothing(bears_on):
    bears_on("M6")
    # A quarter of what QA7 (.2) leaves is .2, so D1 must be above .4.
    qa7 = {"QA7_UNSEEN": [0.2, 0.2, 0.2]}
    for d1, word, reason in (
        ([0.30, 0.42, 0.41], Word.UNDECIDED, "Stage 1 not learned"),
        ([0.45, 0.46, 0.47], Word.HOLDS, ""),
    ):
        rows = rows_of(qa7 | {"D1_CONS_QA1": d1}, stage=1) + rows_of(qa7, stage=2)
        found = by_id(claims_of_run(make_run(rows)))["M6"]
        assert (found.word, found.reason) == (word, reason)
