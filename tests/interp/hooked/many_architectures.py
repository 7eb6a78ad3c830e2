"""Models of many architectures: read exactly, read in part, or refused."""

from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from data.rows import prompt_row
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Role

VOCABULARY, CONTEXT = 41, 32
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
OLD = {"vocab_size": VOCABULARY, "n_positions": CONTEXT, "bos_token_id": 1, "eos_token_id": 2}
OLD |= {"n_embd": 16, "n_layer": 2, "n_head": 4}
GRANITE = {"embedding_multiplier": 3.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2}
OPENED: dict[str, tuple[str, dict[str, Any]]] = {
    "neox without biases": ("gpt_neox", {**SIZES, "attention_bias": False}),
    "sequential neox without biases": (
        "gpt_neox",
        {**SIZES, "attention_bias": False, "use_parallel_residual": False},
    ),
    "gpt2": ("gpt2", OLD),
    "qwen3": ("qwen3", {**GROUPED, "head_dim": 8}),
    "gemma": ("gemma", {**GROUPED, "head_dim": 8}),
    "granite": ("granite", {**GROUPED, **GRANITE, "logits_scaling": 8.0}),
    "cohere": ("cohere", {**GROUPED, "logit_scale": 0.25}),
    "phi": ("phi", SIZES),
    "opt": (
        "opt",
        {**{k: v for k, v in SIZES.items() if k != "intermediate_size"},
         "ffn_dim": 32, "word_embed_proj_dim": 16},
    ),
    "bloom": ("bloom", {"vocab_size": VOCABULARY, "hidden_size": 16, "n_layer": 2, "n_head": 4}),
    "falcon": ("falcon", SIZES),
    "nemotron": ("nemotron", GROUPED),
    "gptj": ("gptj", {**OLD, "rotary_dim": 4}),
}  # fmt: skip
NORMED_AFTER: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma3": ("gemma3_text", {**GROUPED, "head_dim": 8}),
    "olmo2": ("olmo2", GROUPED),
}
CAPPED = (
    "gemma2",
    {**GROUPED, "head_dim": 8, "final_logit_softcapping": 1.5, "attn_logit_softcapping": 2.0},
)
WORDS = [f"w{i}" for i in range(37)]


def build(family: str, settings: dict[str, Any]) -> PreTrainedModel:
    """A random model whose biases and gains are no zeros and ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    return model.float().eval()


def rows(*texts: str) -> list[TokenizedRow]:
    given = texts or ("w1 w3 w4 w5", "w6 w3 w4 w9 w7", "w8 w3 w4 w9 w2 w11")
    prompts = [
        prompt_row(text, text, text.split()[-1], spans={Role.ALIAS: (0, len(text.split()[0]))})
        for text in given
    ]
    return tokenize_rows(prompts, word_tokenizer(WORDS))


def sums(parts: Any) -> np.ndarray:
    return parts.groupby("row")["logit"].sum().to_numpy()


def moved(model: Any, dtype: torch.dtype) -> PreTrainedModel:
    return model.to(dtype)


@torch.no_grad()
def own_logits(model: PreTrainedModel, row: TokenizedRow) -> torch.Tensor:
    """Hugging Face's, at the prompt's end."""
    prompt = torch.tensor([row.input_ids[: row.answer_positions[0]]])
    return model(prompt, use_cache=False).logits[0, -1]
