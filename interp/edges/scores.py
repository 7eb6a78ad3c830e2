"""How much does each edge of the residual stream's graph move the answer, to first order?

A component writes into the residual stream (the embedding, a head, an MLP) and every later one
reads the sum: the query, key and value of a head, an MLP, the logits. An edge (source,
destination) is what one of them writes as another reads it, at the same token. Its score

    (written, clean - corrupted) . d(logit difference) / d(read)

estimates what the clean run's message on that edge alone would add to the corrupted run's logit
difference. With the gradient at the corrupted prompt this is edge attribution patching (EAP), as
in TransformerLens; averaged over the way from the corrupted prompt's embeddings to the clean
one's it is EAP-IG (Hanna, Pezzelle and Belinkov 2024, arXiv 2403.17806, section 3).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from data.errors import InputError
from data.pairs import PromptPair, check_pair
from data.tokens import TokenizedRow
from interp.edges.graph import EdgeGraph, EdgeNode
from interp.hooked.activations import pad_tokens
from interp.hooked.live_hooks import HookFunction
from interp.hooked.model import HookedModel
from training.models.contexts import check_lengths, check_tokens

ADDITIVITY_TOLERANCE = 2.5e-2
"""Bfloat16 is off by 0.003 of the norm where writes do sum to the stream; post-norms by 0.05 on."""
_EMBED = "hook_embed"


@dataclass(frozen=True, kw_only=True)
class PairTokens:
    """Pairs as a model sees them: prompts without their answers, padded on the right."""

    clean: Int[Tensor, "pair pos"]
    corrupted: Int[Tensor, "pair pos"]
    ends: Int[Tensor, " pair"]
    """Last position of each prompt."""
    answers: Int[Tensor, "pair 2"]
    """First token of the clean prompt's answer, and of the corrupted prompt's."""

    @classmethod
    def of(cls, pairs: Sequence[PromptPair]) -> "PairTokens":
        """The tokens of pairs that can be compared.

        Raises:
            InputError: there are none, or one has prompts that cannot stand in for each other.
        """
        if not pairs:
            raise InputError("an empty set of pairs; choose another kind or subset")
        for pair in pairs:
            check_pair(pair)
            if _prompt(pair.clean) == _prompt(pair.corrupted):
                raise InputError(f"pair {pair.pair_id} is one prompt twice; leave it out")
        return cls(
            clean=pad_tokens([_prompt(pair.clean) for pair in pairs]),
            corrupted=pad_tokens([_prompt(pair.corrupted) for pair in pairs]),
            ends=torch.tensor([pair.n_tokens - 1 for pair in pairs]),
            answers=torch.tensor(
                [[_answer(pair.clean), _answer(pair.corrupted)] for pair in pairs]
            ),
        )

    def check(self, model: HookedModel) -> None:
        """Refuses prompts and answers that a model cannot read; see `training.models.contexts`.

        Raises:
            InputError: there are such.
        """
        for tokens in (self.clean, self.corrupted, self.answers):
            check_tokens(model.config, tokens)
            check_lengths(model.config, tokens)

    def logit_differences(
        self, logits: Float[Tensor, "pair pos d_vocab"]
    ) -> Float[Tensor, " pair"]:
        """Logit of the clean prompt's answer minus the corrupted one's, at each prompt's end."""
        rows = torch.arange(len(self.ends))
        clean, corrupted = self.answers.T
        last = logits[rows, self.ends]
        return last[rows, clean] - last[rows, corrupted]


def pair_batches(pairs: Sequence[PromptPair], batch_size: int) -> Iterator[PairTokens]:
    """The pairs' tokens, so many pairs at a time."""
    for start in range(0, len(pairs), batch_size):
        yield PairTokens.of(pairs[start : start + batch_size])


def refuse_no_difference(gap: float) -> None:
    """Refuses a difference that nothing can be a share of.

    Raises:
        InputError: the difference is zero.
    """
    if gap == 0:
        raise InputError(
            "clean and corrupted prompts have the same mean logit difference, so no share of it "
            "can be recovered; choose pairs that the model tells apart"
        )


