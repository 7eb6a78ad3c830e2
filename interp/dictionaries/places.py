"""An autoencoder's place in a model: its vectors, by who trains, chooses and reports."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from data.tokens import TokenizedRow
from interp.dictionaries.aliases import Share, questions_about, training_rows
from interp.dictionaries.dictionary import Dictionary
from interp.dictionaries.readings import ALL, Reading, collect, read_rows
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel

READ_AT = TokenRole.ALIAS_LAST
"""Where features are read of which all tokens were trained on."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site at a role, or at all tokens, of one model, and the aliases of each share."""

    model: HookedModel
    rows: Sequence[TokenizedRow]
    site: Site
    role: TokenRole | None
    shares: dict[str, Share]

    @property
    def name(self) -> str:
        """The role, or `all`."""
        return ALL if self.role is None else str(self.role)

    @property
    def read_at(self) -> TokenRole:
        """The role at which features are read."""
        return self.role or READ_AT

    def training_vectors(self) -> Float[Tensor, "vector width"]:
        """What an autoencoder is trained on: all that is said of aliases that train."""
        return self.vectors(self.training_reading())

    def training_reading(self) -> Reading:
        """Where those are from; rows that lack the role are left out."""
        rows = training_rows(self.rows, self.shares)
        return read_rows(self.model, [row for row in rows if self._has_role(row)], self.role)

    def questions(self, share: Share, *, trained: bool = False) -> list[TokenizedRow]:
        """Questions about the aliases of a share; see `questions_about`."""
        return questions_about(self.rows, self.shares, share, trained=trained)

    def vectors(self, reading: Reading) -> Float[Tensor, "vector width"]:
        """The site's vectors."""
        return collect(self.model, reading, self.site)

    def codes(
        self, dictionary: Dictionary, rows: Sequence[TokenizedRow]
    ) -> Float[np.ndarray, "row feature"]:
        """Each row's code where features are read."""
        vectors = self.vectors(read_rows(self.model, rows, self.read_at))
        return dictionary.encode(vectors).double().numpy()

    def _has_role(self, row: TokenizedRow) -> bool:
        name = "" if self.role is None else self.role.rpartition("_")[0] or str(self.role)
        return name in ("", "prompt", "answer") or name in row.spans
