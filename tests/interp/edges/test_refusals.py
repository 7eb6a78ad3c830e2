from collections.abc import Callable

import pandas as pd
import pytest
import torch
from transformers import PreTrainedModel

from data.errors import InputError
from data.pairs import PromptPair
from interp.edges.attribution import attribute_edges, edge_faithfulness
from interp.edges.direct_paths import patch_direct_paths
from interp.hooked.model import HookedModel
from tests.interp.edges.edge_pairs import PAIRS, pair_of

Builder = Callable[[str], PreTrainedModel]


@pytest.mark.parametrize(
    ("name", "message"),
    [("llama", "2 keys and values for 4 heads"), ("gpt-neo", "cannot show single edges")],
)
def test_architectures_without_edges_are_refused_in_one_line(
    name: str, message: str, random_model: Builder
) -> None:
    model = HookedModel.from_hf(random_model(name))
    edges = pd.DataFrame({"source": ["embed"], "destination": ["logits"], "score": [1.0]})
    for call in (
        lambda: attribute_edges(model, PAIRS),
        lambda: edge_faithfulness(model, PAIRS, edges, n_edges=1),
        lambda: patch_direct_paths(model, PAIRS),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_model_whose_writes_are_normed_before_they_are_added_is_refused() -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=4,
        max_position_embeddings=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HookedModel.from_hf(Gemma2ForCausalLM(config).eval())
    with pytest.raises(InputError, match="does not sum to the residual stream"):
        attribute_edges(model, PAIRS)


UNEQUAL = [pair_of("w1 w2 w3 w10", "w4 w2 w11")]
ALIKE = [pair_of("w1 w2 w3 w10", "w4 w2 w3 w10")]
TWICE = [pair_of("w1 w2 w3 w10", "w1 w2 w3 w11")]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [([], "empty set"), (UNEQUAL, "unequal length"), (ALIKE, "same token"), (TWICE, "twice")],
)
def test_pairs_that_cannot_be_compared_are_refused(
    pairs: list[PromptPair], message: str, neox: HookedModel
) -> None:
    edges = pd.DataFrame({"source": ["embed"], "destination": ["logits"], "score": [1.0]})
    with pytest.raises(InputError, match=message):
        attribute_edges(neox, pairs)
    with pytest.raises(InputError, match=message):
        edge_faithfulness(neox, pairs, edges, n_edges=1)
    with pytest.raises(InputError, match=message):
        patch_direct_paths(neox, pairs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: attribute_edges(m, PAIRS, ig_steps=0), "ig_steps is 0"),
        (lambda m: attribute_edges(m, PAIRS, by_position=True), "prompts of 2 to 3 tokens"),
        (lambda m: patch_direct_paths(m, PAIRS, sources=[(1, 0)]), "layer from 0 to 0"),
        (lambda m: patch_direct_paths(m, PAIRS, sources=[(-1, 0)]), "head 0 of layer -1"),
        (lambda m: patch_direct_paths(m, PAIRS, sources=[(0, 4)]), "head from 0 to 3"),
        (lambda m: patch_direct_paths(m, PAIRS, sources=[]), "no source heads"),
        (lambda m: patch_direct_paths(m, PAIRS, components=[]), "choose q, k or v"),
    ],
)
def test_what_the_model_does_not_have_is_refused(
    call: Callable[[HookedModel], object], message: str, neox: HookedModel
) -> None:
    with pytest.raises(InputError, match=message):
        call(neox)


@pytest.mark.parametrize("n_edges", [0, 3])
def test_more_edges_than_there_are_are_refused(n_edges: int, neox: HookedModel) -> None:
    edges = pd.DataFrame(
        {"source": ["embed"] * 2, "destination": ["logits", "mlp_in.0"], "score": [1.0, 2.0]}
    )
    with pytest.raises(InputError, match=f"n_edges is {n_edges} of 2"):
        edge_faithfulness(neox, PAIRS, edges, n_edges=n_edges)


def test_edges_at_tokens_that_a_prompt_lacks_are_refused(neox: HookedModel) -> None:
    edges = attribute_edges(neox, PAIRS[:2], by_position=True)
    with pytest.raises(InputError, match="edges at position 2 and a prompt of 2 tokens"):
        edge_faithfulness(neox, PAIRS, edges, n_edges=1)


def test_edges_listed_twice_are_refused(neox: HookedModel) -> None:
    edges = attribute_edges(neox, PAIRS)
    with pytest.raises(InputError, match="listed twice"):
        edge_faithfulness(neox, PAIRS, pd.concat([edges, edges]), n_edges=1)


def test_edges_of_another_model_are_refused(neox: HookedModel) -> None:
    edges = pd.DataFrame({"source": ["mlp_out.7"], "destination": ["logits"], "score": [1.0]})
    with pytest.raises(InputError, match=r"no edge from mlp_out\.7 to logits"):
        edge_faithfulness(neox, PAIRS, edges, n_edges=1)
