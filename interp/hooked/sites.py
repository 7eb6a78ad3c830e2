"""Which sites a model has."""

from collections.abc import Sequence

from data.errors import InputError
from interp.hooked.addresses import HEAD_SITES, Site, check_number, check_site_name
from interp.hooked.model import HookedModel


def choose_sites(
    model: HookedModel,
    names: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
) -> list[Site]:
    """The sites of these names at these layers; all layers unless given.

    Without names, the residual stream as it enters the first block and leaves each block, which
    between them are all of its states where attention and MLP are parallel.

    Raises:
        InputError: the model has no such site or layer.
    """
    wanted = list(range(model.n_layers)) if layers is None else list(layers)
    for layer in wanted:
        check_layer(model, layer)
    if names is None:
        entry = [Site("resid_pre", 0)] if 0 in wanted else []
        sites = [*entry, *(Site("resid_post", layer) for layer in wanted)]
    else:
        for name in names:
            check_site_name(name)
        sites = [Site(name, layer) for name in names for layer in wanted]
    for site in sites:
        check_site(model, site)
    return sites


def check_layer(model: HookedModel, layer: int) -> None:
    """Refuses a layer that the model lacks.

    Raises:
        InputError: there is no such layer.
    """
    check_number("layer", layer, model.n_layers)


def check_site(model: HookedModel, site: Site) -> None:
    """Refuses a site, a layer or a head that the model lacks.

    Keys and values may have fewer heads than queries (grouped-query attention).

    Raises:
        InputError: the model lacks it.
    """
    check_site_name(site.name)
    check_layer(model, site.layer)
    if site.hook not in model.live_hooks:
        raise InputError(
            f"{model.architecture} has no {site.name} at layer {site.layer} (the hook "
            f"{site.hook} never fires); choose another site"
        )
    if site.head is None:
        return
    if site.name not in HEAD_SITES:
        raise InputError(f"{site.name} has one vector for all heads; give no head")
    n_heads = n_heads_at(model, site.name)
    if not 0 <= site.head < n_heads:
        raise InputError(
            f"no head {site.head} at {site.name} of layer {site.layer}, which has {n_heads}; "
            f"choose from 0 to {n_heads - 1}"
        )


def n_heads_at(model: HookedModel, name: str) -> int:
    """Number of heads that a head site has."""
    return model.n_key_value_heads if name in ("k", "v") else model.n_heads
