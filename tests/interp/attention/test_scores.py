from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from data.errors import InputError
from data.tokens import word_tokenizer
from interp.attention import scores as attention_scores
from interp.attention.scores import (
    RandomTokens,
    composition_scores,
    random_tokens,
    token_scores,
)
from interp.hooked.model import HookedModel


def of_heads(table: pd.DataFrame, kind: str, column: str = "value") -> dict[tuple[int, str], float]:
    cells = table.loc[(table["kind"] == kind) & table["head"].str.isdigit()]
    return {(row["layer"], row["head"]): row[column] for row in cells.to_dict("records")}


def detector_scores(
    model: HookedModel, tokens: torch.Tensor, detection: Callable[[torch.Tensor], torch.Tensor]
) -> np.ndarray:
    """TransformerLens's head detector, sequence by sequence: the share of all attention."""
    from transformer_lens.head_detector import compute_head_attention_similarity_score

    names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.n_layers)]
    scores = np.zeros((len(tokens), model.n_layers, model.n_heads))
    for i, sequence in enumerate(tokens):
        _, cache = model.run_with_cache(sequence[None], names)
        for layer, name in enumerate(names):
            for head in range(model.n_heads):
                scores[i, layer, head] = compute_head_attention_similarity_score(
                    cache[name][0, head],
                    detection_pattern=detection(sequence[None]),
                    exclude_bos=False,
                    exclude_current_token=False,
                    error_measure="mul",
                )
    return scores.mean(0)


@pytest.fixture(scope="module")
def repeated() -> RandomTokens:
    generator = torch.Generator().manual_seed(1)
    fresh = torch.stack([torch.randperm(37, generator=generator)[:12] + 3 for _ in range(6)])
    return RandomTokens(repeated=fresh[:, :6].repeat(1, 2), fresh=fresh)


def test_induction_scores_are_those_of_the_head_detector(
    any_model: HookedModel, repeated: RandomTokens
):
    from transformer_lens.head_detector import get_induction_head_detection_pattern

    found = of_heads(token_scores(any_model, repeated), "induction")
    shares = detector_scores(any_model, repeated.repeated, get_induction_head_detection_pattern)

    # The detector's share is of the attention of all 12 positions, ours of the 6 repeated ones.
    for (layer, head), value in found.items():
        assert value == pytest.approx(2 * shares[layer, int(head)], abs=1e-5)


def test_previous_token_scores_are_those_of_the_head_detector(
    any_model: HookedModel, repeated: RandomTokens
):
    from transformer_lens.head_detector import get_previous_token_head_detection_pattern

    table = token_scores(any_model, repeated)
    found = of_heads(table, "previous_token")
    detection = get_previous_token_head_detection_pattern
    shares = detector_scores(any_model, repeated.fresh, detection)

    for (layer, head), value in found.items():
        assert value == pytest.approx(12 / 11 * shares[layer, int(head)], abs=1e-5)
    controls = list(of_heads(table, "previous_token", "control").values())
    even = sum(1 / (pos + 1) for pos in range(1, 12)) / 11
    assert controls == pytest.approx([even] * 8)


def planted_attention(monkeypatch: pytest.MonkeyPatch, weight: Callable[..., float]) -> None:
    """Every model's pattern becomes `weight(tokens, dest, src, layer, head)`."""

    def run_with_cache(
        self: HookedModel, tokens: torch.Tensor, names: list[str], **_: object
    ) -> tuple[None, dict[str, torch.Tensor]]:
        n_pos = tokens.shape[1]
        cache = {}
        for layer, name in enumerate(names):
            pattern = torch.zeros(len(tokens), 4, n_pos, n_pos)
            for i, sequence in enumerate(tokens.tolist()):
                for head in range(4):
                    for q in range(n_pos):
                        for k in range(q + 1):
                            pattern[i, head, q, k] = weight(sequence, q, k, layer, head)
            cache[name] = pattern
        return None, cache

    monkeypatch.setattr(HookedModel, "run_with_cache", run_with_cache)


def test_an_induction_head_is_told_from_one_that_looks_as_far_back(
    neox: HookedModel, repeated: RandomTokens, monkeypatch: pytest.MonkeyPatch
):
    def weight(sequence: list[int], q: int, k: int, layer: int, head: int) -> float:
        if (layer, head) == (1, 2):  # to the token after an earlier occurrence, else to the first
            after = [j + 1 for j in range(q) if sequence[j] == sequence[q]]
            return float(k == (after[0] if after else 0))
        if (layer, head) == (0, 1):  # five tokens back, whatever is there
            return float(k == max(q - 5, 0))
        return 1 / (q + 1)

    planted_attention(monkeypatch, weight)
    table = token_scores(neox, repeated)
    value, control = (of_heads(table, "induction", column) for column in ("value", "control"))

    assert value[1, "2"] == 1
    assert control[1, "2"] == 0
    assert value[0, "1"] == control[0, "1"] == 1
    assert value[0, "0"] == pytest.approx(control[0, "0"])


