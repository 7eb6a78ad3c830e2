"""What would the model say if its residual stream ended here?

    logit lens   final norm and unembedding, applied to the stream of an earlier layer
    tuned lens   the same after an affine map trained for that layer, so that its distribution comes
                 nearest to the model's own (Belrose et al. 2023, arXiv 2303.08112)

Each is read at a role of each row for three quantities: the `answer` to the question, the `entity`
that it follows, and the `other_entity`: the one a false definition names, or, where none does, one
drawn at random, which is the control for the entity. Rank 1 is the most likely token;
log-probabilities are in nats, over the whole vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from data.draws import stream
from data.tokens import TokenizedRow
from data.vocabulary import Kind, Role
from interp.grids.grid import Measured
from interp.hooked.activations import Activations, collect_activations, pad_tokens
from interp.hooked.addresses import Site, TokenRole, check_residual, role_positions
from interp.hooked.model import HookedModel
from training.columns import WITHOUT_SEED
from training.models.contexts import similar_lengths
from training.seeds import derive_seed
from training.statistics import t_interval

QUANTITIES = ("answer", "entity", "other_entity")
TUNED_STEPS, TUNED_BATCH, TUNED_LEARNING_RATE = 400, 256, 3e-3
"""Adam on the rows of the run; enough for a toy, whose loss is flat by then."""

COORDINATES = ["subset", "lens", "site", "layer", "role", "quantity"]
CELL = [*WITHOUT_SEED, *COORDINATES]

Translator = nn.Linear
Quantities = Mapping[str, Int[np.ndarray, " row"]]


def read_lens(
    model: HookedModel,
    activations: Activations,
    quantities: Quantities,
    *,
    translators: Mapping[Site, Translator] | None = None,
) -> pd.DataFrame:
    """Rank and log-probability of each quantity, for each row, site and role.

    Args:
        model: Its final norm and unembedding are used.
        activations: Residual stream at some sites and roles.
        quantities: A token id for each row, -1 where the row has none.
        translators: Of the tuned lens, by site; the plain logit lens without.

    Returns:
        Columns `row, site, layer, role, quantity, rank, log_prob`; `row` counts from 0.
    """
    tables = []
    for site in activations.values:
        for role in activations.roles:
            resid = torch.from_numpy(activations.at(site, role)).to(model.device)
            log_probs = lens_log_probs(
                model, resid, None if translators is None else translators[site]
            )
            for quantity, tokens in quantities.items():
                rows = np.flatnonzero(tokens >= 0)
                chosen = log_probs[rows].gather(1, torch.from_numpy(tokens[rows])[:, None])
                tables.append(
                    pd.DataFrame(
                        {
                            "row": rows,
                            "site": site.name,
                            "layer": site.layer,
                            "role": str(role),
                            "quantity": quantity,
                            "rank": (log_probs[rows] > chosen).sum(1).numpy() + 1,
                            "log_prob": chosen[:, 0].numpy(),
                        }
                    )
                )
    return pd.concat(tables, ignore_index=True)


@torch.no_grad()
def lens_log_probs(
    model: HookedModel, resid: Float[Tensor, "row d_model"], translator: Translator | None = None
) -> Float[Tensor, "row d_vocab"]:
    """Log-probabilities that the lens reads from residual vectors, on the CPU.

    Of the last layer's residual stream, without a translator, they are the model's own.
    """
    translated = resid if translator is None else resid + translator(resid)
    return _logits(model, translated).log_softmax(-1).cpu()


def _logits(
    model: HookedModel, resid: Float[Tensor, "row d_model"]
) -> Float[Tensor, "row d_vocab"]:
    """What the model's own end makes of a stream, in the precision of the model."""
    return model.unembed(resid.to(model.W_U.dtype)).float()


