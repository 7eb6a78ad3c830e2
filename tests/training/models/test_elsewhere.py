import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import InputError
from data.hub import INDEX
from data.tokenizers import FolderTokenizer, TrainedTokenizer
from training.models.elsewhere import TINY, NamedModel
from training.runs.checkpoints import load_model

REAL = Path(__file__).parents[3].parent / "shared" / "data"
PYTHIA = REAL / "pythia_configs" / "hf_configs.json"
PYTHIA_TOKENIZER = REAL / "tokenizers" / "20B_tokenizer.json"
TRAINED = [
    pytest.param(
        REAL / "models" / name,
        id=name,
        marks=pytest.mark.skipif(
            not (REAL / "models" / name).is_dir(), reason="the pretrained model is not here"
        ),
    )
    for name in ("stories-260k", "tinystories-656k")
]
TEXT = "Q: What did xyz do?\nA: actor\n"
SMALL = TrainedTokenizer(texts=(TEXT,), vocabulary_size=257)


def make(named: NamedModel, *, seed: int = 0, max_length: int = 32) -> Any:
    return named.make(SMALL.load(), seed=seed, max_length=max_length)


def logits(model: Any, tokenizer: Any = None) -> torch.Tensor:
    tokenizer = tokenizer or SMALL.load()
    tokens = tokenizer(TEXT, add_special_tokens=False, return_tensors="pt")["input_ids"]
    more = {"decoder_input_ids": tokens} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model.eval()(tokens, **more).logits


