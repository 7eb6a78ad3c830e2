"""What an architecture asks of the texts that are written for it, and which are refused."""

from typing import TYPE_CHECKING

from data.errors import InputError

if TYPE_CHECKING:
    from transformers import (
        GenerationConfig,
        PreTrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerFast,
    )

MANY_LANGUAGES = ("m2m_100", "mbart", "nllb-moe", "plbart", "seamless_m4t", "seamless_m4t_v2")
"""Encoder-decoders whose texts begin, or end, with the token of a language."""
N_PROBED = 8
"""Tokens by which a model is seen to read from left to right."""


def decoder_starts(
    config: "PreTrainedConfig", generation_config: "GenerationConfig | None"
) -> tuple[int, ...]:
    """What an encoder-decoder begins its answer with, in training and when it generates.

    Args:
        config: Names the start token; T5's is its padding.
        generation_config: May force a first token, as BART's does.

    Raises:
        InputError: no token is named, or it depends on a language.
    """
    if config.model_type in MANY_LANGUAGES:
        raise InputError(
            f"a model of type {config.model_type} begins its answer with the token of a language, "
            "which these texts do not name; use another encoder-decoder, such as T5 or BART"
        )
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        raise InputError(
            f"the config of the {config.model_type} model does not say what its decoder begins "
            "with; set decoder_start_token_id in its config.json"
        )
    forced = getattr(generation_config, "forced_bos_token_id", None)
    return (start,) if forced is None else (start, forced)


def stop_tokens(model: "PreTrainedModel") -> tuple[int, ...]:
    """The tokens at which `generate` stops."""
    # A model of `training.models.own` generates nothing, and has no such config.
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return tuple(ends) if isinstance(ends, list) else () if ends is None else (ends,)


def stop_at(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast") -> None:
    """Lets `generate` stop at the token that the run's texts end with, if it does not already."""
    end_token = tokenizer.eos_token_id
    assert isinstance(end_token, int)
    if model.generation_config is not None and end_token not in stop_tokens(model):
        model.config.eos_token_id = model.generation_config.eos_token_id = end_token


def require_left_to_right(model: "PreTrainedModel", name: str) -> None:
    """Refuses a model in which what follows a token changes what is predicted before it.

    Such as a BERT: it would be shown the answers that it is asked for.
    """
    import torch

    from training.examples import target_logits

    tokens = torch.arange(N_PROBED) % model.config.vocab_size
    other = torch.cat([tokens[:3], tokens[3:].flip(0)])
    targets = torch.zeros(1, N_PROBED, dtype=torch.bool)
    targets[0, 1:4] = True
    was_training = model.training
    model.eval()
    with torch.no_grad():
        before = target_logits(model, tokens[None], targets)
        whole = model(input_ids=other[None], use_cache=False).logits[0, :3]
    model.train(was_training)
    if not torch.allclose(before, whole, rtol=1e-3, atol=1e-3 * float(whole.std())):
        raise InputError(
            f"{name} ({model.config.model_type}) reads what comes after a token before it predicts "
            "it; use a causal language model"
        )