@torch.enable_grad()
def train_tuned_lens(
    model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
) -> dict[Site, Translator]:
    """One affine map for each site, trained on every position of the rows.

    It starts as the identity (the logit lens) and minimises the cross-entropy of its distribution
    against the model's own, which differs from the Kullback-Leibler divergence by a constant.

    Args:
        model: Read only.
        rows: Texts to train on.
        sites: Of the residual stream.
        seed: Fixes the order of each site's batches; the global random state is left as it was.
    """
    resid, targets = _streams(model, rows, sites)
    translators: dict[Site, Translator] = {}
    for site in sites:
        # Of its own seed, so that a site's map is the same whatever else is asked for.
        generator = torch.Generator().manual_seed(derive_seed(seed, f"tuned lens {site.hook}"))
        translator = _zero_map(model)
        optimizer = torch.optim.Adam(translator.parameters(), lr=TUNED_LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, TUNED_STEPS)
        for _ in range(TUNED_STEPS):
            batch = torch.randint(len(targets), (TUNED_BATCH,), generator=generator)
            h = resid[site][batch].to(model.device)
            logits = _logits(model, h + translator(h))
            loss = functional.cross_entropy(logits, targets[batch].exp().to(model.device))
            optimizer.zero_grad()
            # Only the translator's gradient: the model's parameters must not get any.
            gradients = torch.autograd.grad(loss, list(translator.parameters()))
            for parameter, gradient in zip(translator.parameters(), gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            schedule.step()
        translators[site] = translator
    return translators


def _zero_map(model: HookedModel) -> Translator:
    """A translator that adds nothing yet; made without drawing random numbers."""
    with torch.random.fork_rng(devices=[]):
        translator = nn.Linear(model.d_model, model.d_model, device=model.device)
    translator.load_state_dict({k: torch.zeros_like(v) for k, v in translator.state_dict().items()})
    return translator


@torch.no_grad()
def _streams(
    model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site]
) -> tuple[dict[Site, Float[Tensor, "token d_model"]], Float[Tensor, "token d_vocab"]]:
    """The residual stream at every real token, and the model's log-probabilities there."""
    resid: dict[Site, list[Tensor]] = {site: [] for site in sites}
    targets: list[Tensor] = []
    hooks = [site.hook for site in sites]
    n_tokens = [len(row.input_ids) for row in rows]
    for chosen in similar_lengths(model.config, n_tokens, TUNED_BATCH):
        batch = [rows[i] for i in chosen]
        tokens = pad_tokens([row.input_ids for row in batch])
        lengths = torch.tensor([len(row.input_ids) for row in batch])
        real = torch.arange(tokens.shape[1]) < lengths[:, None]
        logits, cache = model.run_with_cache(tokens, hooks, device="cpu")
        assert logits is not None
        targets.append(logits.cpu()[real].float().log_softmax(-1))
        for site in sites:
            resid[site].append(cache[site.hook][real].float())
    return {site: torch.cat(parts) for site, parts in resid.items()}, torch.cat(targets)


