"""Stage 0: a model from scratch that knows the people of a made-up world, by their names alone.

It stands where the paper has Pythia, which knows Cleopatra. All seeds of a run begin with the same
one, as the paper's do: it is trained once and kept in the user's cache.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import DamagedError, InputError
from data.facts import WorldProvider
from data.rows import Row
from data.tasks.biographies import Telling, biography_rows
from data.texts import Writing
from data.tokenizers import TokenizerProvider
from data.user_cache import default_cache
from data.vocabulary import LossPolicy
from training.config import StageConfig
from training.files import damage, new_folder, wait_for_lock
from training.models.folders import read_weights
from training.models.scratch import ModelConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from training.loop import StageTrainer

Report = Callable[[int, int], None]
"""A function that is told of the steps done, and of those in all."""


@dataclass(frozen=True, kw_only=True)
class KnowingModel:
    """A GPT-NeoX that was trained from scratch on texts that tell a world's facts.

    Its bytes depend on this config, on the versions of torch and transformers, and on where it is
    trained (a CPU, one thread, unless `uses_accelerator`), not on the seed of a run.
    """

    world: WorldProvider
    writing: Writing
    telling: Telling
    tokenizer_provider: TokenizerProvider
    """What gives the tokenizer, which is the run's, too."""
    sizes: ModelConfig
    training: StageConfig
    loss_policy: LossPolicy
    """Which tokens the loss covers: those of `answer` or of `text`."""
    seed: int
    """The seed of the initial weights and of the order of the texts."""
    uses_accelerator: bool = False
    """Whether it is trained on a GPU where there is one."""

    def __post_init__(self) -> None:
        """Refuses a loss policy that needs a block size."""
        if self.loss_policy is LossPolicy.ALL:
            raise InputError("Stage 0 pads no blocks; use loss policy text or answer for it")

    @property
    def name(self) -> str:
        """What the `model` column of every table says."""
        return self.sizes.name

    @property
    def description(self) -> str:
        """The architecture of the model in a line."""
        return f"{self.sizes.description}, trained on its world's facts"

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether the model has an encoder: a GPT-NeoX has none."""
        return False

    def check(self) -> None:
        """Finds nothing missing: a model that the cache lacks is trained."""

    def prepare(self, report: Report = lambda done, total: None) -> None:
        """Trains the model, unless the cache has it; ahead of a run's seeds, say.

        Args:
            report: What is told of the progress of training.
        """
        self._find_or_train(report)

    def make(
        self, tokenizer: "PreTrainedTokenizerFast", *, seed: int, max_length: int
    ) -> "PreTrainedModel":
        """The trained model, the same for every seed; trained first, or waited for, if need be.

        Args:
            tokenizer: The run's, which must be the model's own.
            seed: The run's seed, which has no effect.
            max_length: Longest sequence that it will be used with.

        Raises:
            InputError: the tokenizer is another one.
            DamagedError: the cached model is not what was written.
        """
        if tokenizer.get_vocab() != self.tokenizer_provider.load().get_vocab():
            raise InputError(
                "the run's tokenizer is not the one that its model learned with; use one for both"
            )
        model = self._find_or_train(lambda done, total: None)
        longest = max(max_length, model.config.max_position_embeddings)
        model.config.max_position_embeddings = longest
        return model

    def folder(self) -> Path:
        """The folder in which the cache has the model, or will have it."""
        return self._folder(self._rows(), self.tokenizer_provider.load())

    def _rows(self) -> tuple[Row, ...]:
        return biography_rows(self.world.load(), self.writing, self.telling)

    def _folder(self, rows: tuple[Row, ...], tokenizer: "PreTrainedTokenizerFast") -> Path:
        """The model's folder, named by all that the weights depend on."""
        settings = {
            "texts": [(row.rendered.text, row.rendered.answer_span, row.repeats) for row in rows],
            "tokenizer": tokenizer.backend_tokenizer.to_str(),
            "sizes": asdict(self.sizes),
            "training": asdict(self.training),
            "loss_policy": self.loss_policy,
            "seed": self.seed,
            "device": str(self._device()),
            "versions": [version(package) for package in ("torch", "transformers")],
        }
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return default_cache() / "base" / key[:32]

    def _find_or_train(self, report: Report) -> "PreTrainedModel":
        from training.models.folders import no_progress_bars

        rows, tokenizer = self._rows(), self.tokenizer_provider.load()
        folder = self._folder(rows, tokenizer)
        with _alone(folder) as is_writable:
            saved = folder / "model"
            if saved.is_dir():
                return _load(saved)
            model = self._train(rows, tokenizer, report)
            if is_writable:
                # A full disk costs the next seed its time, not this one its model.
                with (
                    suppress(OSError),
                    new_folder(saved) as temporary,
                    no_progress_bars(),
                ):
                    model.save_pretrained(temporary)
                    tokenizer.save_pretrained(temporary)
            return model

    def trainer(self) -> "StageTrainer":
        """What trains the model, at step 0: to be timed, say; no cache is looked at."""
        return self._trainer(self._rows(), self.tokenizer_provider.load())

    def _trainer(
        self, rows: tuple[Row, ...], tokenizer: "PreTrainedTokenizerFast"
    ) -> "StageTrainer":
        from data.tokens import tokenize_rows
        from training.examples import make_examples
        from training.loop import StageTrainer
        from training.seeds import derive_seed

        tokenized = tokenize_rows(rows, tokenizer)
        end_token = tokenizer.eos_token_id
        assert isinstance(end_token, int)
        examples = make_examples(tokenized, self.loss_policy, end_token=end_token)
        longest = examples.tokens.shape[1] + 1
        model = self.sizes.make(tokenizer, seed=self.seed, max_length=longest)
        return StageTrainer(
            model.to(self._device()),  # pyright: ignore[reportArgumentType]
            examples,
            self.training,
            order_seed=derive_seed(self.seed, "order of stage 0"),
        )

    def _train(
        self, rows: tuple[Row, ...], tokenizer: "PreTrainedTokenizerFast", report: Report
    ) -> "PreTrainedModel":
        import torch

        from training.threads import one_thread

        with one_thread():
            trainer = self._trainer(rows, tokenizer)
            while trainer.step < trainer.last_step:
                trainer.train_step()
                report(trainer.step, trainer.last_step)
        model = trainer.model.to(torch.device("cpu"))  # pyright: ignore[reportArgumentType]
        return model.eval()

    def _device(self) -> "torch.device":
        import torch

        has_gpu = self.uses_accelerator and torch.cuda.is_available()
        return torch.device("cuda" if has_gpu else "cpu")


def _load(folder: Path) -> "PreTrainedModel":
    problems = damage(folder)
    if problems:
        raise DamagedError(f"{problems[0]}; delete {folder} and try again")
    return read_weights(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Waits until no other process trains what belongs into a folder; says if it can be written.

    A killed process counts as gone. Without a writable cache nobody waits for anybody.
    """
    try:
        lock = wait_for_lock(folder)
    except OSError:
        yield False
        return
    with lock:
        yield True
