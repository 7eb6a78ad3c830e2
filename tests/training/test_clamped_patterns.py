import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from tests.interp.random_models import BUILDERS, random_model_of
from training import retraining as trainings
from training.clamped_patterns import clamped_patterns
from training.loop import StageTrainer
from training.retraining import Retraining
from training.runs.run import Run

TOKENS = torch.tensor([[5, 6, 7, 8, 9, 10], [9, 9, 5, 4, 3, 11]])


@pytest.fixture(scope="module")
def retraining(tiny_run: Run) -> Retraining:
    return Retraining(run=tiny_run, seed=tiny_run.seeds[0])


def is_same(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def shaken(model: PreTrainedModel) -> PreTrainedModel:
    """The same with all weights moved, so that its patterns are others."""
    changed, generator = copy.deepcopy(model), torch.Generator().manual_seed(1)
    for weight in changed.parameters():
        weight.data += 0.3 * torch.randn(weight.shape, generator=generator)
    return changed


def logits(model: PreTrainedModel) -> Tensor:
    with torch.no_grad():
        return model(input_ids=TOKENS, use_cache=False).logits


@pytest.mark.parametrize("name", list(BUILDERS))
def test_patterns_that_are_equal_anyway_change_nothing(name: str):
    model = random_model_of(name).eval()
    heads = [(layer, head) for layer in range(2) for head in range(4)]
    expected = logits(model)
    with clamped_patterns(model, model, heads):
        assert logits(model).numpy() == pytest.approx(expected.numpy(), abs=1e-5)
    assert torch.equal(logits(model), expected)


@pytest.mark.parametrize("name", list(BUILDERS))
def test_all_patterns_of_another_model_make_queries_and_keys_idle(name: str):
    """So the model says the same with any other queries and keys."""
    model = random_model_of(name).eval()
    other = shaken(model)
    heads = [(layer, head) for layer in range(2) for head in range(4)]
    expected = logits(model)
    with clamped_patterns(model, other, heads):
        clamped = logits(model)
        _spoil_queries(model)
        assert logits(model).numpy() == pytest.approx(clamped.numpy(), abs=1e-5)
    assert not torch.allclose(clamped, expected, atol=1e-3)
    assert not torch.allclose(logits(model), clamped, atol=1e-3)


def _spoil_queries(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        if "query_key_value.weight" in name:
            weight.data.view(4, 3, -1, weight.shape[-1])[:, 0] *= -7
        elif "c_attn.weight" in name:
            weight.data[:, : weight.shape[0]] *= -7
        elif "q_proj.weight" in name:
            weight.data *= -7


def test_the_clamped_head_alone_gathers_by_the_other_s_pattern():
    """By hand, at the input of the output projection of GPT-NeoX."""
    model = random_model_of("neox").eval()
    other, seen, size = shaken(model), {}, 4
    eager = copy.deepcopy(other)
    eager.set_attn_implementation("eager")
    pattern = eager(input_ids=TOKENS, use_cache=False, output_attentions=True).attentions[1]
    attention: Any = model.get_submodule("gpt_neox.layers.1.attention")

    def keep(name: str) -> Callable:
        return lambda _module, arguments, *output: seen.update({name: (arguments, *output)})

    attention.query_key_value.register_forward_hook(keep("qkv"))
    attention.dense.register_forward_pre_hook(keep("free"))
    logits(model)
    free = seen["free"][0][0]
    with clamped_patterns(model, other, [(1, 2)]):
        attention.dense.register_forward_pre_hook(keep("clamped"))
        logits(model)
    clamped = seen["clamped"][0][0]
    values = seen["qkv"][-1].unflatten(-1, (4, 3, size))[:, :, 2, 2]
    of_head = slice(2 * size, 3 * size)
    by_hand = (pattern[:, 2] @ values).detach().numpy()
    assert clamped[..., of_head].detach().numpy() == pytest.approx(by_hand, abs=1e-5)
    is_other = torch.ones(clamped.shape[-1], dtype=torch.bool)
    is_other[of_head] = False
    assert torch.equal(clamped[..., is_other], free[..., is_other])
    assert not torch.allclose(clamped, free, atol=1e-4)


def test_no_hook_is_left_also_after_an_error():
    model = random_model_of("gpt2")

    def n_hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

    def clamp_and_break() -> None:
        with clamped_patterns(model, model, [(0, 1), (1, 0)]):
            assert n_hooks() == 5
            raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="broke"):
        clamp_and_break()
    assert n_hooks() == 0
    with (
        pytest.raises(InputError, match="cannot be clamped"),
        clamped_patterns(model, model, [(0, 1), (9, 0)]),
    ):
        pass
    assert n_hooks() == 0


def test_stage_2_keeps_the_pattern_at_every_step(
    retraining: Retraining, monkeypatch: pytest.MonkeyPatch
):
    """The pattern that Stage 1's model has, of every batch of the training."""
    start, own = retraining.model_at(1), retraining.model_at(2)
    eager = copy.deepcopy(start)
    eager.set_attn_implementation("eager")
    n_heads, n_checked = start.config.num_attention_heads, 0
    train = trainings._train

    def watched(trainer: StageTrainer, turned: Any) -> PreTrainedModel:
        read: list[Tensor] = []
        attention: Any = trainer.model.get_submodule("gpt_neox.layers.1.attention")

        def keep(_module: object, _arguments: object, named: dict[str, Tensor]) -> None:
            read[:] = [named["input_ids"]]

        def check(_module: object, arguments: tuple[Tensor]) -> None:
            nonlocal n_checked
            (tokens,), values = read, read_values[0].unflatten(-1, (n_heads, 3, -1))[:, :, 0, 2]
            with torch.no_grad():
                told = eager(input_ids=tokens, use_cache=False, output_attentions=True)
                by_hand = told.attentions[1][:, 0] @ values
            z = arguments[0].detach().unflatten(-1, (n_heads, -1))[:, :, 0]
            assert z.numpy() == pytest.approx(by_hand.numpy(), abs=1e-5)
            n_checked += 1

        read_values: list[Tensor] = []
        attention.query_key_value.register_forward_hook(
            lambda _m, _a, output: read_values.insert(0, output.detach())
        )
        trainer.model.register_forward_pre_hook(keep, with_kwargs=True)
        attention.dense.register_forward_pre_hook(check)
        return train(trainer, turned)

    monkeypatch.setattr(trainings, "_train", watched)
    clamped = retraining.stage_two(start, clamped=[(1, 0)])
    monkeypatch.undo()
    assert n_checked == retraining.run.steps(retraining.seed, 2)[-1]
    assert not is_same(clamped, own)
    assert is_same(retraining.stage_two(start, clamped=()), own)
