"""What a run is made of, whatever it is: where its rows and its first model come from."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from data.design import Design
from data.rows import SeedData

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@runtime_checkable
class DataConfig(Protocol):
    """Anything that draws the rows of a seed.

    It may say beforehand how much it draws at the least, as `size() -> DataSize`, so that what no
    machine could hold is refused at once.
    """

    @property
    def design(self) -> Design:
        """What the experiment compares, and what its null twin is."""
        ...

    def build(self, seed: int) -> SeedData:
        """Draws the rows; the same in every process."""
        ...

    def tokenizer(self, drawn: SeedData) -> "PreTrainedTokenizerFast":
        """The tokenizer of a seed's rows."""
        ...


@runtime_checkable
class EntityChoice(Protocol):
    """What chooses a run's entities by asking its model before the run is begun: an exam."""

    def known(self) -> tuple[str, ...]:
        """Who was found to be known, in the world's order; may ask the model."""
        ...

    def with_known(self, known: Sequence[str]) -> "EntityChoice":
        """The same after these were found to be known: it asks nobody."""
        ...

    def table_of_run(self, columns: Mapping[str, object]) -> "pd.DataFrame":
        """What was answered, one row a question, behind columns that say whose run it is."""
        ...


@runtime_checkable
class ModelProvider(Protocol):
    """Anything that gives a run its model before Stage 1."""

    @property
    def name(self) -> str:
        """What the `model` column of every table says."""
        ...

    @property
    def description(self) -> str:
        """The architecture of the model in a line."""
        ...

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether an encoder reads the prompt and a decoder says the answer."""
        ...

    def check(self) -> None:
        """Looks whether the model is there, before anything is written.

        Raises:
            InputError: the model is not there, or not whole.
        """
        ...

    def prepare(self) -> None:
        """Makes what all seeds share, once, before they are trained side by side."""
        ...

    def make(
        self, tokenizer: "PreTrainedTokenizerFast", *, seed: int, max_length: int
    ) -> "PreTrainedModel":
        """The model, in float32; what is random in it depends on `seed` alone."""
        ...