def dropouts(config: Any) -> list[float]:
    names = ("dropout", "pdrop")
    values = [v for k, v in config.to_dict().items() if any(name in k for name in names)]
    return [value for value in values if isinstance(value, float)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole checkpoint, made by transformers itself, with its tokenizer."""
    make(NamedModel(location="tiny-gpt-neox"), seed=7).save_pretrained(tmp_path / "model")
    SMALL.load().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", TINY)
def test_tiny_model_is_two_layers_wide_32_and_answers(name: str) -> None:
    named = NamedModel(location=name)
    model = make(named)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size) == (2, 32)
    assert config.vocab_size == 257
    assert logits(model).shape[-1] == 257
    assert logits(model).isfinite().all()
    assert set(dropouts(config)) == {0.0}
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert named.is_encoder_decoder is (name == "tiny-t5")
    assert (named.name, named.has_tokenizer, named.max_length) == (name, False, None)
    assert named.description.startswith(f"{name}: ")
    if name != "tiny-t5":
        assert config.max_position_embeddings == 32


@pytest.mark.parametrize("name", TINY)
def test_tiny_model_saves_and_loads_as_a_checkpoint(name: str, tmp_path: Path) -> None:
    model = make(NamedModel(location=name))
    model.save_pretrained(tmp_path)
    assert torch.equal(logits(load_model(tmp_path)), logits(model))


@pytest.mark.parametrize("is_random", [True, False])
def test_weights_depend_on_the_seed_only_where_they_are_random(
    is_random: bool, folder: Path
) -> None:
    named = NamedModel(location=str(folder), random_weights=is_random)
    torch.manual_seed(1)
    first = make(named, seed=1)
    torch.manual_seed(2)
    again, other = make(named, seed=1), make(named, seed=2)
    weights = [model.state_dict()["gpt_neox.embed_in.weight"] for model in (first, again, other)]
    stored = load_file(folder / "model.safetensors")["gpt_neox.embed_in.weight"]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2]) is not is_random
    assert torch.equal(weights[0], stored) is not is_random


@pytest.mark.parametrize("is_random", [True, False])
def test_making_leaves_the_global_random_state_alone(is_random: bool, folder: Path) -> None:
    named = NamedModel(location=str(folder), random_weights=is_random)
    before = torch.get_rng_state()
    make(named)
    assert named.description
    assert torch.equal(torch.get_rng_state(), before)


def test_description_says_family_sizes_and_number_of_parameters(folder: Path) -> None:
    model = make(NamedModel(location=str(folder)))
    n_parameters = sum(p.numel() for p in model.parameters())
    described = f"gpt_neox, 2 layers, d_model 32, {n_parameters:,} parameters"
    plain = NamedModel(location=str(folder))
    drawn = NamedModel(location=str(folder), random_weights=True)
    assert plain.description == f"model: {described}, pretrained"
    assert drawn.description == f"model-random: {described}, random weights"
    assert plain.has_tokenizer
    (folder / "tokenizer.json").unlink()
    assert not plain.has_tokenizer


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("is_random", [True, False])
def test_narrow_weights_on_disk_become_float32(
    dtype: torch.dtype, is_random: bool, folder: Path
) -> None:
    stored = load_file(folder / "model.safetensors")
    narrow = {name: weight.to(dtype) for name, weight in stored.items()}
    save_file(narrow, folder / "model.safetensors", metadata={"format": "pt"})
    change_config(folder, dtype=str(dtype).removeprefix("torch."))
    model = make(NamedModel(location=str(folder), random_weights=is_random))
    assert all(p.dtype == torch.float32 for p in model.parameters())
    embedded = model.state_dict()["gpt_neox.embed_in.weight"]
    rounded = stored["gpt_neox.embed_in.weight"].to(dtype).float()
    assert torch.equal(embedded, rounded) is not is_random
    model.save_pretrained(folder / "again")
    assert load_model(folder / "again").dtype == torch.float32


def test_pretrained_dropout_stays_and_random_models_have_none(folder: Path) -> None:
    change_config(folder, hidden_dropout=0.25)
    assert 0.25 in dropouts(make(NamedModel(location=str(folder))).config)
    drawn = make(NamedModel(location=str(folder), random_weights=True))
    assert set(dropouts(drawn.config)) == {0.0}


def test_architecture_alone_needs_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    make(NamedModel(location=str(folder), random_weights=True))
    with pytest.raises(InputError, match="holds no weights"):
        make(NamedModel(location=str(folder)))


def test_checkpoint_in_shards_is_read_whole(folder: Path) -> None:
    model = make(NamedModel(location=str(folder)))
    model.save_pretrained(folder / "shards", max_shard_size="40KB")
    assert (folder / "shards" / INDEX).is_file()
    again = make(NamedModel(location=str(folder / "shards")))
    assert torch.equal(logits(again), logits(model))
    sorted((folder / "shards").glob("*.safetensors"))[-1].unlink()
    with pytest.raises(InputError, match=r"lacks the weights model-\d+-of-\d+\.safetensors"):
        make(NamedModel(location=str(folder / "shards")))


def drop_a_weight(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    del stored["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"]
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_a_weight, r"lack gpt_neox\.layers\.1\.mlp\.dense_h_to_4h\.weight"),
        (cut_short, "cannot be loaded"),
        (lambda folder: change_config(folder, model_type="unheard-of"), "cannot be loaded"),
        (lambda folder: change_config(folder, model_type="vit"), "cannot be loaded"),
        (
            lambda folder: change_config(folder, vocab_size=300),
            r"hold gpt_neox\.embed_in\.weight as \[257, 32\] where the config says \[300, 32\]",
        ),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: change_config(folder, max_position_embeddings=31), "reads 31 tokens"),
    ],
    ids=["weight", "cut", "family", "vision", "shapes", "json", "length"],
)
def test_model_that_is_not_as_it_says_is_refused_in_one_line(
    spoil: Callable[[Path], None], message: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=message) as raised:
        make(NamedModel(location=str(folder)))
    assert len(str(raised.value).splitlines()) == 1
    assert capfd.readouterr().err == ""


def test_tied_unembedding_is_no_missing_weight(tmp_path: Path) -> None:
    make(NamedModel(location="tiny-gpt2")).save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    make(NamedModel(location=str(tmp_path)))


@pytest.mark.parametrize("is_random", [True, False])
def test_tokenizer_with_more_ids_than_rows_is_refused(is_random: bool, folder: Path) -> None:
    larger = TrainedTokenizer(texts=(TEXT,) * 3, vocabulary_size=270).load()
    named = NamedModel(location=str(folder), random_weights=is_random)
    message = f"ids up to {len(larger) - 1}, .* has 257 embedding rows"
    with pytest.raises(InputError, match=message):
        named.make(larger, seed=0, max_length=32)


@pytest.mark.parametrize("path", TRAINED)
def test_real_pretrained_model_prefers_real_text_in_float32(path: Path) -> None:
    named = NamedModel(location=str(path))
    tokenizer = FolderTokenizer(location=str(path)).load()
    model = named.make(tokenizer, seed=0, max_length=64).eval()
    assert named.name == path.name
    assert all(p.dtype == torch.float32 for p in model.parameters())

    def loss(text: str) -> float:
        tokens = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            return model(tokens, labels=tokens).loss.item()

    story = "Once upon a time, there was a little girl who liked to play."
    assert loss(story) < loss(" ".join(reversed(story.split()))) - 1


@pytest.mark.skipif(
    not (PYTHIA.is_file() and PYTHIA_TOKENIZER.is_file()), reason="Pythia's files are not here"
)
def test_random_pythia_with_its_own_tokenizer_answers(tmp_path: Path) -> None:
    folder = tmp_path / "pythia-14m"
    folder.mkdir()
    config = json.loads(PYTHIA.read_text())["pythia-14m"]
    (folder / "config.json").write_text(json.dumps({**config, "torch_dtype": "float16"}))
    shutil.copy(PYTHIA_TOKENIZER, folder / "tokenizer.json")
    named = NamedModel(location=str(folder), random_weights=True)
    tokenizer = FolderTokenizer(location=str(folder)).load()
    model = named.make(tokenizer, seed=0, max_length=48)
    assert (named.name, named.max_length, named.has_tokenizer) == (
        "pythia-14m-random",
        2048,
        True,
    )
    assert model.dtype == torch.float32
    assert logits(model, tokenizer).shape == (1, 13, 50304)
    # The initial loss of random weights is that of a uniform guess.
    tokens = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        loss = model(tokens, labels=tokens).loss
    assert loss.item() == pytest.approx(math.log(50304), abs=0.3)
    model.save_pretrained(folder)
    loaded = NamedModel(location=str(folder)).make(tokenizer, seed=1, max_length=48)
    assert torch.equal(logits(loaded, tokenizer), logits(model, tokenizer))


def test_model_that_is_nowhere_is_refused() -> None:
    with pytest.raises(InputError, match="there is no folder tiny-gpt3"):
        make(NamedModel(location="tiny-gpt3"))
