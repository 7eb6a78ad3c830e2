"""Where a code may lie: an alias's embedding, a site of the stream at a role, a block's weights.

Each way an alias has one vector, and adding a vector to it is an addition to the stream of every
question about it, so that all is measured by the same passes. `embed` is what the tokens of the
alias put into the stream: adding to it is adding to the tokens' rows of the input embedding. Of
`weights` the codes are those of the stream behind a block, and an alias's change is what the
changed weights of that block write there, given the same stream; see `interp.codes.written`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.codes.aliases import Alias
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel

EMBED, WEIGHTS = "embed", "weights"
WEIGHTS_ALL = "weights_all"
"""All matrices together; see `interp.codes.weights`."""
ENTRY = Site("resid_pre", 0)
"""Where the embedding enters the stream."""
SITES = ("resid_pre", "resid_post")
"""Where an addition is one to the stream itself."""


@dataclass(frozen=True, kw_only=True)
class CodePlace:
    """A site and a role at which aliases have vectors."""

    site: Site | None = None
    """Of the residual stream; None for the input embedding."""
    role: TokenRole | None = None
    """Of the embedding there is none: all tokens of the alias count."""
    is_weights: bool = False
    """Whether what the changed weights of the site's block write there is looked at alone."""

    def __post_init__(self) -> None:
        """Refuses a site at which an addition is none to the stream.

        Raises:
            InputError: the site is not `resid_pre` or `resid_post`.
        """
        if self.site is not None and self.site.name not in SITES:
            raise InputError(
                f"codes are added to the residual stream, not to {self.site.name}; choose "
                "resid_pre, resid_post or weights"
            )

    @property
    def coordinates(self) -> dict[str, object]:
        """How tables name the place."""
        if self.site is None:
            return {"site": EMBED, "layer": 0, "role": str(Role.ALIAS)}
        site = WEIGHTS if self.is_weights else self.site.name
        return {"site": site, "layer": self.site.layer, "role": str(self.role)}

    @property
    def hook(self) -> str:
        """The name of the hook at which vectors are added."""
        return (self.site or ENTRY).hook

    def positions(self, row: TokenizedRow) -> list[int]:
        """The tokens of a question that the vector lies at, side by side."""
        if self.role is not None:
            return [self.role.position(row)]
        first, last = row.spans[Role.ALIAS]
        return list(range(first, last + 1))

    def read(
        self, model: HookedModel, aliases: Sequence[Alias]
    ) -> dict[str, Float[np.ndarray, " width"]]:
        """The vector of each alias: the mean over its prompts.

        Raises:
            InputError: aliases have different numbers of tokens, so that no vector is theirs alone.
        """
        rows = [row for alias in aliases for row in alias.prompts]
        return mean_of_aliases(aliases, self._of_rows(model, rows))

    def _of_rows(
        self, model: HookedModel, rows: Sequence[TokenizedRow]
    ) -> Float[np.ndarray, "row width"]:
        if self.site is not None and self.role is not None:
            found = collect_activations(model, rows, sites=[self.site], roles=[self.role])
            return found.at(self.site, self.role).astype(float)
        plain: Any = model.bridge.original_model
        table = plain.get_input_embeddings().weight.detach().cpu().double().numpy()
        return table[self._tokens(rows)].reshape(len(rows), -1)

    def _tokens(self, rows: Sequence[TokenizedRow]) -> Int[np.ndarray, "row token"]:
        tokens = [[row.input_ids[at] for at in self.positions(row)] for row in rows]
        counts = {len(each) for each in tokens}
        if len(counts) > 1:
            raise InputError(
                f"aliases have {min(counts)} to {max(counts)} tokens, so that their embeddings "
                "cannot be compared; choose a site of the stream with --site and --role"
            )
        return np.array(tokens)


def mean_of_aliases(
    aliases: Sequence[Alias], found: Float[np.ndarray, "row width"]
) -> dict[str, Float[np.ndarray, " width"]]:
    """The mean of each alias's vectors, where those of its prompts stand in order."""
    starts = np.cumsum([0, *(len(alias.prompts) for alias in aliases)])
    return {
        alias.name: found[start:end].mean(0)
        for alias, start, end in zip(aliases, starts[:-1], starts[1:], strict=True)
    }
