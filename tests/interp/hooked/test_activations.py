from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.activations import collect_activations, pad_tokens
from interp.hooked.addresses import HEAD_SITES, SITE_HOOKS, Site, TokenRole, role_positions
from interp.hooked.model import HookedModel

ROLES = (TokenRole.ALIAS_LAST, TokenRole.PROMPT_LAST)


def all_sites(model: HookedModel) -> list[Site]:
    sites = [Site(name, layer) for name in SITE_HOOKS for layer in range(model.n_layers)]
    heads = [Site(name, 1, head) for name in sorted(HEAD_SITES) for head in (0, 1)]
    return [site for site in (*sites, *heads) if site.hook in model.live_hooks]


def padded(rows: list[TokenizedRow]) -> torch.Tensor:
    """The rows in order of length, as one batch."""
    return pad_tokens([row.input_ids for row in rows])


def test_every_site_equals_the_cache_of_transformer_lens_exactly(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    rows = sorted(word_prompts, key=lambda row: len(row.input_ids))
    sites = all_sites(any_model)
    collected = collect_activations(any_model, rows, sites=sites, roles=ROLES)
    with torch.no_grad():
        _, cache = any_model.bridge.run_with_cache(padded(rows))

    assert len(sites) >= 2 * 8 + 8
    for site in sites:
        for role in ROLES:
            at_role = cache[site.hook][range(len(rows)), role_positions(rows, role)]
            expected = at_role if site.head is None else at_role[:, site.head]
            found = collected.at(site, role)
            assert np.array_equal(found, expected.flatten(1).numpy()), (site, role)


def test_heads_side_by_side_are_the_single_heads(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    heads = [Site("z", 1, head) for head in range(4)]
    both = collect_activations(neox, word_prompts, sites=[Site("z", 1), *heads], roles=ROLES)
    single = [both.values[head] for head in heads]

    assert np.array_equal(both.values[Site("z", 1)], np.concatenate(single, axis=2))


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_rows_keep_their_order_and_values_whatever_the_batches(
    neox: HookedModel, word_prompts: list[TokenizedRow], batch_size: int
):
    site = Site("resid_post", 1)
    collected = collect_activations(
        neox, word_prompts, sites=[site], roles=ROLES, batch_size=batch_size
    )

    for i, row in enumerate(word_prompts):
        _, cache = neox.run_with_cache(torch.tensor([row.input_ids]), [site.hook])
        for role in ROLES:
            expected = cache[site.hook][0, role.position(row)].numpy()
            assert collected.at(site, role)[i] == pytest.approx(expected, abs=1e-5)


def test_nothing_after_the_last_site_is_run(neox: HookedModel, word_prompts: list[TokenizedRow]):
    def refuse(_activation: torch.Tensor, hook: object) -> None:
        raise AssertionError("block 1 was run")

    with neox.hooks(fwd_hooks=[("blocks.1.hook_attn_out", refuse)]):
        collect_activations(neox, word_prompts, sites=[Site("resid_post", 0)], roles=ROLES)


def test_a_store_holds_what_memory_holds(
    neox: HookedModel, word_prompts: list[TokenizedRow], tmp_path: Path
):
    sites = [Site("resid_pre", 0), Site("k", 1), Site("k", 1, 2)]
    kept = collect_activations(neox, word_prompts, sites=sites, roles=ROLES)
    stored = collect_activations(
        neox, word_prompts, sites=sites, roles=ROLES, batch_size=2, store=tmp_path / "store"
    )

    for site in sites:
        assert isinstance(stored.values[site], np.memmap)
        assert stored.values[site] == pytest.approx(kept.values[site], abs=1e-6)
        for role in ROLES:
            assert stored.at(site, role).shape == kept.at(site, role).shape
    names = {path.name for path in (tmp_path / "store").iterdir()}
    assert names == {"resid_pre.0.npy", "k.1.npy", "k.1.2.npy"}


def test_what_was_not_collected_is_refused(neox: HookedModel, word_prompts: list[TokenizedRow]):
    collected = collect_activations(
        neox, word_prompts, sites=[Site("resid_pre", 0)], roles=ROLES[:1]
    )

    for site, role in ((Site("resid_pre", 1), ROLES[0]), (Site("resid_pre", 0), ROLES[1])):
        with pytest.raises(InputError, match="was not collected; collect it first"):
            collected.at(site, role)


def test_damaged_weights_are_refused(
    random_model: Callable[[str], torch.nn.Module], word_prompts: list[TokenizedRow]
):
    plain = random_model("neox")
    model = HookedModel.from_hf(plain)  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        next(model.bridge.blocks[1].parameters()).fill_(float("nan"))

    with pytest.raises(InputError, match=r"blocks.1.hook_resid_post are not finite; the model"):
        collect_activations(model, word_prompts, sites=[Site("resid_post", 1)], roles=ROLES)


def test_a_role_missing_from_any_row_is_refused(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    rows = [*word_prompts, replace(word_prompts[0], spans={})]

    with pytest.raises(InputError, match="has no alias_last"):
        collect_activations(neox, rows, sites=[Site("resid_pre", 0)], roles=ROLES)


@pytest.mark.parametrize("missing", ["rows", "sites", "roles"])
def test_nothing_to_collect_is_refused(
    neox: HookedModel, word_prompts: list[TokenizedRow], missing: str
):
    given = {"rows": word_prompts, "sites": [Site("resid_pre", 0)], "roles": ROLES} | {missing: []}

    with pytest.raises(InputError, match="no rows, sites or roles to collect"):
        collect_activations(
            neox,
            given["rows"],  # pyright: ignore[reportArgumentType]
            sites=given["sites"],  # pyright: ignore[reportArgumentType]
            roles=given["roles"],  # pyright: ignore[reportArgumentType]
        )


@pytest.mark.parametrize(
    ("site", "has"),
    [
        (Site("z", 0, 4), "no head 4 at z of layer 0, which has 4; choose from 0 to 3"),
        (Site("z", 0, -1), "no head -1 at z of layer 0"),
        (Site("resid_pre", 0, 0), "resid_pre has one vector for all heads; give no head"),
    ],
)
def test_a_head_that_does_not_exist_is_refused(
    neox: HookedModel, word_prompts: list[TokenizedRow], site: Site, has: str
):
    with pytest.raises(InputError, match=has):
        collect_activations(neox, word_prompts, sites=[site], roles=ROLES)


def test_shared_keys_have_fewer_heads(
    random_model: Callable[[str], torch.nn.Module], word_prompts: list[TokenizedRow]
):
    llama = HookedModel.from_hf(random_model("llama"))  # pyright: ignore[reportArgumentType]

    with pytest.raises(
        InputError, match="no head 2 at k of layer 0, which has 2; choose from 0 to 1"
    ):
        collect_activations(llama, word_prompts, sites=[Site("k", 0, 2)], roles=ROLES)


def test_the_model_and_random_states_stay_as_they_were(
    any_model: HookedModel,
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
):
    before = state_of(any_model)
    collect_activations(any_model, word_prompts, sites=all_sites(any_model), roles=ROLES)

    assert state_of(any_model) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_they_stay_when_the_pass_is_interrupted(
    random_model: Callable[[str], torch.nn.Module],
    word_prompts: list[TokenizedRow],
    state_of: Callable[[HookedModel], tuple[object, ...]],
    error: type[BaseException],
):
    model = HookedModel.from_hf(random_model("neox"))  # pyright: ignore[reportArgumentType]
    parameter = next(model.bridge.parameters())
    parameter.grad = torch.ones_like(parameter)

    def interrupt(tensor: torch.Tensor, *, hook: object) -> torch.Tensor:
        raise error

    model.bridge.hook_dict["blocks.0.hook_resid_post"].add_hook(interrupt)
    before = state_of(model)

    with pytest.raises(error):
        collect_activations(model, word_prompts, sites=[Site("resid_post", 1)], roles=ROLES)
    assert state_of(model) == before
