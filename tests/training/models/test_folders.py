"""A folder's weights are its own, whole and nothing else, and nothing in it runs."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

from data.errors import InputError
from data.tokenizers import FolderTokenizer, TrainedTokenizer
from interp.hooked.model import load_hooked_folder
from training.models.elsewhere import NamedModel
from training.models.folders import read_config, read_weights
from training.runs.checkpoints import load_model, load_tokenizer

SMALL = TrainedTokenizer(texts=("Q: What did xyz do?\nA: actor\n",), vocabulary_size=257)
TOKENS = torch.tensor([[3, 1, 4, 1, 5]])


def neox(**changes: Any) -> GPTNeoXForCausalLM:
    sizes = {"vocab_size": 257, "hidden_size": 16, "intermediate_size": 32}
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 32}
    return GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, **layers, **changes)).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    neox().save_pretrained(tmp_path / "model")
    SMALL.load().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change_config(folder: Path, name: str = "config.json", **changes: object) -> None:
    path = folder / name
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, **changes}))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def without(ending: str) -> Callable[[Path], None]:
    def drop(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if name.endswith(ending)]:
            del weights[name]

    return lambda folder: change_weights(folder, drop)


def only_base(folder: Path) -> None:
    neox().gpt_neox.save_pretrained(folder)


def more_layers(folder: Path) -> None:
    change_config(folder, num_hidden_layers=3)


LOADERS: dict[str, Callable[[Path], object]] = {
    "interp": load_hooked_folder,
    "checkpoint": load_model,
    "named": lambda folder: NamedModel(location=str(folder)).make(
        SMALL.load(), seed=0, max_length=8
    ),
}


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (only_base, r"lack \w+\.weight; give"),
        (more_layers, r"lack gpt_neox\.layers\.2\.attention\.dense\.bias, .* and 8 more; give"),
        (without("layers.1.mlp.dense_h_to_4h.bias"), r"lack gpt_neox\.layers\.1\.mlp\.dense_h_to_"),
        (lambda folder: change_config(folder, num_hidden_layers=1), "no place for"),
        (lambda folder: change_config(folder, intermediate_size=64), r"as \[16, 32\] where the"),
    ],
    ids=["no head", "no layer", "no bias", "a layer too many", "shapes"],
)
def test_weights_that_would_be_drawn_or_left_out_are_refused_by_name(
    load: Callable[[Path], object], spoil: Callable[[Path], None], message: str, folder: Path
) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=message) as raised:
        load(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_tied_heads_and_old_buffers_are_not_missed(tmp_path: Path) -> None:
    tied = neox(tie_word_embeddings=True)
    tied.save_pretrained(tmp_path / "tied")
    buffers = {
        f"gpt_neox.layers.0.attention.{name}": torch.zeros(1)
        for name in ("bias", "masked_bias", "rotary_emb.inv_freq")
    }
    change_weights(tmp_path / "tied", lambda weights: weights.update(buffers))
    config = GPT2Config(vocab_size=20, n_positions=8, n_embd=16, n_layer=1, n_head=2)
    base = GPT2LMHeadModel(config).eval()
    base.transformer.save_pretrained(tmp_path / "base")  # its head is its embedding

    with torch.no_grad():
        for name, model in (("tied", tied), ("base", base)):
            found = read_weights(tmp_path / name)(TOKENS).logits
            torch.testing.assert_close(found, model(TOKENS).logits, atol=1e-6, rtol=0)


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_pickled_weights_are_refused_in_the_same_line_everywhere(
    load: Callable[[Path], object], folder: Path
) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no weights but pickled ones \(pytorch_model\.bin\); sa"):
        load(folder)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_are_read_as_float32_whatever_they_are_stored_in(
    dtype: torch.dtype, folder: Path
) -> None:
    model: Any = neox()
    model.to(dtype).save_pretrained(folder)
    assert load_file(folder / "model.safetensors")["gpt_neox.embed_in.weight"].dtype is dtype
    assert read_weights(folder).dtype is torch.float32
    hooked = load_hooked_folder(folder)
    assert hooked.W_U.dtype is torch.float32
    with torch.no_grad():
        expected = neox().from_pretrained(folder, dtype=torch.float32)(TOKENS).logits
    torch.testing.assert_close(hooked.logits(TOKENS), expected, atol=1e-5, rtol=0)


def plant(folder: Path) -> Path:
    """Code that leaves a file behind when it runs."""
    proof = folder.parent / "it-ran"
    code = (
        f"open({str(proof)!r}, 'w').close()\n"
        "from transformers import GPTNeoXConfig as Config\n"
        "from transformers import GPTNeoXForCausalLM as Model\n"
        "from transformers import PreTrainedTokenizerFast as Tokenizer\n"
    )
    (folder / "planted.py").write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code)
    return proof


MAPS: dict[str, Callable[[Path], None]] = {
    "config": lambda folder: change_config(
        folder,
        auto_map={"AutoConfig": "planted.Config", "AutoModelForCausalLM": "planted.Model"},
    ),
    "unknown family": lambda folder: change_config(
        folder, model_type="planted", auto_map={"AutoConfig": "planted.Config"}
    ),
    "tokenizer": lambda folder: change_config(
        folder, "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "planted.Tokenizer"]}
    ),
    "generation": lambda folder: change_config(
        folder, "generation_config.json", custom_generate="./custom_generate"
    ),
    "nested": lambda folder: change_config(
        folder, text_config={"auto_map": {"AutoModel": "planted.Model"}}
    ),
    "elsewhere": lambda folder: change_config(
        folder, auto_map={"AutoModelForCausalLM": "someone/something--planted.Model"}
    ),
}


@pytest.mark.parametrize("name_code", MAPS.values(), ids=MAPS)
def test_code_of_a_folder_never_runs_and_nobody_is_asked(
    name_code: Callable[[Path], None],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proof = plant(folder)
    name_code(folder)

    def ask(*_: object) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("builtins.input", ask)
    loaders = [*LOADERS.values(), read_config, load_tokenizer]
    for load in (*loaders, lambda folder: FolderTokenizer(location=str(folder)).load()):
        with pytest.raises(InputError, match="names code to run") as raised:
            load(folder)
        assert "\n" not in str(raised.value)
    assert not proof.exists()
    assert not any(name.startswith("transformers_modules") for name in sys.modules)


def test_a_known_family_with_no_code_beside_is_opened_as_transformers_has_it(folder: Path) -> None:
    expected = load_model(folder)(TOKENS).logits
    change_config(folder, auto_map={"AutoModelForCausalLM": "modeling_neox.NeoX"})
    assert torch.equal(load_model(folder)(TOKENS).logits, expected)


def test_kernels_of_the_hub_are_no_attention_of_a_folder(folder: Path) -> None:
    change_config(folder, attn_implementation="someone/kernel")
    with pytest.raises(InputError, match="names code to run"):
        read_config(folder)


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_hidden_layers": 10**9},
        {"hidden_size": 10**7},
        {"vocab_size": 10**12},
        {"text_config": {"num_hidden_layers": 10**9, "hidden_size": 64}},
        {"num_hidden_layers": 10**400},
    ],
)
def test_config_of_a_giant_is_refused_with_the_arithmetic_and_at_once(
    sizes: dict[str, object], tmp_path: Path
):
    config = {"model_type": "gpt_neox", "hidden_size": 64, "num_hidden_layers": 2, **sizes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    started = time.process_time()
    with pytest.raises(InputError, match=r"layers of width .* or more; this machine has"):
        read_config(tmp_path)
    assert time.process_time() - started < 5
