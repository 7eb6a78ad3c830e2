"""What would a model answer with another model's activation at one site and token?

    clean      the recipient alone
    patched    the same, with the donor's activation on the same prompt at (site, role)
    control    the same, with a random change of the activation, as long as the donor's is away

The rest of `interp.transplants.analysis`, whose table this fills, is about weights.
"""

from collections.abc import Sequence

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from data.tokens import TokenizedRow
from interp.hooked.activations import check_rows, collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.answers import ANSWER_METRICS, batch_answers
from interp.hooked.model import HookedModel
from training.seeds import derive_seed

BATCH_SIZE = 512


def transplant_activations(
    recipient: HookedModel,
    donor: HookedModel,
    rows: Sequence[TokenizedRow],
    *,
    sites: Sequence[Site],
    roles: Sequence[TokenRole],
    seed: int,
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Answers with each activation of the donor, and with a random one, by the name of the part.

    Args:
        recipient: Answers; neither model is changed.
        donor: Is run on the same prompts.
        rows: Prompts with their answers; each must have every role.
        sites: A site with a head is that head alone.
        roles: Tokens at which an activation is replaced, one at a time.
        seed: Fixes the random changes.

    Returns:
        Of a part, written `resid_post.1@alias_last` or `z.0.3@alias_last`, two tables with a row
        for each prompt and columns `exact_match, answer_log_prob`: the donor's, and the control.
    """
    theirs = collect_activations(donor, rows, sites=sites, roles=roles)
    own = collect_activations(recipient, rows, sites=sites, roles=roles)
    answers = {}
    for site in sites:
        for role in roles:
            name = activation_part(site, role)
            there, here = (torch.from_numpy(a.at(site, role)) for a in (theirs, own))
            generator = torch.Generator().manual_seed(derive_seed(seed, f"transplant/{name}"))
            noise = torch.randn(here.shape, generator=generator)
            distance = (there - here).norm(dim=1, keepdim=True)
            random = here + noise * distance / noise.norm(dim=1, keepdim=True)
            answers[name] = (
                patched_answers(recipient, rows, site, role, there),
                patched_answers(recipient, rows, site, role, random),
            )
    return answers


def activation_part(site: Site, role: TokenRole) -> str:
    """How a site at a role is called in the tables."""
    head = "" if site.head is None else f".{site.head}"
    return f"{site.name}.{site.layer}{head}@{role}"


def patched_answers(
    model: HookedModel,
    rows: Sequence[TokenizedRow],
    site: Site,
    role: TokenRole,
    values: Float[Tensor, "row width"],
) -> pd.DataFrame:
    """Exact match and log-probability (nats) of each answer with other values at a site and role.

    Args:
        model: Is not changed.
        rows: Prompts with their answers.
        site: Where in the model.
        role: Where in the text.
        values: What stands there instead, for each row; of a site without a head, all heads'.
    """
    check_rows(model, rows)
    measured = []
    for start in range(0, len(rows), BATCH_SIZE):
        batch = list(rows[start : start + BATCH_SIZE])
        positions = torch.tensor([role.position(row) for row in batch])
        new = values[start : start + BATCH_SIZE]

        def replace(
            activation: Tensor, hook: object, positions: Tensor = positions, new: Tensor = new
        ) -> Tensor:
            patched = activation.clone()
            each = torch.arange(len(new))
            where = (each, positions) if site.head is None else (each, positions, site.head)
            patched[where] = new.to(patched).reshape(patched[where].shape)
            return patched

        with model.hooks([(site.hook, replace)]):
            measured.append(batch_answers(model, batch))
    return pd.DataFrame(torch.cat(measured).numpy(), columns=list(ANSWER_METRICS))