def edge_scores(
    model: HookedModel, tokens: PairTokens, graph: EdgeGraph, *, ig_steps: int
) -> Float[Tensor, "writer reader pos"]:
    """Scores of all (writer, reader), summed over pairs; 0 where there is no edge.

    Called within `switched_hooks`. Leaves the last pass's graph in the bridge.

    Args:
        model: Read only.
        tokens: The pairs.
        graph: The model's.
        ig_steps: Points from the corrupted embeddings on, the k-th at k / ig_steps of the way. The
            paper counts them from the clean end: the same integral.

    Raises:
        InputError: what the components write does not sum to the residual stream.
    """
    final = graph.readers[-1].hook(graph.n_layers)
    written = [node.hook(graph.n_layers) for node in graph.writers]
    with torch.no_grad():
        clean, corrupted = (
            _read(model, side, [*written, final]) for side in (tokens.clean, tokens.corrupted)
        )
    change = {hook: clean[hook] - corrupted[hook] for hook in clean}
    changes = _stacked(change, graph.writers, graph.n_layers)
    _refuse_other_writers(model, changes.sum(0), change[final])
    read = list(dict.fromkeys(node.hook(graph.n_layers) for node in graph.readers))
    gradients: dict[str, Tensor] = {}
    for step in range(ig_steps):
        start = torch.lerp(corrupted[_EMBED], clean[_EMBED], step / ig_steps)
        for hook, gradient in _gradients(model, tokens, start, read).items():
            gradients[hook] = gradients.get(hook, 0.0) + gradient / ig_steps
    slopes = _stacked(gradients, graph.readers, graph.n_layers)
    scores = torch.einsum("wbpd,rbpd->wrp", changes, slopes).cpu()
    return scores * graph.is_edge[..., None]


def _prompt(row: TokenizedRow) -> tuple[int, ...]:
    return row.input_ids[: row.answer_positions[0]]


def _answer(row: TokenizedRow) -> int:
    return row.input_ids[row.answer_positions[0]]


def _read(
    model: HookedModel, tokens: Int[Tensor, "pair pos"], hooks: Sequence[str]
) -> dict[str, Tensor]:
    cache: dict[str, Tensor] = {}
    with model.bridge.hooks(
        fwd_hooks=[(hook, _keeper(cache, hook)) for hook in dict.fromkeys(hooks)]
    ):
        model(tokens)
    return cache


@torch.enable_grad()
def _gradients(
    model: HookedModel,
    tokens: PairTokens,
    embeddings: Float[Tensor, "pair pos d_model"],
    hooks: Sequence[str],
) -> dict[str, Tensor]:
    """Gradients of each pair's logit difference where the model starts from these embeddings."""
    start = embeddings.requires_grad_()
    cache: dict[str, Tensor] = {}
    replacing: list[tuple[str, Callable]] = [(_EMBED, lambda _activation, hook: start)]
    keeping = [(hook, _keeper(cache, hook)) for hook in hooks]
    with model.bridge.hooks(fwd_hooks=replacing, bwd_hooks=keeping):
        total = tokens.logit_differences(model(tokens.corrupted)).sum()
        torch.autograd.grad(total, start)
    return cache


def _keeper(cache: dict[str, Tensor], name: str) -> HookFunction:
    def keep(value: Tensor, hook: nn.Module) -> None:
        cache[name] = value.detach().clone()

    return keep


def _stacked(
    cache: Mapping[str, Tensor], nodes: Sequence[EdgeNode], n_layers: int
) -> Float[Tensor, "node pair pos d_model"]:
    """What the hooks saw, one entry for each node: of a head's hook, that head's."""
    return torch.stack(
        [
            cache[node.hook(n_layers)][(slice(None), slice(None), *head)]
            for node in nodes
            for head in [() if node.head is None else (node.head,)]
        ]
    )


def _refuse_other_writers(
    model: HookedModel,
    summed: Float[Tensor, "pair pos d_model"],
    stream: Float[Tensor, "pair pos d_model"],
) -> None:
    off = ((summed - stream).norm() / stream.norm()).item()
    if not off <= ADDITIVITY_TOLERANCE:
        raise InputError(
            f"in {model.architecture} what heads and MLPs write does not sum to the residual "
            f"stream (off by {off:.2g} of its norm), so it has no edges; patch activations instead"
        )
