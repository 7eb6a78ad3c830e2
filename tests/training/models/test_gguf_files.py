"""A GGUF file becomes a plain folder: the same weights, the same tokens, or a line of why not."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from data.errors import InputError
from data.hub import ModelFiles, find_folder
from data.inputs import Input
from data.tokenizers import FolderTokenizer
from interp.hooked.model import load_hooked_folder
from tests.training.models.tiny_gguf import (
    CONTROL,
    N_HEADS,
    chat_llama,
    chat_tokenizer,
    llama_cpp_rows,
    write_gguf,
)
from training.models import gguf_files
from training.models.elsewhere import NamedModel
from training.models.folders import read_tokenizer, read_weights
from training.models.gguf_files import opened
from training.models.gguf_tokenizers import SAMPLE, read_gguf_tokenizer, unknown_split

WEIGHTS = ModelFiles.WEIGHTS


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny chat model in a GGUF file; never changed."""
    return write_gguf(tmp_path_factory.mktemp("shared") / "tiny.gguf")


@pytest.fixture(scope="module")
def converted(shared: Path) -> Path:
    """The folder that it is converted to; never changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IML_MODELS", str(shared.with_name("kept")))
        return opened(str(shared), WEIGHTS)


@pytest.fixture
def known(shared: Path, converted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, where its conversion is known."""
    monkeypatch.setenv("IML_MODELS", str(converted.parent))
    return shared


def test_the_weights_are_those_that_were_written(converted: Path):
    model = read_weights(converted)

    expected = chat_llama()
    found = model.state_dict()
    assert set(found) == set(expected.state_dict())
    for name, weight in expected.state_dict().items():
        assert torch.equal(found[name], weight), name
    assert model.lm_head.weight is model.model.embed_tokens.weight
    tokens = torch.tensor([[5, 9, 200, 7]])
    with torch.no_grad():
        assert torch.equal(model(tokens).logits, expected(tokens).logits)


def test_llama_cpp_turns_neighbours_where_hugging_face_turns_halves():
    """By hand: a head of four rows, of which llama.cpp turns the first two together."""
    rows = np.arange(8)[:, None]

    assert llama_cpp_rows(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_rounded_weights_are_what_the_rounding_left_of_them(tmp_path: Path, kept: Path):
    # Blocks of 32 numbers do not go into rows of 48.
    sizes = {"hidden_size": 96, "intermediate_size": 96}
    model = chat_llama(**sizes)
    kind = gguf.GGMLQuantizationType.Q4_1
    path = write_gguf(tmp_path / "rounded.gguf", model=model, quantised=kind)

    found = read_weights(opened(str(path), WEIGHTS)).state_dict()

    name = "model.layers.1.self_attn.q_proj.weight"
    written = llama_cpp_rows(model.state_dict()[name].numpy(), N_HEADS)
    rounded = gguf.quants.dequantize(gguf.quants.quantize(written, kind), kind)
    assert np.array_equal(llama_cpp_rows(found[name].numpy(), N_HEADS), rounded)
    assert not np.array_equal(rounded, written)
    card = (opened(str(path), WEIGHTS) / "README.md").read_text()
    assert "Stored as: Q4_1, F32" in card
    assert "Licence in the file: mit" in card


def test_the_folder_is_plain_and_has_no_trace_of_where_it_was_made(converted: Path, tmp_path: Path):
    config = json.loads((converted / "config.json").read_text())
    assert "quantization_config" not in config
    assert (config["dtype"], config["num_key_value_heads"]) == ("float32", 2)
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)
    for path in converted.glob("*.json"):
        assert str(converted.parents[1]) not in path.read_text(), path
    assert {path.name for path in converted.parent.iterdir()} == {".lock", converted.name}
    read_weights(converted).save_pretrained(tmp_path / "again")  # which a quantised one refuses


def test_texts_are_split_as_the_file_says(known: Path, converted: Path, tmp_path: Path):
    """A digit behind two spaces, or behind a line's end, GPT-2's rule would split otherwise."""
    expected = chat_tokenizer()
    text = "born  7\n 8"

    for tokenizer in (read_tokenizer(converted), FolderTokenizer(location=str(known)).load()):
        for each in (SAMPLE, text):
            ids = tokenizer(each)["input_ids"]
            assert ids == expected(each)["input_ids"]
            assert tokenizer.decode(ids) == each
        assert tokenizer.get_vocab() == expected.get_vocab()
        assert [tokenizer.unk_token, tokenizer.bos_token, tokenizer.eos_token] == [*CONTROL]
    as_gpt2 = write_gguf(tmp_path / "gpt2.gguf", pre="gpt-2")
    other = read_gguf_tokenizer(as_gpt2, pre="gpt-2")
    assert other(text)["input_ids"] != expected(text)["input_ids"]
    assert other.decode(other(text)["input_ids"]) == text
    warned = {pre: bool(unknown_split(other, pre)) for pre in ("gpt-2", "odd", None)}
    assert warned == {"gpt-2": False, "odd": True, None: True}
    assert not unknown_split(expected, "smollm")


