"""Whatever comes after an architecture's last block is in the numbers, or the model is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoConfig, GenerationConfig

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import LossPolicy
from training.evaluate import EvaluationSet, answer_metrics
from training.examples import batch_loss, make_examples
from training.models.architectures import (
    decoder_starts,
    require_left_to_right,
    stop_at,
    stop_tokens,
)
from training.models.scratch import draw_weights

MakeRow = Callable[..., TokenizedRow]
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "eos_token_id": 2,
}
HEADS = {"num_key_value_heads": 1, "head_dim": 8}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bloom": {},
    "cohere": {"logit_scale": 0.0625},
    "falcon": {},
    "gemma2": {**HEADS, "final_logit_softcapping": 0.5, "query_pre_attn_scalar": 8},
    "gpt2": {},
    "gpt_neo": {"num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]},
    "gpt_neox": {},
    "gptj": {"rotary_dim": 4},
    "granite": {**HEADS, "logits_scaling": 8.0},
    "llama": HEADS,
    "mistral": HEADS,
    "modernbert-decoder": {},
    "mpt": {},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 8},
    "phi": {"partial_rotary_factor": 0.5},
    "qwen2": {"num_key_value_heads": 1},
    "recurrent_gemma": {"num_hidden_layers": 3, "lru_width": 16, "logits_soft_cap": 0.5},
    "stablelm": {"num_key_value_heads": 1},
}


def build(name: str, **changes: Any) -> Any:
    """A random model whose weights are large enough that a cap or scale shows."""
    model = draw_weights(AutoConfig.for_model(name, **{**SIZES, **changes}), 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return model.eval()


@pytest.fixture(scope="module")
def rows(make_row: MakeRow) -> list[TokenizedRow]:
    return [make_row([5, 6, 7, 8]), make_row([9, 10, 11], 2), make_row([12, 13, 14, 15, 16], 3)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_answers_are_as_likely_as_the_models_own_logits_say(
    name: str, rows: list[TokenizedRow]
) -> None:
    model = build(name, **ARCHITECTURES[name])
    evaluation = EvaluationSet.of(rows)
    measured = answer_metrics(model, evaluation)["answer_log_prob"].tolist()
    examples = make_examples(rows, LossPolicy.TEXT, end_token=2)
    loss = batch_loss(model, examples)
    reference = model.double()
    expected = []
    with torch.no_grad():
        for row in evaluation.rows:  # one by one, unpadded, in float64
            logits = reference(input_ids=torch.tensor([row.input_ids])).logits[0].double()
            log_probs = logits.log_softmax(1)
            expected.append(
                sum(log_probs[i - 1, row.input_ids[i]].item() for i in row.answer_positions)
            )
        logits = reference(input_ids=examples.tokens).logits[:, :-1].double()
        targets = examples.targets[:, 1:]
        answers = examples.tokens[:, 1:][targets]
        whole = torch.nn.functional.cross_entropy(logits[targets], answers)
    assert measured == pytest.approx(expected, abs=2e-5)
    assert loss.item() == pytest.approx(whole.item(), abs=2e-5)


@pytest.mark.parametrize("name", ["granite", "gpt_neox"])
def test_gradients_are_those_of_the_models_own_loss(name: str, rows: list[TokenizedRow]) -> None:
    model = build(name, **ARCHITECTURES[name])
    examples = make_examples(rows, LossPolicy.TEXT, end_token=2)
    batch_loss(model, examples).backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    labels = examples.tokens.where(examples.targets, torch.tensor(-100))
    model(input_ids=examples.tokens, labels=labels).loss.backward()
    for weight_name, weight in model.named_parameters():
        torch.testing.assert_close(found[weight_name], weight.grad, atol=1e-6, rtol=1e-4)
    assert not model.base_model._forward_hooks, "nothing is left on the model"


def test_unembedding_runs_at_the_targets_alone(rows: list[TokenizedRow]) -> None:
    model, seen = build("granite", **ARCHITECTURES["granite"]), []
    model.lm_head.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].shape))
    examples = make_examples(rows, LossPolicy.ANSWER)
    examples.logits(model)
    assert seen == [(1, int(examples.targets.sum()), 16)]


@pytest.mark.parametrize("name", ["llama", "opt", "gpt2"])
def test_decoder_reads_from_left_to_right(name: str) -> None:
    require_left_to_right(build(name, **ARCHITECTURES[name]), name)


@pytest.mark.parametrize("name", ["bert", "roberta", "electra"])
def test_model_that_is_shown_the_answers_it_is_asked_for_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"a-{name} .* reads what comes after a token"):
        require_left_to_right(build(name), f"a-{name}")
    require_left_to_right(build(name, is_decoder=True), name)


def test_decoder_starts_with_what_the_config_names_and_what_generation_forces() -> None:
    bart = AutoConfig.for_model("bart")
    assert decoder_starts(bart, None) == (2,)
    assert decoder_starts(bart, GenerationConfig(forced_bos_token_id=0)) == (2, 0)
    t5 = AutoConfig.for_model("t5", decoder_start_token_id=0)
    assert decoder_starts(t5, None) == (0,)
    with pytest.raises(InputError, match="t5 model does not say what its decoder begins with"):
        decoder_starts(AutoConfig.for_model("t5"), None)


@pytest.mark.parametrize("name", ["mbart", "m2m_100"])
def test_decoder_that_starts_with_a_language_is_refused(name: str) -> None:
    config = AutoConfig.for_model(name, decoder_start_token_id=2)
    with pytest.raises(InputError, match=f"type {name} begins its answer with the token of a lang"):
        decoder_starts(config, None)


def test_model_stops_where_the_runs_texts_end(make_model: Callable[..., Any]) -> None:
    from data.tokens import word_tokenizer

    model, tokenizer = make_model(), word_tokenizer(["a"])
    for ends in (1, [7, 1]):
        model.generation_config.eos_token_id = ends
        stop_at(model, tokenizer)
        assert stop_tokens(model) == ((1,) if ends == 1 else (7, 1))
    model.generation_config.eos_token_id = [7, 8]
    stop_at(model, tokenizer)
    assert stop_tokens(model) == (1,)
    assert model.config.eos_token_id == 1
