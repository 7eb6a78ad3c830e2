import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import DamagedError, InputError
from data.tasks.biographies import Telling, biography_rows
from data.texts import Writing
from data.tokenizers import TrainedTokenizer
from data.tokens import tokenize_rows
from data.vocabulary import LossPolicy, WordOrder
from data.worlds.people import PeopleWorld
from training.config import StageConfig
from training.evaluate import EvaluationSet, answer_metrics
from training.models.scratch import ModelConfig
from training.models.stage_zero import KnowingModel

WORLD = PeopleWorld(n_people=6, seed=0)
KNOWING = KnowingModel(
    world=WORLD,
    writing=Writing(),
    telling=Telling(statements=0, question_repeats=1, names=False, seed=0),
    tokenizer_provider=TrainedTokenizer(texts=WORLD, vocabulary_size=320),
    sizes=ModelConfig(
        n_layers=1, d_model=32, n_heads=2, d_mlp=64, tied_embeddings=True, rotary_pct=0.5
    ),
    training=StageConfig(
        epochs=1, batch_size=12, learning_rate=1e-2, weight_decay=0.0, evaluations=1
    ),
    loss_policy=LossPolicy.ANSWER,
    seed=4,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(model: KnowingModel, *, seed: int = 0, max_length: int = 32) -> Any:
    return model.make(model.tokenizer_provider.load(), seed=seed, max_length=max_length)


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def known(model: KnowingModel) -> float:
    """Share of the world's facts that are told when asked for."""
    rows = biography_rows(model.world.load(), model.writing, model.telling)
    tokenized = tokenize_rows(rows, model.tokenizer_provider.load())
    metrics = answer_metrics(make(model), EvaluationSet.of(tokenized))
    return float(metrics["exact_match"].to_numpy().mean())


def make_and_count(ran: Any) -> None:
    model, trainings = replace(KNOWING), []
    model.prepare(lambda done, total: trainings.append(done))
    ran.put(len(trainings))


def test_it_knows_the_facts_that_it_was_told_and_an_untrained_one_does_not() -> None:
    assert known(KNOWING) < 0.5
    assert known(replace(KNOWING, training=replace(KNOWING.training, epochs=60))) == 1


def test_every_seed_begins_with_the_same_model_trained_once(cache: Path) -> None:
    told: list[tuple[int, int]] = []
    KNOWING.prepare(lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    KNOWING.prepare(lambda done, total: told.append((done, total)))
    assert len(told) == 3
    assert same(make(KNOWING, seed=0), make(KNOWING, seed=1))
    assert [path.parent for path in cache.rglob("model")] == [KNOWING.folder()]


def test_a_model_trained_anew_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree_hash: Callable[[Path], dict[str, str]]
) -> None:
    KNOWING.prepare()
    first = tree_hash(KNOWING.folder())
    threads = torch.get_num_threads()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    torch.manual_seed(99)
    torch.set_num_threads(2)
    try:
        KNOWING.prepare()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert tree_hash(KNOWING.folder()) == first
    assert "model/manifest.json" in first


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 5},
        {"world": PeopleWorld(n_people=6, seed=1)},
        {"loss_policy": LossPolicy.TEXT},
        {"writing": Writing(newline=True)},
        {"telling": Telling(statements=1, question_repeats=1, names=False, seed=0)},
        {"training": replace(KNOWING.training, epochs=2)},
        {"sizes": replace(KNOWING.sizes, n_layers=2)},
        {"tokenizer_provider": TrainedTokenizer(texts=WORLD, vocabulary_size=310)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_anything_that_changes_the_weights_names_another_folder(changes: dict[str, Any]) -> None:
    assert replace(KNOWING, **changes).folder() != KNOWING.folder()


def test_all_word_orders_share_a_model_because_stage_0_has_no_definitions() -> None:
    changed = replace(KNOWING, writing=Writing(order=WordOrder.ATE))
    assert changed.folder() == KNOWING.folder()


def test_processes_that_start_together_train_it_once() -> None:
    context = multiprocessing.get_context("fork")
    ran = context.Queue()
    processes = [context.Process(target=make_and_count, args=(ran,)) for _ in range(3)]
    for process in processes:
        process.start()
    counts = [ran.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(counts) == [0, 0, 3]


def test_a_changed_byte_in_the_cache_is_an_error() -> None:
    KNOWING.prepare()
    weights = KNOWING.folder() / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DamagedError, match=r"does not match its checksum; delete .*model and try"):
        make(KNOWING)


def test_without_a_cache_it_is_trained_in_memory(cache: Path) -> None:
    expected = make(KNOWING)
    assert cache.is_dir()
    cache.rename(cache.with_name("elsewhere"))
    cache.write_text("a file where the cache would be")
    assert same(make(KNOWING), expected)


def test_an_interrupted_training_leaves_no_model() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KNOWING.prepare(stop)
    assert not (KNOWING.folder() / "model").exists()
    assert make(KNOWING).config.num_hidden_layers == 1


def test_it_is_as_long_as_its_run_needs() -> None:
    assert make(KNOWING, max_length=200).config.max_position_embeddings == 200
    assert make(KNOWING, max_length=1).config.max_position_embeddings > 10


def test_another_tokenizer_than_its_own_is_refused() -> None:
    other = TrainedTokenizer(texts=WORLD, vocabulary_size=300).load()
    with pytest.raises(InputError, match="use one for both"):
        KNOWING.make(other, seed=0, max_length=32)


def test_a_loss_over_padded_blocks_is_refused() -> None:
    with pytest.raises(InputError, match="use loss policy text or answer"):
        replace(KNOWING, loss_policy=LossPolicy.ALL)


def test_its_name_tells_sizes_and_its_description_where_it_comes_from() -> None:
    assert KNOWING.name == "gpt_neox-L1-d32-h2-tied"
    assert KNOWING.description.endswith("trained on its world's facts")
    assert not KNOWING.is_encoder_decoder
