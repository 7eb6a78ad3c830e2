"""What does the model compute inside, and what happens when one activation is changed?

`HookedModel` is this project's one seam to TransformerLens: a disposable view of a Hugging Face
causal language model, to read activations from and to intervene in. It wraps a deep copy, so the
model given never changes; training and parameter gradients belong to the plain model.

    model = load_hooked(run, seed=0, stage=1)
    logits, cache = model.run_with_cache(tokens, ["blocks.1.hook_resid_post"])
    with model.hooks(fwd_hooks=[("blocks.0.attn.hook_z", edit)]):
        logits = model.logits(tokens)

Hook names are TransformerLens's. Prompts are token tensors, right-padded: a causal model computes
the same at a real position whatever follows it.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import GPTNeoXForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from data.errors import InputError
from interp.hooked.bridges import build_bridge, count_hooks, folded_copy, one_line_refusal
from interp.hooked.live_hooks import (
    EarlyExit,
    HookFunction,
    Positions,
    StopAtLayer,
    capturing_hooks,
    check_positions,
    find_live_hooks,
)
from interp.hooked.neox_weights import neox_bridge_state
from interp.hooked.plain_models import (
    Device,
    PlainReference,
    moved,
    prepared,
    read_model_folder,
    refuse_wrapped,
)
from interp.hooked.speech import Speech
from interp.hooked.unembedding import LogitEnd, Unembedding
from training.models.contexts import check_lengths, check_tokens, context_length, forget_lengths
from training.models.gguf_files import local_folder

if TYPE_CHECKING:
    from interp.hooked.bridges import TransformerBridge


@runtime_checkable
class HasCheckpoints(Protocol):
    """What `load_hooked` needs of a run."""

    @property
    def stops_answers(self) -> bool:
        """Whether an exact match includes the token that ends its texts."""
        ...

    def checkpoint(self, *, seed: int, stage: int, step: int | None = None) -> Path:
        """Verified checkpoint folder; the last one of the stage unless a step is given."""
        ...


class HookedModel(Speech):
    """A read-and-intervene view of a Hugging Face causal language model.

    No method but `refresh` changes weights, hooks, gradients, training mode or random state.

    Attributes:
        bridge: TransformerLens's own view, for its tools; hooks added to it directly stay on.
        tokenizer: Of texts; see `interp.hooked.speech`, which has what the model does with them.
        folder: Where the weights were read from, by `load_hooked_folder`; None if they were given.
        stop_token: What an exact match includes behind the answer: the end of the texts that the
            model was trained on, in a run that trains it (`training.evaluate.EvaluationSet.of`).
        unembed: Turns a residual stream into logits, as if it were the last layer's.
        live_hooks: Every hook name that fires in a forward pass.
        editable_hooks: Those of them at which an edit can change a logit.
        is_processed: Whether layer norms are folded and weights centred, see `processed`.
    """

    bridge: "TransformerBridge"

    def __init__(
        self, owned_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None
    ) -> None:
        """Wrap a model that nobody else uses: wrapping rebuilds it in place. See `from_hf`."""
        self.tokenizer = tokenizer
        self.folder: Path | None = None
        self.stop_token: int | None = None
        self.is_processed = False
        self._boot(owned_model)

    @classmethod
    def from_hf(
        cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None
    ) -> "HookedModel":
        """View of a deep copy of a plain Hugging Face model, proven to give the same logits."""
        refuse_wrapped(model)
        return cls(copy.deepcopy(model), tokenizer)

    def __repr__(self) -> str:
        """Architecture and sizes."""
        shape = f"n_layers={self.n_layers}, n_heads={self.n_heads}, d_model={self.d_model}"
        return f"{type(self).__name__}({self.architecture}, {shape}, d_vocab={self.d_vocab})"

    @property
    def device(self) -> torch.device:
        """The device that the weights are on; inputs are moved to it."""
        return next(self.bridge.parameters()).device

    @property
    def W_U(self) -> Float[Tensor, "d_model d_vocab"]:
        """Unembedding weights; `unembed` is all that happens to a last residual stream."""
        return self.bridge.W_U.detach()

    @property
    def b_U(self) -> Float[Tensor, " d_vocab"]:
        """Unembedding bias, zero where the model has none."""
        return self.bridge.b_U.detach()

    def final_norm(self, resid: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """The layer norm before the unembedding; differentiable, fires no hook."""
        return self.bridge.ln_final.original_component(resid)

    def check_hooks(self, names: Sequence[str]) -> None:
        """Raise `DeadHookError` for the first name that never fires on this model."""
        self._live.check(names)

    def __call__(
        self,
        tokens: Int[Tensor, "batch pos"],
        attention_mask: Int[Tensor, "batch pos"] | None = None,
        *,
        logits_to_keep: int = 0,
    ) -> Float[Tensor, "batch kept d_vocab"]:
        """Logits, with a graph unless the caller works under `torch.no_grad`.

        The mask (1 for real tokens) is needed with left padding only; positions then count from
        the first real token. `logits_to_keep` keeps the last so many positions, 0 all.
        """
        check_tokens(self.config, tokens)
        if len(tokens) > 1 and (attention_mask is None or not attention_mask.all()):
            check_lengths(self.config, tokens)
        plain: Any = self.bridge.original_model
        forget_lengths(plain)
        mask = None if attention_mask is None else attention_mask.to(self.device)
        return self.bridge(
            tokens.to(self.device),
            attention_mask=mask,
            logits_to_keep=logits_to_keep,
            use_cache=False,
        )

    @torch.no_grad()
    def logits(
        self,
        tokens: Int[Tensor, "batch pos"],
        attention_mask: Int[Tensor, "batch pos"] | None = None,
        *,
        logits_to_keep: int = 0,
    ) -> Float[Tensor, "batch kept d_vocab"]:
        """Logits without a graph; arguments as in calling the model."""
        return self(tokens, attention_mask, logits_to_keep=logits_to_keep)

    @contextmanager
    def hooks(
        self,
        fwd_hooks: Sequence[tuple[str, HookFunction]] = (),
        bwd_hooks: Sequence[tuple[str, HookFunction]] = (),
    ) -> Iterator["HookedModel"]:
        """Hooks for the length of a `with` block; gone after it, whatever happens inside.

        A backward hook sees the gradient at its activation. Gradients left on this view's
        parameters are dropped at the end; take those from the plain model.
        """
        self._live.check([name for name, _ in fwd_hooks])
        self._live.check_editable([name for name, _ in bwd_hooks])
        guarded = [(name, self._live.guarded(name, function)) for name, function in fwd_hooks]
        try:
            with self.bridge.hooks(fwd_hooks=guarded, bwd_hooks=list(bwd_hooks)):
                yield self
        finally:
            self.bridge.zero_grad(set_to_none=True)

    @torch.no_grad()
    def run_with_cache(
        self,
        tokens: Int[Tensor, "batch pos"],
        names: Sequence[str] | str | None = None,
        *,
        positions: Positions | None = None,
        attention_mask: Int[Tensor, "batch pos"] | None = None,
        stop_at_layer: StopAtLayer = None,
        device: Device | None = None,
    ) -> tuple[Float[Tensor, "batch pos d_vocab"] | None, dict[str, Tensor]]:
        """The logits, and activations at the named hooks; of a pass that ended early only these.

        Args:
            tokens: Token ids, right-padded.
            names: Hook names to keep; the cache has these keys in this order, and no other. All
                that fire (`live_hooks`) unless given: memory for a small model or a short text.
            positions: Keep these only. An int is one position for all rows (-1 is the last
                column, padding or not); a tensor holds one position, or several, for each row.
                An int and a `[batch]` tensor drop the position axis, in patterns the query's.
            attention_mask: 1 for real tokens; needed with left padding only.
            stop_at_layer: None runs the whole model. "auto" saves what comes after the last named
                hook, a number the blocks from this index on; the logits are then None.
            device: Where the cache goes; the model's device unless given.
        """
        names = (
            [names]
            if isinstance(names, str)
            else sorted(self.live_hooks)
            if names is None
            else names
        )
        if not names:
            raise InputError("run_with_cache got no hook name; name what to keep")
        self.check_hooks(names)
        check_positions(positions, tokens)
        stop = self._live.exit_for(names, stop_at_layer)
        cache: dict[str, Tensor] = {}
        capturing = capturing_hooks(cache, names, positions=positions, device=device, exit_at=stop)
        logits = None
        with self.bridge.hooks(fwd_hooks=capturing), suppress(EarlyExit):
            logits = self(tokens, attention_mask)
        return logits, {name: cache[name] for name in names}

    def refresh(self, model: PreTrainedModel) -> None:
        """Take over the weights of another checkpoint, proven to give its logits.

        Quick for GPT-NeoX, where weights are copied in place; other architectures are wrapped
        anew. Another class or other shapes are an InputError.
        """
        refuse_wrapped(model)
        self.refuse_hooks("refresh()")
        if self.is_processed:
            raise InputError("a processed view cannot be refreshed; refresh first, then process")
        reference = PlainReference.of(model)
        self._reference.refuse_other_shapes(reference)
        self.folder = None
        is_quick = reference.is_same_function_of_weights(self._reference)
        if isinstance(model, GPTNeoXForCausalLM) and is_quick:
            self.bridge.load_state_dict(neox_bridge_state(model), strict=False)
            self._reference = reference
            self._prove()
        else:
            self._boot(moved(copy.deepcopy(model), self.device))

    def processed(self) -> "HookedModel":
        """A second, throw-away view with folded layer norms and centred weights.

        For direct logit attribution only: its log-probabilities are the model's, its logits
        differ by a constant at each position, its activations are not the trained model's.
        """
        self.refuse_hooks("processed()")
        self.logits(self._reference.tokens)  # drops a graph that cannot be copied
        view = copy.copy(self)
        view.bridge = folded_copy(self.bridge)
        view.is_processed = True
        view._find_live_hooks()
        view._prove()
        return view

    def _boot(self, owned_model: PreTrainedModel) -> None:
        model = prepared(owned_model)
        self.config, self.architecture = model.config, type(model).__name__
        with one_line_refusal(self.architecture):
            self._reference = PlainReference.of(model)
            self.bridge = build_bridge(model)
            cfg = self.bridge.cfg
            self.n_layers, self.n_heads, self.d_head = cfg.n_layers, cfg.n_heads, cfg.d_head
            self.n_key_value_heads = cfg.n_key_value_heads or cfg.n_heads
            self.n_ctx = context_length(model.config) or cfg.n_ctx
            self.d_model, self.d_vocab = cfg.d_model, cfg.d_vocab
            self._own_hooks = count_hooks(self.bridge)
            self._find_live_hooks()
            self._prove()

    @torch.no_grad()
    def _prove(self) -> None:
        """Holds logits and unembedding against the plain model's logits."""
        last = f"blocks.{self.n_layers - 1}.hook_resid_post"
        wanted = last if last in self.live_hooks else min(self.live_hooks)
        logits, cache = self.run_with_cache(self._reference.tokens, [wanted])
        assert logits is not None
        self._reference.check_parity(logits, shifted=self.is_processed)
        final = getattr(self.bridge, "ln_final", None)
        self.unembed = Unembedding(
            architecture=self.architecture,
            norm=nn.Identity() if final is None else final.original_component,
            W_U=self.W_U,
            b_U=self.b_U,
            end=LogitEnd.of(self.config),
        )
        if wanted == last:
            self.unembed.prove(cache[last], logits, self._reference.rounding)

    def _find_live_hooks(self) -> None:
        def run(record: HookFunction) -> Float[Tensor, "batch pos d_vocab"]:
            with self.bridge.hooks([(lambda _name: True, record)]):
                return self(self._reference.tokens)

        points = self.bridge.hook_dict
        self._live = find_live_hooks(run, points, self.architecture, self.n_layers)
        self.live_hooks = frozenset(self._live.moments)
        self.editable_hooks = self._live.editable

    def refuse_hooks(self, method: str) -> None:
        """Raise InputError if hooks are on this view: `method` would not see what they do."""
        if count_hooks(self.bridge) != self._own_hooks:
            raise InputError(f"{method} while hooks are attached; leave their `with` block first")


def load_hooked(
    run: HasCheckpoints,
    seed: int,
    stage: int,
    step: int | None = None,
    *,
    device: Device | None = None,
) -> HookedModel:
    """A checkpoint of a run as a hooked model: the last one of the stage unless a step is given."""
    model = load_hooked_folder(run.checkpoint(seed=seed, stage=stage, step=step), device=device)
    if run.stops_answers:
        assert model.tokenizer is not None  # runs save it with every checkpoint
        end: Any = model.tokenizer.eos_token_id
        model.stop_token = end
    return model


def load_hooked_folder(path: Path | str, *, device: Device | None = None) -> HookedModel:
    """Any local causal language model (GPT-NeoX, GPT-2, GPT-Neo, Llama) as hooked.

    Args:
        path: Its folder, its GGUF file, or the name that `iml models get` got it by.
        device: Where its weights are put; the CPU unless given.
    """
    folder = local_folder(path)
    model, tokenizer = read_model_folder(folder, device or "cpu")
    hooked = HookedModel(model, tokenizer)
    hooked.folder = folder
    return hooked
