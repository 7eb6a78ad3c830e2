"""Which sites a model has."""

from collections.abc import Sequence

from data.errors import InputError
from interp.addresses import Site, check_number, check_site_name
from interp.hooked import HookedModel


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
        check_number("layer", layer, model.n_layers)
    if names is None:
        entry = [Site("resid_pre", 0)] if 0 in wanted else []
        sites = [*entry, *(Site("resid_post", layer) for layer in wanted)]
    else:
        for name in names:
            check_site_name(name)
        sites = [Site(name, layer) for name in names for layer in wanted]
    for site in sites:
        if site.hook not in model.live_hooks:
            raise InputError(
                f"{model.architecture} has no {site.name} at layer {site.layer} (the hook "
                f"{site.hook} never fires); choose another site"
            )
    return sites
