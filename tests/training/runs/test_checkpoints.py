import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from data.errors import DamagedError, InputError
from data.tokens import word_tokenizer
from data.vocabulary import Stage
from training.files import MANIFEST, damage
from training.runs.checkpoints import (
    STATE_FILES,
    checkpoint_damage,
    drop_old_states,
    find_checkpoint,
    load_model,
    load_tokenizer,
    load_training_state,
    save_checkpoint,
    saved_steps,
    seed_folder,
    stage_folder,
    step_folder,
    verify_checkpoint,
)

MakeModel = Callable[..., object]
WORDS = [f"word{i}" for i in range(27)]
METRICS = pd.DataFrame({"step": [0], "value": [0.5]})


def save(stage: Path, step: int, model) -> Path:
    folder = step_folder(stage, step)
    state = {"torch_random_state": torch.get_rng_state(), "step/w": torch.tensor(float(step))}
    save_checkpoint(
        folder,
        model,
        word_tokenizer(WORDS),
        weights=model.state_dict(),
        state=state,
        metrics=METRICS,
    )
    return folder


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """An empty folder for the checkpoints of a stage."""
    return stage_folder(tmp_path, 1000, Stage.ONE)


def test_folders_are_those_of_the_contract(tmp_path: Path) -> None:
    assert seed_folder(tmp_path, 5) == tmp_path / "seed-5"
    assert stage_folder(tmp_path, 5, Stage.ONE) == tmp_path / "seed-5" / "stage-1"
    assert stage_folder(tmp_path, 5, Stage.TWO) == tmp_path / "seed-5" / "stage-2"
    assert stage_folder(tmp_path, 5, Stage.TWO, 2) == tmp_path / "seed-5" / "stage-2.2"


def test_steps_are_sorted_as_numbers(stage: Path) -> None:
    # The paper's code sorts names, so that Stage 2 starts from checkpoint-900, not -1000.
    for name in ("step-900", "step-1000", "step-8", ".step-9.12", "step-x", "other"):
        (stage / name).mkdir(parents=True)
    assert saved_steps(stage) == [8, 900, 1000]


def test_last_checkpoint_is_that_of_the_largest_step(stage: Path, make_model: MakeModel) -> None:
    for step in (900, 1000):
        save(stage, step, make_model())
    assert find_checkpoint(stage).name == "step-1000"
    assert find_checkpoint(stage, 900).name == "step-900"


@pytest.mark.parametrize("step", [None, 5])
def test_checkpoint_that_is_not_there_is_bad_input(
    step: int | None, stage: Path, make_model: MakeModel
) -> None:
    with pytest.raises(InputError, match="holds no checkpoint"):
        find_checkpoint(stage, step)
    save(stage, 8, make_model())
    with pytest.raises(InputError, match="no checkpoint of step 5; choose one of 8"):
        find_checkpoint(stage, 5)


def test_transformers_opens_a_checkpoint(stage: Path, make_model) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = make_model().eval()
    folder = save(stage, 0, model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.decode(tokenizer("word3 word0")["input_ids"]) == "word3 word0"
    assert tokenizer.eos_token_id == model.config.eos_token_id == 1
    tokens = torch.tensor([[3, 4, 5]])
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(loaded(tokens).logits, model(tokens).logits)


def test_what_is_saved_is_loaded_bit_for_bit(stage: Path, make_model) -> None:
    model = make_model()
    folder = save(stage, 3, model)
    loaded = load_model(folder)
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    state, metrics = load_training_state(folder)
    assert state["step/w"] == 3
    assert torch.equal(state["torch_random_state"], torch.get_rng_state())
    pd.testing.assert_frame_equal(metrics, METRICS)
    assert load_tokenizer(folder).get_vocab()["word0"] == 3


def test_loading_reads_no_pickle_and_the_folder_holds_none(stage: Path, make_model) -> None:
    suffixes = {path.suffix for path in save(stage, 0, make_model()).iterdir()}
    assert suffixes == {".json", ".safetensors", ".parquet"}


def test_state_is_kept_for_the_newest_two_only(stage: Path, make_model) -> None:
    for step in (0, 9, 10, 200):
        save(stage, step, make_model())
        drop_old_states(stage)
    kept = [s for s in saved_steps(stage) if (step_folder(stage, s) / STATE_FILES[0]).exists()]
    assert kept == [10, 200]
    assert all(damage(step_folder(stage, step)) == [] for step in saved_steps(stage))
    with pytest.raises(InputError, match="keeps no training state"):
        load_training_state(step_folder(stage, 9))


def test_dropping_a_state_does_not_vouch_for_a_damaged_file(stage: Path, make_model) -> None:
    for step in (0, 1, 2):
        save(stage, step, make_model())
    weights = step_folder(stage, 0) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])
    drop_old_states(stage)
    with pytest.raises(DamagedError, match=r"step-0/model\.safetensors does not match"):
        verify_checkpoint(step_folder(stage, 0))