def test_a_file_is_known_by_its_content_and_converted_once(
    known: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    moved = Path(shutil.copy(known, tmp_path / "moved.GGUF"))
    monkeypatch.setattr(gguf_files, "convert", None)

    assert opened(str(moved), WEIGHTS) == converted
    record = Input(location=str(moved), files=WEIGHTS).record()
    assert list(record["files"]) == ["moved.GGUF"]


def test_a_named_model_is_a_gguf_file(known: Path):
    named = NamedModel(location=str(known))
    named.check()

    assert named.has_tokenizer
    assert (named.name, named.max_length, named.is_encoder_decoder) == ("tiny.gguf", 256, False)
    assert "llama, 2 layers, d_model 48, 56,016 parameters, pretrained" in named.description
    tokenizer = FolderTokenizer(location=str(known)).load()
    model = named.make(tokenizer, seed=0, max_length=8)
    assert torch.equal(model.lm_head.weight, chat_llama().lm_head.weight)
    assert load_hooked_folder(known).tokenizer is not None


def scaled(writer: gguf.GGUFWriter) -> None:
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(4.0)


def with_frequencies(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor("rope_freqs.weight", np.ones(4, dtype=np.float32))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "architecture": ({"architecture": "mystery"}, "architecture mystery is not supported"),
    "scaled": ({"more": scaled}, r"scales its rotary embedding \(linear\)"),
    "frequencies": ({"more": with_frequencies}, r"holds 56,020 weights \(rope_freqs.weight\)"),
    "missing": ({"leave_out": ["blk.1.ffn_up.weight"]}, r"lack model\.layers\.1\.mlp\.up_proj"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_lost_is_refused_in_a_line_and_nothing_is_left(
    changes: dict[str, Any], message: str, tmp_path: Path, kept: Path
):
    path = write_gguf(tmp_path / "file.gguf", **changes)

    with pytest.raises(InputError, match=message) as raised:
        NamedModel(location=str(path)).check()

    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [each.name for each in kept.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "there is no file"),
        (lambda path: path.write_text("no model"), "is no readable GGUF file"),
        (truncate, "is no readable GGUF file"),
    ],
    ids=["gone", "text", "cut"],
)
def test_what_is_no_gguf_file_is_refused_before_anything_is_made(
    spoil: Callable[[Path], object], message: str, tiny_gguf: Path, kept: Path
):
    spoil(tiny_gguf)

    with pytest.raises(InputError, match=message):
        opened(str(tiny_gguf), WEIGHTS)

    assert not kept.exists()


def test_no_room_is_said_before_anything_is_written(
    tiny_gguf: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000_000))

    with pytest.raises(InputError, match=r"tiny.gguf needs 20 MB, .* 10 MB left; .* IML_MODELS"):
        opened(str(tiny_gguf), WEIGHTS)

    assert not kept.exists()


def test_more_weights_than_memory_are_refused(
    tiny_gguf: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gguf_files, "machine_memory", lambda: 100_000)

    with pytest.raises(InputError, match=r"56,016 weights, 224 kB in float32; this machine has"):
        opened(str(tiny_gguf), WEIGHTS)

    assert not kept.exists()


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A person presses Ctrl-C while the model card, the last of the files, is written."""

    def stop(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gguf_files, "_card", stop)
        yield


def test_an_interrupted_conversion_leaves_nothing(tiny_gguf: Path, kept: Path, interrupted: None):
    with pytest.raises(KeyboardInterrupt):
        opened(str(tiny_gguf), WEIGHTS)

    assert [each.name for each in kept.iterdir()] == [".lock"]


def test_a_tokenizer_alone_says_how_the_file_is_converted(tiny_gguf: Path, kept: Path):
    with pytest.raises(InputError, match=r"fetch it: iml models get .*tiny\.gguf"):
        find_folder(str(tiny_gguf), ModelFiles.TOKENIZER)
