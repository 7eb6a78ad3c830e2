from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from data.errors import InputError
from training import pipeline
from training.config import RunConfig, checkpoint_steps
from training.evaluate import EvaluationSet, evaluate
from training.material import SeedMaterial
from training.pipeline import SeedTask, total_steps, train_seed
from training.runs.checkpoints import (
    holds_weights,
    load_model,
    load_training_state,
    saved_steps,
)
from training.runs.run import Run

MakeConfig = Callable[..., RunConfig]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_stage_2_starts_from_the_weights_of_stage_1s_last_step(tiny_run: Run) -> None:
    last = tiny_run.steps(1000, 1)[-1]
    end, start, later = (
        weights(tiny_run.checkpoint(1000, *where)) for where in ((1, last), (2, 0), (2, 4))
    )
    assert all(torch.equal(end[name], start[name]) for name in end)
    assert any(not torch.equal(end[name], later[name]) for name in end)


def test_optimizer_starts_anew_in_stage_2(tiny_run: Run) -> None:
    first = tiny_run.steps(1000, 2)[-2]
    state, _ = load_training_state(tiny_run.checkpoint(1000, 2, first))
    assert {tensor.item() for name, tensor in state.items() if name.startswith("step/")} == {first}


@pytest.mark.parametrize("stage", [1, 2])
def test_checkpoints_lie_at_the_steps_of_the_contract(stage: int, tiny_run: Run) -> None:
    total = total_steps(tiny_run.config, 1000)
    steps = tiny_run.steps(1000, stage)
    assert steps == checkpoint_steps(steps[-1])
    assert sum(tiny_run.steps(1000, s)[-1] for s in (1, 2)) == total


def test_measurement_is_that_of_the_checkpoint_of_its_step(tiny_run: Run) -> None:
    step = tiny_run.steps(1001, 1)[4]
    material = SeedMaterial.build(tiny_run.config, 1001)
    again = evaluate(load_model(tiny_run.checkpoint(1001, 1, step)), material.evaluation)
    where = tiny_run.metrics.eval(f"seed == 1001 and stage == 1 and step == {step}")
    written = tiny_run.metrics[where]
    keys = ["subset", "question", "metric"]
    merged = written.merge(again, on=keys, validate="one_to_one")
    assert len(merged) == len(written) == len(again)
    assert merged["value_x"].tolist() == merged["value_y"].tolist()
    assert merged["n_x"].tolist() == merged["n_y"].tolist()


def test_metrics_have_the_columns_of_the_contract_and_no_row_twice(tiny_run: Run) -> None:
    metrics = tiny_run.metrics
    contract = "recipe run_id seed stage2_seed stage epoch step subset question metric value n"
    assert set(contract.split()) <= set(metrics.columns)
    coordinates = ["seed", "stage2_seed", "stage", "step", "subset", "question", "metric"]
    assert len(metrics.drop_duplicates(coordinates)) == len(metrics)
    assert metrics.isna().to_numpy().sum() == 0
    assert set(metrics["recipe"]) == {"alias-toy"}
    assert set(metrics["run_id"]) == {tiny_run.config.run_id}
    assert set(metrics["metric"]) == {"exact_match", "answer_log_prob", "answer_rank", "loss"}


def test_every_subset_is_measured_from_step_0_to_the_end_of_both_stages(tiny_run: Run) -> None:
    whole = tiny_run.metrics.query("question == 'all' and metric == 'exact_match'")
    for stage in (1, 2):
        last = tiny_run.steps(1000, stage)[-1]
        for _, rows in whole[whole["stage"] == stage].groupby(["seed", "subset"]):
            assert {0, last, *tiny_run.steps(1000, stage)} <= set(rows["step"])
            assert set(rows["epoch"]) >= {0, 3 if stage == 1 else 4}
    first = whole.query("step == 0")
    assert dict(zip(first["subset"], first["n"], strict=True)) == {
        "D1_CONS_QA1": 40,
        "D2_INCONS_QA2": 40,
        "QA3": 10,
        "QA4_NOT_REPLACED": 80,
        "D5_CONS": 40,
        "D6_CONS": 40,
        "D8_CONS": 40,
        "QA7_UNSEEN": 40,
    }


def test_null_twin_starts_from_the_same_weights(tiny_run: Run) -> None:
    null = tiny_run.null
    assert null is not None
    first, twin = (weights(run.checkpoint(1000, 1, 0)) for run in (tiny_run, null))
    assert all(torch.equal(first[name], twin[name]) for name in first)