@dataclass(frozen=True, kw_only=True)
class LensAnalysis:
    """What the lenses read at every checkpoint of a grid."""

    roles: tuple[TokenRole, ...] | None = None
    """Where to read; see `default_roles`."""
    tuned: bool = True
    """Whether the tuned lens is trained and read beside the logit lens."""

    @property
    def name(self) -> str:
        """The name of the analysis, with which its tables' file names begin."""
        return "lens"

    @property
    def coordinates(self) -> list[str]:
        """The columns that tell the cells of one checkpoint apart."""
        return COORDINATES

    def measure(
        self, model: HookedModel, rows: Sequence[TokenizedRow], sites: Sequence[Site], *, seed: int
    ) -> Measured:
        """Reads one checkpoint; see `lens_checkpoint`."""
        return Measured(table=lens_checkpoint(model, rows, sites, self, seed=seed))

    def summarize(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `summarize_lens`."""
        return summarize_lens(table)


def lens_checkpoint(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    sites: Sequence[Site],
    lens: LensAnalysis,
    *,
    seed: int,
) -> pd.DataFrame:
    """Means by subset over the questions that were never trained, for each lens, site and role.

    Columns `subset, lens, site, layer, role, quantity, rank, log_prob, n`.

    Raises:
        InputError: a site is not of the residual stream.
    """
    check_residual(site.name for site in sites)
    asked = [row for row in rows if row.row.is_evaluated and row.row.alias is not None]
    quantities = token_quantities(rows, asked, seed=seed)
    roles = lens.roles or default_roles(asked)
    activations = collect_activations(model, asked, sites=sites, roles=roles)
    lenses: dict[str, Mapping[Site, Translator] | None] = {"logit": None}
    if lens.tuned:
        lenses["tuned"] = train_tuned_lens(model, rows, sites, seed=seed)
    tables = {
        name: read_lens(model, activations, quantities, translators=translators)
        for name, translators in lenses.items()
    }
    return mean_readings(tables, [row.row.subset.name for row in asked])


def mean_readings(tables: Mapping[str, pd.DataFrame], subsets: Sequence[str]) -> pd.DataFrame:
    """Means over the rows of each subset, with the columns of `lens_checkpoint`.

    Args:
        tables: Of `read_lens`, by the name of the lens.
        subsets: Of each row.
    """
    of_row = np.array(subsets)
    named = [table.assign(lens=lens, subset=of_row[table["row"]]) for lens, table in tables.items()]
    groups = pd.concat(named).groupby(COORDINATES)
    return groups.agg(
        rank=("rank", "mean"), log_prob=("log_prob", "mean"), n=("row", "size")
    ).reset_index()


def default_roles(asked: Sequence[TokenizedRow]) -> tuple[TokenRole, ...]:
    """The alias, the question's end and, where text follows it, the end of the prompt."""
    roles = (TokenRole.ALIAS_LAST, TokenRole.QUESTION_LAST)
    places = (role_positions(asked, role) for role in (roles[-1], TokenRole.PROMPT_LAST))
    return roles if len(set(map(tuple, places))) == 1 else (*roles, TokenRole.PROMPT_LAST)


def summarize_lens(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell: means over seeds, and the t interval of the log-probability."""
    records = []
    for _, group in table.groupby(CELL, sort=True):
        low, high = t_interval(group["log_prob"])
        records.append(
            {name: group[name].iloc[0] for name in CELL}
            | {
                "rank": group["rank"].mean(),
                "log_prob": group["log_prob"].mean(),
                "ci_low": low,
                "ci_high": high,
                "n": group["n"].sum(),
                "n_seeds": len(group),
            }
        )
    return pd.DataFrame(records)


def token_quantities(
    rows: Sequence[TokenizedRow], asked: Sequence[TokenizedRow], *, seed: int
) -> dict[str, Int[np.ndarray, " row"]]:
    """The first token of answer, entity and other entity of each question; -1 where there is none.

    Args:
        rows: All rows of the seed: definitions tell what is named, facts how entities are written.
        asked: The questions.
        seed: Fixes the entities drawn as controls.
    """
    tokens = {
        row.row.rendered.text[slice(*characters)]: row.input_ids[row.spans[Role.ENTITY][0]]
        for row in rows
        if (characters := row.row.rendered.spans.get(Role.ENTITY)) is not None
    }
    named = {row.row.alias: row.row.entity for row in rows if row.row.kind is Kind.DEFINITION}
    rng = stream(seed, "lens/other entity")
    names = sorted(tokens)
    answer = [row.input_ids[row.answer_positions[0]] for row in asked]
    entity = [tokens.get(row.row.entity or "", -1) for row in asked]
    other = []
    for row in asked:
        truth, stated = row.row.entity, named.get(row.row.alias)
        if truth is None or not names:
            other.append(-1)
            continue
        drawn = rng.choice([name for name in names if name != truth])
        other.append(tokens[stated if stated not in (None, truth) else drawn])
    quantities = {"answer": answer, "entity": entity, "other_entity": other}
    return {name: np.array(ids) for name, ids in quantities.items() if max(ids, default=-1) >= 0}
