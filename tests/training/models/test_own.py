"""Models that are no transformers: their arithmetic by hand, and that they are saved and read."""

import json
import math
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.tokens import word_tokenizer
from training.models.architectures import require_left_to_right, stop_tokens
from training.models.folders import read_weights
from training.models.own import AFTER, BEFORE, OneLayer, OwnModel

WORDS = ("a", "b")  # of a vocabulary of five, with the three special tokens
MODELS = {
    "factorised": ("linear_retrieval", {"is_factorised": True, "head_size": 3}),
    "merged": ("linear_retrieval", {"is_factorised": False, "head_size": 0}),
    "normed": ("truth_encoder", {"max_position_embeddings": 3, "has_norm": True}),
    "plain": ("truth_encoder", {"max_position_embeddings": 3, "has_norm": False}),
}


def made(name: str, seed: int = 0) -> PreTrainedModel:
    kind, settings = MODELS[name]
    provider = OwnModel(model_type=kind, settings=settings, about="a model")
    return provider.make(word_tokenizer(WORDS), seed=seed, max_length=3)


@torch.no_grad()
def shaken(name: str) -> PreTrainedModel:
    """With other weights than the first ones, which are 0 or 1 in part."""
    model = made(name)
    draw = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight.copy_(torch.randn(weight.shape, generator=draw))
    return model


@pytest.mark.parametrize("name", MODELS)
def test_it_is_saved_as_numbers_and_read_back(name: str, tmp_path: Path) -> None:
    model, tokens = shaken(name), torch.tensor([[3, 4, 3], [0, 1, 2]])
    model.save_pretrained(tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert files == {"config.json", "model.safetensors"}
    assert "auto_map" not in json.loads((tmp_path / "model" / "config.json").read_text())
    read = read_weights(tmp_path / "model")
    assert type(read) is type(model)
    assert torch.equal(read(input_ids=tokens).logits, model(input_ids=tokens).logits)


@pytest.mark.parametrize("name", MODELS)
def test_a_damaged_folder_of_it_is_refused(name: str, tmp_path: Path) -> None:
    made(name).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 7}))
    with pytest.raises(InputError, match="where the config says"):
        read_weights(tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_what_it_says_depends_on_no_later_token(name: str) -> None:
    model = shaken(name)
    tokens = torch.tensor([[3, 4, 3], [3, 4, 0], [3, 1, 0]])
    logits = model(input_ids=tokens).logits
    assert torch.allclose(logits[0, :2], logits[1, :2], atol=1e-6)
    assert torch.allclose(logits[:, 0], logits[:1, 0].expand(3, -1), atol=1e-6)
    assert not torch.allclose(logits[0, 2], logits[1, 2])
    assert stop_tokens(model) == ()


def test_attention_from_left_to_right_is_seen_as_that() -> None:
    provider = OwnModel(model_type="linear_retrieval", settings={}, about="")
    model = provider.make(word_tokenizer(tuple("abcdefg")), seed=0, max_length=8)
    require_left_to_right(model, "retrieval")


@pytest.mark.parametrize("name", MODELS)
def test_first_weights_depend_on_the_seed_and_leave_torch_alone(name: str) -> None:
    before = torch.get_rng_state()
    same, again, other = made(name), made(name), made(name, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    pairs = [list(model.state_dict().values()) for model in (same, again, other)]
    assert all(map(torch.equal, pairs[0], pairs[1]))
    is_drawn = "linear" in MODELS[name][0]
    assert all(map(torch.equal, pairs[0], pairs[2])) != is_drawn


@pytest.mark.parametrize("name", ["factorised", "merged"])
def test_retrieval_is_the_published_formula(name: str) -> None:
    """f(X) = W_OV X^T X W_KQ x_T, in float64 and with one-hot vectors written out."""
    model = shaken(name)
    tokens = torch.tensor([3, 4, 3])
    X = torch.eye(5, dtype=torch.float64)[tokens]
    weights = {key: value.double() for key, value in model.state_dict().items()}
    W_OV = weights["W_O"] @ weights["W_V"] if name == "factorised" else weights["W_OV"]
    by_hand = W_OV @ X.T @ X @ weights["W_KQ"] @ X[-1]
    assert torch.allclose(model(input_ids=tokens[None]).logits[0, -1].double(), by_hand, atol=1e-5)


def test_retrieval_of_two_tokens_by_hand() -> None:
    model = made("merged")
    with torch.no_grad():
        model.W_OV.zero_()
        model.W_OV[1, 3], model.W_OV[2, 4] = 5.0, 7.0
        model.W_KQ[3, 4] = 0.5  # how much token 3 is attended to from token 4
    logits = model(input_ids=torch.tensor([[3, 4]])).logits
    assert logits[0, 0].tolist() == [0, 5, 0, 0, 0]
    assert logits[0, 1].tolist() == [0, 2.5, 7, 0, 0]


def test_truth_encoder_by_hand() -> None:
    """Five tokens and three positions: features e 0-4, p 5-7, u 8-12."""
    model = made("normed")
    with torch.no_grad():
        model.W[8 + 4, 3] = 6.0  # reading token 3 makes token 4 likely
        model.W[8 + 4, 6] = 2.0  # and so does the second position
    states = model.states(torch.tensor([[3, 1]]))
    first, second = states[BEFORE][0]
    expected = [0.0] * 13
    expected[3] = expected[5] = 1.0
    expected[12] = 6.0
    assert first.tolist() == expected
    expected = [0.0] * 13
    expected[1] = expected[6] = 1.0
    expected[12] = (6.0 + 2.0) / 2
    assert second.tolist() == expected
    assert states[AFTER][0].norm(dim=-1).tolist() == pytest.approx([1.0, 1.0])
    logits = model(input_ids=torch.tensor([[3, 1]])).logits
    assert logits[0, 1].tolist() == pytest.approx([0, 0, 0, 0, math.sqrt(13) * 4 / math.sqrt(18)])


def test_without_a_norm_logits_are_what_is_written() -> None:
    model = made("plain")
    with torch.no_grad():
        model.W[8 + 4, 3] = 6.0
    assert list(model.states(torch.tensor([[3]]))) == [BEFORE]
    assert model(input_ids=torch.tensor([[3]])).logits[0, 0].tolist() == [0, 0, 0, 0, 6]


@pytest.mark.parametrize("name", MODELS)
def test_it_offers_what_iml_blocks_reads(name: str) -> None:
    model = shaken(name)
    assert isinstance(model, OneLayer)
    tokens = torch.tensor([0, 4])
    said = model.features(tokens, is_said=True)
    assert model.features(tokens, is_said=False).tolist() == [0, 4]
    assert said.tolist() == ([0, 4] if "linear" in MODELS[name][0] else [8, 12])
    assert model.value_matrix().shape == (said[-1] + 1,) * 2
