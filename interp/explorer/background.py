"""What is known beside a prompt: its answer's rivals, and what a mean activation is taken over.

Of a run's questions that is much (definitions, entities); of a person's own prompts it is the other
prompts.
"""

from collections.abc import Sequence

from data.pairs import PromptPair
from data.partners import first_answer_token
from data.rows import Row
from data.tokens import TokenizedRow
from interp.hooked.model import HookedModel


class Rows:
    """What a board knows of the rows around the one that it shows: nothing, unless a kind does."""

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The text of each token."""
        raise NotImplementedError

    def sample(self) -> list[TokenizedRow]:
        """Prompts whose tokens a mean activation is taken over."""
        raise NotImplementedError

    def laid_out_alike(self, row: TokenizedRow) -> list[TokenizedRow]:
        """Prompts that have the same meaning at each position, if it is known what tokens mean."""
        return []

    def answer_tokens(self, question: Row) -> list[int]:
        """The first token of everything that the same question is ever answered with."""
        return []

    def definitions(self, question: Row) -> list[Row]:
        """What is stated about the alias that a question asks about."""
        return []

    def stated(self, question: Row) -> Row | None:
        """A row with the answer that the alias's definition implies, if there is one."""
        return None

    def stated_token(self, question: Row) -> int | None:
        """The first token of that answer."""
        return None

    def stated_entity(self, question: Row) -> str | None:
        """The entity that the alias's definition names, if there is one."""
        return None

    def entity_tokens(self) -> dict[str, int]:
        """The first token of every entity that some row writes out."""
        return {}


class OwnRows(Rows):
    """A person's own prompts to one model."""

    def __init__(self, model: HookedModel, prompts: Sequence[TokenizedRow | PromptPair]) -> None:
        """Takes rows, or pairs of them."""
        self._model = model
        self.pairs: list[tuple[TokenizedRow, TokenizedRow | None]] = [
            (each.clean, each.corrupted) if isinstance(each, PromptPair) else (each, None)
            for each in prompts
        ]
        self._rows = [row for pair in self.pairs for row in pair if row is not None]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """See `Rows`; numbers where the model has no tokenizer."""
        tokenizer = self._model.tokenizer
        if tokenizer is None:
            return [str(i) for i in ids]
        # Some tokenizers decode the space alone as nothing.
        names = tokenizer.convert_ids_to_tokens(list(ids))
        return [str(tokenizer.decode([i])) or str(name) for i, name in zip(ids, names, strict=True)]

    def sample(self) -> list[TokenizedRow]:
        """All prompts."""
        return self._rows

    def answer_tokens(self, question: Row) -> list[int]:
        """Of one of the prompts the answers of all; of any other it is not known."""
        is_known = any(question is row.row for row in self._rows)
        return list(map(first_answer_token, self._rows)) if is_known else []
