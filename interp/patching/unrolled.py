"""The forward pass of a hooked model, so that it can go on from any layer and position.

A sweep of interventions repeats most of its work: blocks below the edit, positions before it, and
the last block and the unembedding at positions that nobody reads. `UnrolledModel` computes each of
these once, from the weights of the view itself: GPT-NeoX (parallel or sequential residual), GPT-2,
GPT-Neo and Llama, with rotary or learned positions, grouped key and value heads, local attention.

    unrolled = UnrolledModel(model)
    base = unrolled.trace(tokens)                    # every site of every layer
    logits = unrolled.go_on(resid, layer, base, kept=1)

Before anything else its logits are held against the view's, so an architecture that it does not
know is refused and never approximated.
"""

from dataclasses import dataclass, field
from weakref import WeakSet

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from data.errors import InputError, reason_of
from interp.hooked.model import HookedModel
from interp.hooked.sites import n_heads_at
from interp.patching.unrolled_weights import attention_weights
from training.models.contexts import check_lengths

PARITY_TOKENS = 12
"""Positions at which the two passes are compared, at least."""
_PROVEN: WeakSet[nn.Module] = WeakSet()
"""Bridges that were computed right once; a view that becomes another function gets a new one."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Everything that a forward pass computed, by site name and layer.

    `resid_pre` has one more entry: what the final norm reads. Head sites are `[batch, pos, head,
    d_head]`, the others `[batch, pos, d_model]`; queries and keys are those before rotation, as at
    TransformerLens's hooks.
    """

    sites: dict[str, list[Tensor]] = field(default_factory=dict)
    rotated_k: list[Float[Tensor, "batch head pos d_head"]] = field(default_factory=list)

    def __getitem__(self, name: str) -> list[Tensor]:
        """The activations of a site, one for each layer."""
        return self.sites[name]

    def of_rows(self, rows: Int[Tensor, " chosen"]) -> "Trace":
        """The trace of these prompts, in this order."""
        sites = {name: [each[rows] for each in layers] for name, layers in self.sites.items()}
        return Trace(sites=sites, rotated_k=[each[rows] for each in self.rotated_k])

    def detached(self) -> "Trace":
        """The trace with tensors that gradients no longer flow through."""
        sites = {name: [each.detach() for each in layers] for name, layers in self.sites.items()}
        return Trace(sites=sites, rotated_k=[each.detach() for each in self.rotated_k])

    def keep(self, name: str, activation: Tensor) -> Tensor:
        """Adds the next layer's activation and returns it."""
        self.sites.setdefault(name, []).append(activation)
        return activation


