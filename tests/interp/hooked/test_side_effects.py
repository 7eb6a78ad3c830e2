import copy
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from interp.hooked.model import HookedModel
from tests.interp.hooked.kept_state import n_attached_hooks, random_state, same, state_of
from tests.interp.hooked.tiny_models import four_architectures, neox, prompts


@four_architectures
def test_wrapping_changes_nothing_of_the_model(build: Callable[..., PreTrainedModel]) -> None:
    model, tokens = build(), prompts()
    model.train()
    model(tokens, labels=tokens).loss.backward()
    random_before = random_state()
    before, config = state_of(model), copy.deepcopy(model.config.to_dict())
    attention = model.config._attn_implementation
    hooked = HookedModel.from_hf(model)
    hooked.refresh(model)
    hooked.processed()
    assert same(random_state(), random_before)
    assert same(state_of(model), before)
    assert model.config.to_dict() == config
    assert model.config._attn_implementation == attention
    assert all(parameter.grad is None for parameter in hooked.bridge.parameters())


@pytest.mark.usefixtures("nothing_random_is_drawn")
@four_architectures
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda h, t: h.logits(t, torch.ones_like(t)), id="logits"),
        pytest.param(lambda h, t: h(t).sum(), id="call"),
        pytest.param(lambda h, t: h.run_with_cache(t, ["blocks.0.hook_mlp_out"]), id="early"),
        pytest.param(lambda h, t: h.run_with_cache(t, ["ln_final.hook_in"]), id="cache"),
        pytest.param(lambda h, t: h.check_hooks(["hook_embed"]), id="check_hooks"),
        pytest.param(lambda h, t: h.final_norm(h.W_U.T + h.b_U[:, None]), id="lens"),
        pytest.param(lambda h, t: h.processed(), id="processed"),
        pytest.param(lambda h, t: patch_and_differentiate(h, t), id="hooks"),
    ],
)
def test_using_a_view_changes_nothing_of_it(
    build: Callable[..., PreTrainedModel], use: Callable[[HookedModel, Tensor], object]
) -> None:
    hooked, tokens = HookedModel.from_hf(build()), prompts()
    before = state_of(hooked.bridge.original_model)
    use(hooked, tokens)
    assert same(state_of(hooked.bridge.original_model), before)
    assert n_attached_hooks(hooked) == 0


def patch_and_differentiate(hooked: HookedModel, tokens: Tensor) -> None:
    name = "blocks.1.hook_resid_pre"
    with hooked.hooks([(name, lambda t, hook: 2 * t)], [(name, lambda grad, hook: None)]):
        hooked(tokens).sum().backward()


@pytest.mark.slow
def test_importing_transformer_lens_leaves_logging_and_warnings_alone() -> None:
    code = (
        "import logging, sys, warnings\n"
        "from transformers import GPTNeoXConfig, GPTNeoXForCausalLM\n"
        "from interp.hooked import HookedModel\n"
        "config = GPTNeoXConfig(vocab_size=9, hidden_size=8, intermediate_size=8,\n"
        "    num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=8)\n"
        "model = GPTNeoXForCausalLM(config)\n"
        "logger = logging.getLogger('transformers')\n"
        "before = (logger.level, list(warnings.filters))\n"
        "assert 'transformer_lens' not in sys.modules\n"
        "HookedModel.from_hf(model)\n"
        "assert 'transformer_lens' in sys.modules\n"
        "assert (logger.level, list(warnings.filters)) == before\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_building_leaves_logging_and_warnings_alone() -> None:
    logger = logging.getLogger("transformers")
    before = (logger.level, list(warnings.filters))
    HookedModel.from_hf(neox())
    assert (logger.level, list(warnings.filters)) == before
