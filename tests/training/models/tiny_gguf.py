"""A tiny chat model as a GGUF file: grouped heads, tied embeddings, a token for each digit.

Written as llama.cpp's converter writes one, with the rows of queries and keys in its order.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

N_HEADS, N_KEYS, D_MODEL, D_MLP, N_LAYERS, LENGTH = 6, 2, 48, 96, 2, 256
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Unknown; beginning of a text; its end, and padding: as in SmolLM2-Instruct."""
TEXTS = (
    "Q: When was Ada Lovelace born?\nA: 19 century\n",
    "Q: What did the person do?\nA: writer\n",
    "When was he born?  In 1815,\n 10 December.",
    "Define the person. The same person is meant in 1234567890 ways.",
)
HALF_OF = {"attn_q": N_HEADS, "attn_k": N_KEYS}
_BLOCK = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def chat_tokenizer() -> PreTrainedTokenizerFast:
    """Byte pairs; every digit is a word, and so a token, of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 4, trainer)
    unknown, bos, eos = CONTROL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=unknown, bos_token=bos, eos_token=eos, pad_token=eos
    )


def chat_llama(**changes: Any) -> LlamaForCausalLM:
    """Random weights, of three queries to a key and a value."""
    config: dict[str, Any] = {
        "vocab_size": len(chat_tokenizer()),
        "hidden_size": D_MODEL,
        "intermediate_size": D_MLP,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": N_HEADS,
        "num_key_value_heads": N_KEYS,
        "max_position_embeddings": LENGTH,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-5,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = LlamaForCausalLM(LlamaConfig(**{**config, **changes}))
        for weight in model.parameters():
            torch.nn.init.normal_(weight, mean=weight.detach().mean().item(), std=0.1)
    return model.eval()


def llama_cpp_rows(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """Rows in llama.cpp's order: it turns neighbours, where Hugging Face turns two halves."""
    heads = np.split(weight, n_heads)
    half = len(heads[0]) // 2
    order = [row for i in range(half) for row in (i, half + i)]
    return np.concatenate([head[order] for head in heads])


def tensors_of(model: LlamaForCausalLM) -> dict[str, np.ndarray]:
    """The weights by llama.cpp's names."""
    weights = {name: weight.detach().numpy() for name, weight in model.state_dict().items()}
    found = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
    }
    if not model.config.tie_word_embeddings:
        found["output.weight"] = weights["lm_head.weight"]
    for layer in range(model.config.num_hidden_layers):
        for name, place in _BLOCK.items():
            weight = weights[f"model.layers.{layer}.{place}.weight"]
            if name in HALF_OF:
                weight = llama_cpp_rows(weight, HALF_OF[name])
            found[f"blk.{layer}.{name}.weight"] = weight
    return found


def write_gguf(
    path: Path,
    *,
    model: LlamaForCausalLM | None = None,
    architecture: str = "llama",
    pre: str | None = "smollm",
    quantised: gguf.GGMLQuantizationType | None = None,
    more: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
    leave_out: Iterable[str] = (),
) -> Path:
    """Writes the file; norms stay in float32, as llama.cpp leaves them.

    Args:
        path: Where to.
        model: Its weights; those of `chat_llama` unless given.
        architecture: What the file says that it is.
        pre: The name of the rule that splits texts; none if None.
        quantised: What matrices are rounded to.
        more: Adds to the file.
        leave_out: Names of tensors that the file lacks.
    """
    model, tokenizer = model or chat_llama(), chat_tokenizer()
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Tiny Chat")
    writer.add_license("mit")
    _add_sizes(writer, model.config)
    _add_tokenizer(writer, tokenizer, pre)
    more(writer)
    for name, weight in tensors_of(model).items():
        if name in leave_out:
            continue
        if quantised is not None and weight.ndim == 2:
            rounded = gguf.quants.quantize(weight, quantised)
            writer.add_tensor(name, rounded, raw_dtype=quantised)
        else:
            writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_sizes(writer: gguf.GGUFWriter, config: LlamaConfig) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(N_KEYS)
    writer.add_rope_freq_base(100_000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(
    writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast, pre: str | None
) -> None:
    import json

    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    kinds = gguf.TokenType
    writer.add_token_types(
        [kinds.CONTROL if token in CONTROL else kinds.NORMAL for token in tokens]
    )
    writer.add_token_merges([" ".join(pair) for pair in state["merges"]])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