class UnrolledModel:
    """A hooked model's weights in a forward pass of our own; read only."""

    def __init__(self, model: HookedModel) -> None:
        """Takes over the model's weights as they are now; what changes later is not seen.

        Raises:
            InputError: hooks are on the view, or it computes something that is not known here.
        """
        model.refuse_hooks("a sweep")
        self.model = model
        try:
            self._take_weights()
            if model.bridge not in _PROVEN:
                self._check_parity()
                _PROVEN.add(model.bridge)
        except (AttributeError, TypeError, RuntimeError) as error:  # its parts are other ones
            raise InputError(_unknown(model, reason_of(error))) from error

    def _take_weights(self) -> None:
        model = self.model
        self.n_layers, self.d_head = model.n_layers, model.d_head
        self.is_parallel = bool(model.bridge.cfg.parallel_attn_mlp)
        blocks = list(model.bridge.blocks)
        self._ln1 = [block.ln1.original_component for block in blocks]
        self._ln2 = [block.ln2.original_component for block in blocks]
        self._mlp = [block.mlp.original_component for block in blocks]
        with torch.no_grad():
            self._attention = [attention_weights(model, layer) for layer in range(self.n_layers)]
        self._rotary: nn.Module | None = None
        if hasattr(model.bridge, "rotary_emb"):
            self._rotary = model.bridge.rotary_emb.original_component
        self._turns: Float[Tensor, "pos d_head d_head"] = torch.empty(0, 0, 0)

    @property
    def W_O(self) -> list[Float[Tensor, "head d_head d_model"]]:
        """The matrices by which heads write into the residual stream, one entry for each layer."""
        return [attention.W_O for attention in self._attention]

    def n_heads_at(self, site: str) -> int:
        """Number of heads that a head site has."""
        return n_heads_at(self.model, site)

    def trace(self, tokens: Int[Tensor, "batch pos"]) -> Trace:
        """A whole pass over prompts of one length.

        It has a graph, from the embedding on, unless under `torch.no_grad`.
        """
        check_lengths(self.model.config, tokens)
        hook = "blocks.0.hook_resid_pre"
        _, cache = self.model.run_with_cache(tokens, [hook], stop_at_layer="auto")
        x = cache[hook]
        if torch.is_grad_enabled():
            x = x.requires_grad_()
        trace = Trace()
        for layer in range(self.n_layers):
            trace.keep("resid_pre", x)
            q, k, v = self.project(x, layer)
            for name, heads in (("q", q), ("k", k), ("v", v)):
                trace.keep(name, heads)
            rotated = self._rotated(k, k.shape[1]).transpose(1, 2)
            trace.rotated_k.append(rotated)
            z = trace.keep("z", self.attend(q, rotated, v, layer))
            attn_out = trace.keep("attn_out", self.write(z, layer))
            if self.is_parallel:
                mlp_out = trace.keep("mlp_out", self.mlp(x, layer))
            else:
                mid = trace.keep("resid_mid", x + attn_out)
                mlp_out = trace.keep("mlp_out", self.mlp(mid, layer))
            x = trace.keep("resid_post", x + attn_out + mlp_out)
        trace.keep("resid_pre", x)
        return trace

    def logits(self, resid: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_vocab"]:
        """Final norm and unembedding, see `HookedModel.unembed`."""
        return self.model.unembed(resid)

    def go_on(
        self,
        resid: Float[Tensor, "cell batch suffix d_model"],
        layer: int,
        base: Trace,
        *,
        changed: Bool[Tensor, "cell batch suffix"] | None = None,
        kept: int = 1,
    ) -> Float[Tensor, "cell batch kept d_vocab"]:
        """Logits at the last positions of passes that differ from `base` from some point on.

        Args:
            resid: Residual stream entering `layer`, at the last positions, whatever was edited.
            layer: The next block to run; `n_layers` runs none.
            base: The pass that the positions before `resid` are taken from.
            changed: Where `resid` differs from the base, if not everywhere; saves most of the next
                block.
            kept: Logits at so many last positions.
        """
        n_cells, n_rows, suffix, _ = resid.shape
        x = resid.flatten(0, 1)
        for number in range(layer, self.n_layers):
            last = kept if number == self.n_layers - 1 else suffix
            at = changed.flatten(0, 1) if changed is not None and number == layer else None
            attn_out = self.write(self.heads(x, number, base, last=last, changed=at), number)
            x = x[:, -last:]
            read = x if self.is_parallel else x + attn_out
            of_mlp = at if self.is_parallel else None
            x = x + attn_out + self.mlp_after(read, number, base, changed=of_mlp)
        return self.logits(x[:, -kept:]).unflatten(0, (n_cells, n_rows))

    def project(
        self, resid: Float[Tensor, "batch pos d_model"], layer: int, *, last: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys (both before rotation) and values, each `[batch, pos, head, d_head]`.

        Queries only at so many last positions, if `last` is given.
        """
        a, normed = self._attention[layer], self._ln1[layer](resid)

        def heads(read: Tensor, columns: slice) -> Float[Tensor, "batch pos head d_head"]:
            W = a.W_QKV[:, columns]
            flat = torch.addmm(a.b_QKV[columns], read.flatten(0, 1), W)
            return flat.view(*read.shape[:2], W.shape[1] // self.d_head, self.d_head)

        if last is None or last == resid.shape[1]:
            every = heads(normed, slice(None))
            q, k, v = every.split([a.n_heads, a.n_kv_heads, a.n_kv_heads], dim=2)
            return q, k, v
        width = a.n_heads * self.d_head
        q = heads(normed[:, -last:], slice(width))
        k, v = heads(normed, slice(width, None)).chunk(2, dim=2)
        return q, k, v

    def attend(
        self,
        q: Float[Tensor, "batch query head d_head"],
        rotated_k: Float[Tensor, "batch kv_head key d_head"],
        v: Float[Tensor, "batch key kv_head d_head"],
        layer: int,
    ) -> Float[Tensor, "batch query head d_head"]:
        """What each head gathers for the last positions, whose queries are given unrotated."""
        queries = self._rotated(q, rotated_k.shape[2])
        return self._attention[layer].gather(queries, rotated_k.transpose(1, 2), v)

    def heads(
        self,
        resid: Float[Tensor, "row suffix d_model"],
        layer: int,
        base: Trace,
        *,
        last: int,
        changed: Bool[Tensor, "row suffix"] | None = None,
    ) -> Float[Tensor, "row last head d_head"]:
        """What each head gathers for the last positions.

        Args:
            resid: Residual stream entering the layer, at the last positions; before them it is that
                of the base.
            layer: The layer.
            base: The pass that the positions before `resid` are taken from.
            last: At so many last positions.
            changed: Where `resid` differs from the base; everywhere unless given.
        """
        n_keys, before = base["k"][layer].shape[1], base["k"][layer].shape[1] - resid.shape[1]
        rotated_k, base_v = base.rotated_k[layer].transpose(1, 2), base["v"][layer]
        if changed is None:
            queries, k, v = self.project(resid, layer, last=last)
            keys = _repeated(rotated_k[:, :before], len(resid))
            keys = torch.cat([keys, self._rotated(k, n_keys)], 1)
            values = torch.cat([_repeated(base_v[:, :before], len(resid)), v], 1)
        else:
            keys, values = _repeated(rotated_k, len(resid)), _repeated(base_v, len(resid))
            queries = _repeated(base["q"][layer][:, before:], len(resid))
            row, place = changed.nonzero(as_tuple=True)
            (q,), k, (v,) = self.project(resid[row, place][None], layer)
            (keys[row, before + place],) = self._rotated(k, n_keys, before + place)
            values[row, before + place], queries[row, place] = v, q
        return self.attend(queries[:, -last:], keys.transpose(1, 2), values, layer)

    def heads_apart(
        self,
        for_q: Float[Tensor, "batch last head d_model"],
        for_k: Float[Tensor, "batch pos head d_model"],
        for_v: Float[Tensor, "batch pos head d_model"],
        layer: int,
    ) -> Float[Tensor, "batch last head d_head"]:
        """What each head gathers where its queries, keys and values each read a stream of its own.

        Args:
            for_q: The streams that queries read, at the last positions.
            for_k: The streams that keys read.
            for_v: The streams that values read.
            layer: The layer, whose heads have keys and values of their own.
        """
        a = self._attention[layer]
        W = a.W_QKV.unflatten(1, (3, a.n_heads, self.d_head)).unbind(1)
        b = a.b_QKV.unflatten(0, (3, a.n_heads, self.d_head))
        q, k, v = (
            torch.einsum("bphd,dhk->bphk", self._ln1[layer](stream), weight) + bias
            for stream, weight, bias in zip((for_q, for_k, for_v), W, b, strict=True)
        )
        return self.attend(q, self._rotated(k, k.shape[1]).transpose(1, 2), v, layer)

    def write(
        self, z: Float[Tensor, "batch pos head d_head"], layer: int
    ) -> Float[Tensor, "batch pos d_model"]:
        """What attention adds to the residual stream."""
        a = self._attention[layer]
        return z.flatten(2) @ a.W_O.flatten(0, 1) + a.b_O

    def mlp(
        self, resid: Float[Tensor, "*batch d_model"], layer: int
    ) -> Float[Tensor, "*batch d_model"]:
        """What the MLP adds to the residual stream that it reads, its norm included."""
        return self._mlp[layer](self._ln2[layer](resid))

    def mlp_after(
        self,
        resid: Float[Tensor, "row last d_model"],
        layer: int,
        base: Trace,
        *,
        changed: Bool[Tensor, "row suffix"] | None,
    ) -> Float[Tensor, "row last d_model"]:
        """What the MLP adds at the last positions; see `heads` for the arguments."""
        if changed is None:
            return self.mlp(resid, layer)
        mlp_out = _repeated(base["mlp_out"][layer][:, -resid.shape[1] :], len(resid))
        places = changed[:, -resid.shape[1] :].nonzero(as_tuple=True)
        mlp_out[places] = self.mlp(resid[places], layer)
        return mlp_out

    def _rotated(
        self,
        heads: Float[Tensor, "batch pos head d_head"],
        n_keys: int,
        at: Int[Tensor, " pos"] | None = None,
    ) -> Float[Tensor, "batch pos head d_head"]:
        """Rotary position encoding at some of so many positions: the last ones, unless given."""
        if self._rotary is None:
            return heads
        if len(self._turns) != n_keys:
            self._turns = self._turns_at(torch.arange(n_keys, device=heads.device)[None], heads)
        turns = self._turns[-heads.shape[1] :] if at is None else self._turns[at]
        return torch.einsum("bphi,pij->bphj", heads, turns)

    @torch.no_grad()
    def _turns_at(
        self, positions: Int[Tensor, "1 pos"], like: Tensor
    ) -> Float[Tensor, "pos d_head d_head"]:
        """What rotates a head, as matrices: the first dimensions, two halves against each other.

        One product with a matrix takes a fraction of the time of arithmetic on slices of heads.
        """
        assert self._rotary is not None
        cos, sin = (each[0, :, None] for each in self._rotary(like, positions))
        unit = torch.eye(self.d_head, dtype=cos.dtype, device=cos.device).expand(len(cos), -1, -1)
        turned, rest = unit[..., : cos.shape[-1]], unit[..., cos.shape[-1] :]
        low, high = turned.chunk(2, -1)
        turned = turned * cos + torch.cat([-high, low], -1) * sin
        return torch.cat([turned, rest], -1)

    @torch.no_grad()
    def _check_parity(self) -> None:
        beyond = [a.window + 2 for a in self._attention if a.window is not None]
        n = min(max([PARITY_TOKENS, *beyond]), self.model.n_ctx)
        tokens = (torch.arange(n) * 7919 % self.model.d_vocab)[None].to(self.model.device)
        own = self.logits(self.trace(tokens)["resid_pre"][-1]).float()
        theirs = self.model.logits(tokens).float()
        difference = (own - theirs).abs().max().item()
        rounding = 64 * torch.finfo(self.model.W_U.dtype).eps * theirs.abs().max().item()
        if not difference <= max(1e-4, rounding):
            raise InputError(_unknown(self.model, f"its logits differ by {difference:.2g}"))


def _unknown(model: HookedModel, why: str) -> str:
    return (
        f"{model.architecture} computes something that this sweep does not know ({why}); use "
        "attribution or `HookedModel.hooks`"
    )


def _repeated(base: Float[Tensor, "batch ..."], n_rows: int) -> Float[Tensor, "row ..."]:
    """The base's rows for every cell, to be written into."""
    return base.repeat(n_rows // len(base), *[1] * (base.ndim - 1))
