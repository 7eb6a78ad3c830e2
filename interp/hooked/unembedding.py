"""From the last residual stream to the logits, whatever an architecture does there.

Most models end with a final norm and the unembedding. Some scale the logits behind it (Granite,
Cohere) or cap them (Gemma 2), and some do something else; `HookedModel` holds what is said here
against the model's own logits, so that no lens reads a model's end wrong.
"""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig

from data.errors import InputError

PROBE = 1e3
"""So far from 0 that the constant which keeps norms from dividing by 0 does not count."""


@dataclass(frozen=True)
class LogitEnd:
    """What comes after the unembedding."""

    scale: float = 1.0
    cap: float | None = None
    """Logits beyond it are bent towards it: `cap * tanh(logits / cap)`."""

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "LogitEnd":
        """The end of a model, as the configuration of its architecture describes it."""
        # Cohere and Falcon-H1 multiply, Granite divides; MPT also has words for a scale.
        scale = _number(config, "logit_scale", 1.0) * _number(config, "lm_head_multiplier", 1.0)
        cap = _number(config, "final_logit_softcapping", 0.0)
        return cls(scale=scale / _number(config, "logits_scaling", 1.0), cap=cap or None)

    def __call__(self, logits: Float[Tensor, "*batch d_vocab"]) -> Float[Tensor, "*batch d_vocab"]:
        """The model's logits from what the unembedding gives."""
        if self.scale != 1:
            logits = logits * self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)

    def backward(
        self,
        gradients: Float[Tensor, "*batch d_vocab"],
        unembedded: Float[Tensor, "*batch d_vocab"],
    ) -> Float[Tensor, "*batch d_vocab"]:
        """Gradients at what the unembedding gave, from those at the logits made of it."""
        if self.cap is not None:
            bent = torch.tanh(unembedded * self.scale / self.cap)
            gradients = gradients * (1 - bent.square())
        return gradients if self.scale == 1 else gradients * self.scale


@dataclass(kw_only=True)
class Unembedding:
    """Final norm, unembedding, and what comes after it, of one model."""

    architecture: str
    norm: nn.Module
    W_U: Float[Tensor, "d_model d_vocab"]
    b_U: Float[Tensor, " d_vocab"]
    end: LogitEnd
    problem: str = "no hook gives its last residual stream"
    """Why this is not all that the architecture does; empty once it is proven to be."""

    def __call__(self, resid: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab"]:
        """Logits of a residual stream as if it were the last layer's; differentiable.

        Raises:
            InputError: they would not be the model's own.
        """
        self.require_proof()
        return self._logits(resid)

    def require_proof(self) -> None:
        """Refuses a model whose last residual stream becomes logits in another way.

        Raises:
            InputError: the model has another way.
        """
        if self.problem:
            raise InputError(
                f"{self.architecture} cannot be read with a lens or logit attribution "
                f"({self.problem}); use patching or probes"
            )

    def prove(
        self,
        resid: Float[Tensor, "*batch d_model"],
        logits: Float[Tensor, "*batch d_vocab"],
        rounding: float,
    ) -> None:
        """Holds what this makes of a last residual stream against the model's own logits."""
        difference = (self._logits(resid) - logits).abs().max().item()
        self.problem = "" if difference <= rounding else (
            "final norm and unembedding are not all that it does to its last residual stream: "
            f"logits differ by {difference:.2g}"
        )  # fmt: skip

    def _logits(self, resid: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab"]:
        logits = self.norm(resid) @ self.W_U
        return self.end(logits + self.b_U if self._has_bias else logits)

    @cached_property
    def _has_bias(self) -> bool:
        """Whether there is something to add; a pass over the vocabulary is what it costs."""
        return bool(self.b_U.any())


@dataclass(frozen=True, kw_only=True)
class NormParts:
    """A norm as what it does one after the other: centre, divide, multiply by a gain, add a bias.

    All but the divisor are the same for every vector, so that with the divisor of a given one the
    norm is linear: a sum of vectors is read as the sum of what each is read as.
    """

    norm: nn.Module
    is_centred: bool
    """Whether it takes the mean away, as layer norm does and root-mean-square norm does not."""
    gain: Float[Tensor, " d_model"]
    bias: Float[Tensor, " d_model"]

    @classmethod
    @torch.no_grad()
    def of(cls, norm: nn.Module, d_model: int) -> "NormParts":
        """What a norm of any class does, from what a copy of it in float64 answers."""
        norm = copy.deepcopy(norm).double().cpu()
        bias = norm(torch.zeros(d_model).double())
        # One entry outweighs the others, so that the mean is 0 and no entry is.
        probe = torch.ones(d_model).double()
        flat = norm(PROBE * probe) - bias
        probe[-1] = 1 - d_model
        gain = (norm(PROBE * probe) - bias) * probe.square().mean().sqrt() / probe
        is_centred = bool(flat.abs().max() < 0.5 * gain.abs().max())
        return cls(norm=norm, is_centred=is_centred, gain=gain, bias=bias)

    def centred(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Without its mean, where the norm takes it away."""
        return x - x.mean(-1, keepdim=True) if self.is_centred else x

    @torch.no_grad()
    def divisor(self, resid: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch"]:
        """The number by which the norm divides a vector."""
        scaled = self.centred(resid) * self.gain
        return scaled.square().sum(-1) / ((self.norm(resid) - self.bias) * scaled).sum(-1)


@dataclass(frozen=True, kw_only=True)
class LogitReader:
    """How much each part of a last residual stream adds to logits, which are sums of such parts.

    A logit as such has no meaning, as adding a constant to all changes nothing: read are *centred
    logits*, above the mean logit of the vocabulary, or differences of two.
    """

    norm: NormParts
    W_U: Float[Tensor, "d_model d_vocab"]
    b_U: Float[Tensor, " d_vocab"]
    scale: float

    @classmethod
    def of(cls, unembedding: Unembedding) -> "LogitReader":
        """The reader of a model's end, in float64 on the CPU.

        Raises:
            InputError: the model ends in another way, or caps its logits, which then are no sums.
        """
        unembedding.require_proof()
        if unembedding.end.cap is not None:
            raise InputError(
                f"{unembedding.architecture} caps its logits at {unembedding.end.cap:g}, so that "
                "they are no sum of what components write; read it with a lens, or patch"
            )
        W_U = unembedding.W_U.double().cpu()
        return cls(
            norm=NormParts.of(unembedding.norm, len(W_U)),
            W_U=W_U,
            b_U=unembedding.b_U.double().cpu(),
            scale=unembedding.end.scale,
        )

    def directions(
        self, answers: Int[Tensor, " row"], others: Int[Tensor, " row"] | None = None
    ) -> tuple[Float[Tensor, "row d_model"], Float[Tensor, " row"]]:
        """Directions in the stream, not yet divided by the norm's divisor, and the bias beside.

        Args:
            answers: Whose centred logits are read.
            others: Whose logits to subtract instead of the mean.
        """
        toward = self._rows(answers) - (self.W_U.mean(1) if others is None else self._rows(others))
        bias = self.b_U[answers] - (self.b_U.mean() if others is None else self.b_U[others])
        bias = bias + toward @ self.norm.bias
        return self.norm.centred(toward * self.norm.gain) * self.scale, bias * self.scale

    def _rows(self, tokens: Int[Tensor, " row"]) -> Float[Tensor, "row d_model"]:
        return self.W_U[:, tokens].T


def _number(config: PreTrainedConfig, name: str, default: float) -> float:
    value: Any = getattr(config, name, None)
    return float(value) if isinstance(value, int | float) else default