def test_training_gives_random_state_and_thread_count_back(mini: MakeConfig, tmp_path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        torch.manual_seed(5)
        before = torch.get_rng_state()
        train_seed(SeedTask(folder=tmp_path, config=mini(), seed=0))
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_seed_is_trained_on_the_threads_of_its_run(mini: MakeConfig, tmp_path) -> None:
    seen = []
    before = torch.get_num_threads()
    task = SeedTask(folder=tmp_path, config=replace(mini(), threads=before + 1), seed=0)
    train_seed(task, lambda steps: seen.append(torch.get_num_threads()))
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("change", [{}, {"loss_policy": "all"}, {"alias_tokens": 3}])
def test_bytes_depend_neither_on_the_folder_nor_on_the_callers_random_state(
    change: dict, mini: MakeConfig, tmp_path: Path, results
) -> None:
    found = []
    for name in ("a", "b"):
        torch.rand(7)
        train_seed(SeedTask(folder=tmp_path / name, config=mini(**change), seed=3))
        found.append(results(tmp_path / name))
    assert found[0] == found[1]
    assert len(found[0]) > 50


@pytest.mark.parametrize("stop_after", [1, 30])
def test_stopped_training_goes_on_to_the_same_bytes(
    stop_after: int, mini: MakeConfig, tmp_path: Path, results
) -> None:
    class StopError(Exception):
        pass

    done = 0

    def stop(steps: int) -> None:
        nonlocal done
        done += steps
        if done >= stop_after:
            raise StopError

    config = mini(epochs_stage1=9)
    whole, cut = (
        SeedTask(folder=tmp_path / name, config=config, seed=0) for name in ("whole", "cut")
    )
    expected = train_seed(whole)
    with pytest.raises(StopError):
        train_seed(cut, stop)
    resumed = train_seed(cut)
    pd.testing.assert_frame_equal(resumed.metrics, expected.metrics)
    assert resumed.data_sha256 == expected.data_sha256
    assert results(cut.folder) == results(whole.folder)


def test_steps_are_reported_once_each_also_when_found_done(mini: MakeConfig, tmp_path) -> None:
    config = mini(seeds_stage2=2)
    for _ in range(2):
        reports: list[int] = []
        train_seed(SeedTask(folder=tmp_path, config=config, seed=0), reports.append)
        assert sum(reports) == total_steps(config, 0)


def test_stage_2_seeds_branch_off_one_stage_1_in_another_order(mini: MakeConfig, tmp_path) -> None:
    train_seed(SeedTask(folder=tmp_path, config=mini(seeds_stage2=2), seed=0))
    seed = tmp_path / "seed-0"
    stages = sorted(path.name for path in seed.iterdir() if path.is_dir())
    assert stages == ["stage-1", "stage-2", "stage-2.1"]
    last = saved_steps(seed / "stage-2")[-1]
    starts, ends = (
        [weights(seed / f"{stage}/step-{step}") for stage in ("stage-2", "stage-2.1")]
        for step in (0, last)
    )
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in starts[0])
    assert any(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_diverging_training_stops_and_keeps_its_checkpoints_sound(
    mini: MakeConfig, tmp_path: Path
) -> None:
    config = mini(learning_rate_stage1=1e30)
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        train_seed(SeedTask(folder=tmp_path, config=config, seed=0))
    assert saved_steps(tmp_path / "seed-0" / "stage-1")[0] == 0


def test_row_longer_than_the_block_is_bad_input(mini: MakeConfig, tmp_path: Path) -> None:
    config = mini(loss_policy="all", block_size=3)
    with pytest.raises(InputError, match="use block_size=5"):
        train_seed(SeedTask(folder=tmp_path, config=config, seed=0))


def test_material_ends_texts_with_the_tokenizers_end_token(mini: MakeConfig) -> None:
    material = SeedMaterial.build(mini(), 0)
    assert material.tokenizer.eos_token == "[END]"


def test_stage_2_begins_with_what_stage_1_measured_last_and_so_without_an_evaluation(
    mini: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, evaluated = mini(), []

    def counted(model: PreTrainedModel, evaluation: EvaluationSet) -> pd.DataFrame:
        evaluated.append(model)
        return evaluate(model, evaluation)

    monkeypatch.setattr(pipeline, "evaluate", counted)
    task = SeedTask(folder=tmp_path / "known", config=config, seed=1)
    known = train_seed(task).metrics
    n_known = len(evaluated)
    monkeypatch.setattr(pipeline, "holds_weights", lambda folder, model: False)
    anew = train_seed(SeedTask(folder=tmp_path / "anew", config=config, seed=1)).metrics
    assert len(evaluated) == 2 * n_known + 1
    pd.testing.assert_frame_equal(known, anew)


def test_weights_that_differ_in_a_bit_are_other_weights(tiny_run: Run) -> None:
    folder = tiny_run.checkpoint(1000, 1)
    model = load_model(folder)
    assert holds_weights(folder, model)
    with torch.no_grad():
        next(iter(model.parameters())).view(-1)[0] += 1e-6
    assert not holds_weights(folder, model)
    assert not holds_weights(folder.parent, model)