def test_crash_while_dropping_a_state_is_no_damage_and_mended(stage: Path, make_model) -> None:
    for step in (0, 1, 2):
        save(stage, step, make_model())
    state = step_folder(stage, 0) / STATE_FILES[0]
    content = state.read_bytes()
    drop_old_states(stage)
    state.write_bytes(content)  # as if killed after the manifest, before the deletion
    assert checkpoint_damage(stage.parent) == [f"{state} is not in the manifest"]
    assert checkpoint_damage(stage.parent, interrupted=True) == []
    drop_old_states(stage)
    assert checkpoint_damage(stage.parent) == []


@pytest.mark.parametrize("when", ["model", "tokenizer", "metrics"])
def test_interrupted_checkpoint_leaves_nothing_visible(
    when: str, stage: Path, make_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer, metrics = make_model(), word_tokenizer(WORDS), METRICS.copy()

    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    target, name = {
        "model": (model, "save_pretrained"),
        "tokenizer": (tokenizer, "save_pretrained"),
        "metrics": (metrics, "to_parquet"),
    }[when]
    monkeypatch.setattr(target, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(
            step_folder(stage, 0),
            model,
            tokenizer,
            weights=model.state_dict(),
            state={},
            metrics=metrics,
        )
    assert list(stage.iterdir()) == []


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a seed with one checkpoint in each stage, of different weights."""
    from training.models.scratch import ModelConfig, build_model

    folder = tmp_path_factory.mktemp("checkpoints")
    config = ModelConfig(
        n_layers=1, d_model=16, n_heads=2, d_mlp=32, tied_embeddings=True, rotary_pct=0.25
    )
    for number, part in enumerate(Stage):
        model = build_model(config, vocabulary_size=30, max_length=16, end_token=1, seed=number)
        save(stage_folder(folder, 1, part), number, model)
    return folder


@pytest.mark.parametrize("seed", range(60))
def test_no_mutation_of_a_checkpoint_is_loaded(
    seed: int, two_checkpoints: Path, tmp_path: Path
) -> None:
    import shutil

    folder = Path(shutil.copytree(two_checkpoints, tmp_path / "run"))
    stages = [stage_folder(folder, 1, stage) for stage in Stage]
    rng = random.Random(seed)
    path = rng.choice(sorted(step_folder(stages[0], 0).iterdir()))
    other = step_folder(stages[1], 1) / path.name
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content))
    match ("flip", "cut", "zero", "delete", "swap", "add")[seed % 6]:
        case "flip":
            content[place] ^= 1 << rng.randrange(8)
            path.write_bytes(content)
        case "cut":
            path.write_bytes(content[:place])
        case "zero":
            content[place : place + 4096] = b"\0" * len(content[place : place + 4096])
            content[0] ^= 1  # in case there were only zeros
            path.write_bytes(content)
        case "delete":
            path.unlink()
        case "swap" if other.read_bytes() != path.read_bytes():
            path.write_bytes(other.read_bytes())
            if path.name == MANIFEST:
                path = path.parent  # any file may be the first that it accuses
        case _:
            path = path.with_name("pytorch_model.bin")
            path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DamagedError, match=r"; delete .*seed-1 and repeat the iml run") as raised:
        find_checkpoint(stages[0])
    assert str(path) in str(raised.value) or path.name == MANIFEST
    assert find_checkpoint(stages[1]).name == "step-1"


def test_half_written_checkpoint_is_damage(stage: Path, make_model) -> None:
    folder = save(stage, 4, make_model())
    (folder / MANIFEST).unlink()
    with pytest.raises(DamagedError, match="was not finished"):
        find_checkpoint(stage)
