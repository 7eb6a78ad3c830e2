"""Run by `accelerate launch`, this file trains as one process of a team; see `main`."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, PreTrainedModel

from data.errors import InputError
from training.config import Decay, Optimizer, StageConfig
from training.distributed import Team
from training.examples import Examples
from training.loop import StageTrainer
from training.models.scratch import ModelConfig, build_model, draw_weights
from training.runs.checkpoints import load_model

ROOT = Path(__file__).parents[2]
N_STEPS, RESUMED_AT = 12, 5
CASES = [("gpt_neox", Optimizer.ADAMW), ("gpt_neox", Optimizer.ADAFACTOR)]
CASES += [("granite", Optimizer.ADAMW)]
"""Granite scales its logits after the unembedding."""


def model_of(family: str) -> PreTrainedModel:
    if family == "gpt_neox":
        sizes = ModelConfig(
            n_layers=2, d_model=16, n_heads=2, d_mlp=32, tied_embeddings=True, rotary_pct=1.0
        )
        return build_model(sizes, vocabulary_size=31, max_length=16, end_token=1, seed=0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 31}
    config = AutoConfig.for_model(family, **sizes, logits_scaling=8.0, pad_token_id=0)
    return draw_weights(config, 0)


def trainer_of(team: Team, family: str, optimizer: Optimizer) -> StageTrainer:
    """A trainer of 17 rows in batches of 8: the last batch of an epoch has but one row."""
    model = model_of(family)
    rng = random.Random(0)
    tokens = torch.tensor([[rng.randrange(3, 31) for _ in range(10)] for _ in range(17)])
    lengths = torch.tensor([rng.randrange(4, 11) for _ in range(17)])
    targets = (torch.arange(10) < lengths[:, None]) & (torch.arange(10) > 0)
    config = StageConfig(
        epochs=N_STEPS // 3,
        batch_size=8,
        learning_rate=1e-3,
        weight_decay=0.01,
        evaluations=1,
        optimizer=optimizer,
        decay=Decay.LINEAR,
        clip_norm=1.0,
        micro_batch_size=3,
    )
    return StageTrainer(
        model, Examples(tokens=tokens, targets=targets), config, order_seed=0, team=team
    )


def train(team: Team, family: str, optimizer: Optimizer, folder: Path) -> list[float]:
    """All losses of a training that is broken off and resumed; writes the last weights."""
    trainer = trainer_of(team, family, optimizer)
    losses = [trainer.train_step() for _ in range(RESUMED_AT)]
    weights, state = team.whole(trainer.model.state_dict()), trainer.state_tensors()
    if team.is_main:
        trainer.model.save_pretrained(folder, state_dict=weights)
        save_file(state, folder / "state.safetensors")
    team.wait()
    resumed = trainer_of(team, family, optimizer)
    team.load(resumed.model, load_model(folder).state_dict())
    resumed.restore(RESUMED_AT, load_file(folder / "state.safetensors"))
    losses += [resumed.train_step() for _ in range(N_STEPS - RESUMED_AT)]
    final = team.whole(resumed.model.state_dict())
    if team.is_main:
        resumed.model.save_pretrained(folder, state_dict=final)
    return losses


def main(folder: Path) -> None:
    """Trains each case in a team; every process leaves its losses in the folder."""
    torch.set_num_threads(1)
    team = Team.of_launch()
    rank = os.environ["RANK"]
    for family, optimizer in CASES:
        place = folder / family / optimizer
        place.mkdir(parents=True, exist_ok=True)
        losses = train(team, family, optimizer, place)
        (place / f"{rank}.json").write_text(json.dumps([team.size, team.shards, losses]))


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["--multi_gpu", "--use_fsdp"])
def test_two_processes_train_as_one_does(sharing: str, tmp_path: Path) -> None:
    # `accelerate launch --cpu` starts several processes under MPI only, the switches for GPUs start
    # them by themselves; this variable then keeps them on the CPU.
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(ROOT)
    launch = "accelerate.commands.launch", sharing, "--num_processes=2", "--num_machines=1"
    settings = "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"
    command = [sys.executable, "-m", *launch, *settings, __file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for family, optimizer in CASES:
        folder = tmp_path / "alone" / family / optimizer
        folder.mkdir(parents=True)
        expected = train(Team.alone(), family, optimizer, folder)
        place = tmp_path / family / optimizer
        for rank in range(2):
            result = json.loads((place / f"{rank}.json").read_text())
            size, shards, losses = result
            assert (size, shards) == (2, sharing == "--use_fsdp")
            assert losses == pytest.approx(expected, abs=1e-5, rel=0)
        found, wanted = load_model(place), load_model(folder)
        for (name, ours), weight in zip(found.named_parameters(), wanted.parameters(), strict=True):
            # Keys' biases have little gradient but rounding errors, which both optimizers enlarge.
            if not name.endswith("query_key_value.bias"):
                torch.testing.assert_close(ours, weight, atol=1e-4, rtol=0, msg=name)


def test_process_that_was_not_launched_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    team = Team.of_launch()
    assert (team, team.size, team.is_main) == (Team.alone(), 1, True)
    assert team.share(torch.arange(3)).tolist() == [0, 1, 2]


def test_process_with_an_empty_world_size_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "")
    assert Team.of_launch() == Team.alone()


def test_batch_is_shared_out_once_even_if_it_has_fewer_rows_than_processes() -> None:
    def shares(n_rows: int) -> list[list[int]]:
        members = (SimpleNamespace(num_processes=3, process_index=i) for i in range(3))
        teams = (Team(processes=member, shards=False) for member in members)  # pyright: ignore[reportArgumentType]
        return [team.share(torch.arange(n_rows)).tolist() for team in teams]

    assert shares(7) == [[0, 3, 6], [1, 4], [2, 5]]
    assert shares(1) == [[0], [], []]


def test_launchers_that_are_not_supported_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(InputError, match=r"DEEPSPEED.*use --multi_gpu or --use_fsdp"):
        Team.of_launch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