def test_a_previous_token_head_is_found(
    neox: HookedModel, repeated: RandomTokens, monkeypatch: pytest.MonkeyPatch
):
    def weight(_: list[int], q: int, k: int, layer: int, head: int) -> float:
        return float(k == max(q - 1, 0)) if (layer, head) == (0, 3) else 1 / (q + 1)

    planted_attention(monkeypatch, weight)
    table = token_scores(neox, repeated)
    value, control = (of_heads(table, "previous_token", c) for c in ("value", "control"))

    assert value[0, "3"] == 1
    assert value[1, "3"] == pytest.approx(control[1, "3"])
    ranked = table.loc[(table["kind"] == "previous_token") & (table["head"] == "#1"), "value"]
    assert ranked.iloc[0] == 1


# ---- random tokens ---------------------------------------------------------------------------


def test_tokens_repeat_once_and_never_otherwise(neox: HookedModel):
    tokens = random_tokens(neox, n_sequences=5)

    assert tokens.period == 16  # half of the context of 32
    assert torch.equal(tokens.repeated[:, :16], tokens.repeated[:, 16:])
    assert torch.equal(tokens.repeated[:, :16], tokens.fresh[:, :16])
    assert all(len(set(sequence)) == 32 for sequence in tokens.fresh.tolist())


def test_special_tokens_are_not_drawn(random_model: Callable[[str], torch.nn.Module]):
    tokenizer = word_tokenizer([f"w{i}" for i in range(37)])
    model = HookedModel.from_hf(random_model("neox"), tokenizer)  # pyright: ignore[reportArgumentType]
    drawn = set(random_tokens(model).fresh.unique().tolist())

    assert drawn == set(range(40)) - set(tokenizer.all_special_ids)


def tiny_model(n_ctx: int, *, n_layers: int = 1) -> HookedModel:
    config = GPTNeoXConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=n_layers,
        num_attention_heads=4,
        max_position_embeddings=n_ctx,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return HookedModel.from_hf(GPTNeoXForCausalLM(config).eval())


def test_a_small_context_is_respected_and_too_small_a_one_refused():
    assert random_tokens(tiny_model(8)).repeated.shape[1] == 8
    with pytest.raises(InputError, match=r"context 3, .* are too few; use more"):
        random_tokens(tiny_model(3))


def test_drawing_depends_on_the_seed_alone(neox: HookedModel):
    one, same, other = (random_tokens(neox, seed=seed) for seed in (1, 1, 2))

    assert torch.equal(one.fresh, same.fresh)
    assert not torch.equal(one.fresh, other.fresh)


# ---- composition -----------------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["q", "k", "v"])
def test_composition_scores_are_those_of_transformer_lens(any_model: HookedModel, reader: str):
    table = composition_scores(any_model, reader)
    oracle = any_model.processed().bridge.all_composition_scores(reader.upper()).scores

    assert len(table) == 4 * 4
    for cell in table.to_dict("records"):
        layer, head = map(int, cell["destination"].split("."))
        early, writer = map(int, cell["source"].split("."))
        assert (cell["layer"], cell["head"]) == (layer, str(head))
        expected = oracle[early, writer, layer, head].item()
        assert cell["value"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["neox", "llama"])  # centred weights, and not
def test_the_control_of_composition_is_that_of_random_rotations(
    random_model: Callable[[str], torch.nn.Module], name: str
):
    model = HookedModel.from_hf(random_model(name))  # pyright: ignore[reportArgumentType]
    bridge = model.processed().bridge
    wrote = (bridge.W_V[0, 0] @ bridge.W_O[0, 0]).detach().double()
    read = (bridge.W_Q[1, 0] @ bridge.W_K[1, 0].T).detach().double()
    # An orthonormal basis of the directions that the stream has: all, or those of mean 0.
    basis = torch.eye(16, dtype=torch.float64)
    if name == "neox":
        basis = torch.linalg.svd(basis - 1 / 16)[0][:, :15]
    generator = torch.Generator().manual_seed(0)
    squares = []
    for _ in range(1500):
        shape = (basis.shape[1], basis.shape[1])
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        q, r = torch.linalg.qr(drawn)
        rotation = basis @ (q * r.diagonal().sign()) @ basis.T
        squares.append((wrote @ rotation @ read).square().sum())
    rms = (torch.stack(squares).mean().sqrt() / wrote.norm() / read.norm()).item()

    (control,) = set(composition_scores(model, "q")["control"])
    assert control == pytest.approx(rms, rel=0.03)
    assert control == pytest.approx(basis.shape[1] ** -0.5)


def test_a_model_of_one_layer_composes_nothing():
    table = composition_scores(tiny_model(8), "q")

    assert table.empty
    assert list(table.columns) == ["layer", "head", "destination", "source", "value", "control"]


def test_an_unknown_composition_is_refused(neox: HookedModel):
    with pytest.raises(InputError, match="no composition 'z'; choose one of q, k, v"):
        composition_scores(neox, "z")


def test_the_model_stays_as_it_was(
    any_model: HookedModel,
    repeated: RandomTokens,
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(any_model)
    random_tokens(any_model)
    token_scores(any_model, repeated)
    composition_scores(any_model, "v")

    assert state_of(any_model) == before


def test_the_model_stays_as_it_was_when_scoring_raises(
    neox: HookedModel,
    repeated: RandomTokens,
    state_of: Callable[[HookedModel], tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("even_attention", "_gram"):
        monkeypatch.setattr(attention_scores, name, fail)
    before = state_of(neox)
    with pytest.raises(KeyboardInterrupt):
        token_scores(neox, repeated)
    with pytest.raises(KeyboardInterrupt):
        composition_scores(neox, "k")
    assert state_of(neox) == before
