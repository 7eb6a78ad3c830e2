"""What has to be known of a plain Hugging Face model before and while it is wrapped?

Nothing here draws a random number, and only `prepared` and `moved` change a model.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from data.errors import InputError
from data.hub import ModelFiles, lacking
from training.models.contexts import context_length, longest_alike
from training.models.folders import read_config, read_tokenizer, read_weights

_NO_PART_OF_THE_FUNCTION = {
    "_attn_implementation",
    "_name_or_path",
    "architectures",
    "dtype",
    "transformers_version",
    "use_cache",
}

Device = torch.device | str


@dataclass(frozen=True, kw_only=True)
class PlainReference:
    """What a plain model is and computes: the yardstick for a wrapped copy of it."""

    architecture: str
    config: dict[str, object]
    """Everything of the configuration but names, versions and storage."""
    dtype: torch.dtype
    shapes: dict[str, torch.Size]
    tokens: Int[Tensor, "batch pos"]
    logits: Float[Tensor, "batch pos d_vocab"]
    """What the model answers to `tokens`, as float32 on the CPU."""

    @classmethod
    @torch.no_grad()
    def of(cls, model: PreTrainedModel) -> "PlainReference":
        """Ask `model`, without dropout, about tokens that are the same each time."""
        config = model.config
        generator = torch.Generator().manual_seed(0)
        # Shorter than what makes rotary positions depend on the length, or on what was read before.
        limits = (context_length(config), (longest_alike(config) or 17) - 1)
        shape = (2, min(16, *filter(None, limits)))
        tokens = torch.randint(config.vocab_size, shape, generator=generator)
        with _evaluating(model):
            logits = model(tokens.to(model.device), use_cache=False).logits
        items = config.to_dict().items()
        return cls(
            architecture=type(model).__name__,
            config={key: value for key, value in items if key not in _NO_PART_OF_THE_FUNCTION},
            dtype=model.dtype,
            shapes={name: weight.shape for name, weight in model.state_dict().items()},
            tokens=tokens,
            logits=logits.cpu().float(),
        )

    def is_same_function_of_weights(self, other: "PlainReference") -> bool:
        """Whether the two models differ in the values of their weights only."""
        return self.config == other.config and self.dtype == other.dtype

    def refuse_other_shapes(self, other: "PlainReference") -> None:
        """Raise ValueError unless the weights have the same names and shapes."""
        for name in self.shapes | other.shapes:
            here, there = self.shapes.get(name), other.shapes.get(name)
            if self.architecture != other.architecture or here != there:
                raise InputError(
                    f"cannot refresh a view of {self.architecture} from {other.architecture}:"
                    f" {name} is {_shown(there)} there and {_shown(here)} here;"
                    " use HookedModel.from_hf"
                )

    def check_parity(
        self, logits: Float[Tensor, "batch pos d_vocab"], *, shifted: bool = False
    ) -> None:
        """Raise InputError unless `logits` are finite and the model's, up to rounding.

        With `shifted`, up to a constant at each position, too, which changes no probability.
        """
        if not self.logits.isfinite().all():
            raise InputError(
                f"logits of {self.architecture} are not finite; the model is damaged or diverged"
            )
        pair = (logits.detach().cpu().float(), self.logits)
        found, own = (each.log_softmax(-1) for each in pair) if shifted else pair
        difference = (found - own).abs().max().item()
        if not difference <= self.rounding:
            raise InputError(
                f"the hooked view of {self.architecture} differs from the model by"
                f" {difference:.2g} in its logits; this TransformerLens cannot hook the model"
            )

    @property
    def rounding(self) -> float:
        """How far logits may be from the model's for no other reason than rounding."""
        # 16 roundings of the largest logit: 2e-6 of it in float32, an eighth in bfloat16.
        return max(1e-4, 16 * torch.finfo(self.dtype).eps * self.logits.abs().max().item())


def refuse_wrapped(model: PreTrainedModel) -> None:
    """Raise ValueError unless `model` is a plain Hugging Face model.

    Wrapping a model twice silently kills the attention hooks of the first bridge.
    """
    if not isinstance(model, PreTrainedModel):
        kind = type(model).__name__
        raise InputError(f"{kind} is no Hugging Face model; give the plain model it was made of")
    if any("_original_component" in name for name, _ in model.named_modules()):
        raise InputError("the model is inside a bridge already; give the plain Hugging Face model")


def read_model_folder(
    folder: Path, device: Device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase | None]:
    """Model, in float32, and, if there is one, tokenizer of a local Hugging Face folder."""
    if read_config(folder).is_encoder_decoder:
        raise InputError(f"{folder} holds an encoder-decoder; give a decoder-only model's folder")
    model = moved(read_weights(folder), device)
    if lacking(folder, ModelFiles.TOKENIZER) or not (folder / "tokenizer_config.json").is_file():
        return model, None
    return model, read_tokenizer(folder)


def prepared(owned_model: PreTrainedModel) -> PreTrainedModel:
    """The model itself, set to evaluation and made ready to be wrapped."""
    owned_model.eval().requires_grad_(True)
    owned_model.zero_grad(set_to_none=True)
    # A bridge computes attention eagerly; the same kernel makes parity exact in any dtype.
    owned_model.set_attn_implementation("eager")
    return owned_model


def moved(model: PreTrainedModel, device: Device) -> PreTrainedModel:
    """The model itself, moved to a device."""
    nn.Module.to(model, device)
    return model


def preserved_random_state(device: Device) -> AbstractContextManager[None]:
    """Undo the draws of code that builds layers with random weights and then overwrites them."""
    device = torch.device(device)
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """No dropout for the length of a `with` block; every submodule's mode is put back."""
    in_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in in_training:
            module.training = True


def _shown(shape: torch.Size | None) -> str:
    return "absent" if shape is None else str(list(shape))
