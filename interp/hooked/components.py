"""What attention and MLP of each layer add to the residual stream.

Where there is a state between the two, this is by how much the stream changes, so that norms and
multipliers that an architecture puts behind attention or MLP (Gemma 2, Granite) are part of it. In
parallel blocks it is what attention and MLP themselves put out.
"""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.hooked.sites import check_site

Cache = Mapping[str, Tensor]
EMBEDDING = Site("resid_pre", 0).hook


def write_hooks(model: HookedModel, layer: int) -> list[str]:
    """Hooks that `writes` needs of a layer.

    Raises:
        InputError: the architecture shows no such parts.
    """
    names = ("resid_pre", "resid_mid", "resid_post")
    if Site("resid_mid", layer).hook not in model.live_hooks:
        names = ("attn_out", "mlp_out")
    sites = [Site(name, layer) for name in names]
    for site in sites:
        check_site(model, site)
    return [site.hook for site in sites]


def writes(
    model: HookedModel, cache: Cache, layer: int
) -> tuple[Float[Tensor, "*batch d_model"], Float[Tensor, "*batch d_model"]]:
    """What attention and what the MLP of a layer add, in float64."""
    found = [cache[hook].double() for hook in write_hooks(model, layer)]
    if len(found) == 2:
        return found[0], found[1]
    before, middle, after = found
    return middle - before, after - middle
