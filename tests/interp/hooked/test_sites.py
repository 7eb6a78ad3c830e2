import pytest

from data.errors import InputError
from interp.hooked.addresses import HEAD_SITES, SITE_HOOKS, Site
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites


def test_without_names_the_states_between_blocks_are_chosen(any_model: HookedModel):
    assert choose_sites(any_model) == [
        Site("resid_pre", 0),
        Site("resid_post", 0),
        Site("resid_post", 1),
    ]


def test_the_entry_of_the_first_block_comes_with_its_layer_only(neox: HookedModel):
    assert choose_sites(neox, layers=[1]) == [Site("resid_post", 1)]


def test_names_are_taken_at_every_layer(neox: HookedModel):
    chosen = choose_sites(neox, ["z", "attn_out"])

    assert chosen == [Site("z", 0), Site("z", 1), Site("attn_out", 0), Site("attn_out", 1)]


def test_names_are_taken_at_the_layers_given(neox: HookedModel):
    assert choose_sites(neox, ["mlp_out"], [1]) == [Site("mlp_out", 1)]


def test_every_site_but_the_middle_of_a_parallel_block_exists(any_model: HookedModel):
    names = [n for n in SITE_HOOKS if n != "resid_mid"]

    assert len(choose_sites(any_model, names)) == 2 * len(names)
    assert set(names) >= HEAD_SITES


def test_a_site_that_never_fires_is_refused(neox: HookedModel):
    with pytest.raises(
        InputError, match=r"GPTNeoXForCausalLM has no resid_mid at layer 0 .*never fires"
    ):
        choose_sites(neox, ["resid_mid"])


@pytest.mark.parametrize("layer", [-1, 2])
def test_a_layer_that_the_model_lacks_is_refused(neox: HookedModel, layer: int):
    with pytest.raises(InputError, match=f"no layer {layer} in a model of 2; choose from 0 to 1"):
        choose_sites(neox, layers=[layer])


def test_a_name_that_is_no_site_is_refused(neox: HookedModel):
    with pytest.raises(InputError, match="no site 'hidden'"):
        choose_sites(neox, ["hidden"])
