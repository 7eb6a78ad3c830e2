from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Role
from interp.hooked.activations import pad_tokens
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.ablation import Ablation, AblationKind, Reference, ablate
from interp.interventions.base import Hook, Place, answer_table

StateOf = Callable[[HookedModel], tuple[object, ...]]
SITES = [Site("z", 1, 2), Site("z", 0), Site("attn_out", 0), Site("mlp_out", 1)]
SITES += [Site("resid_post", 0)]


class Reading:
    """Keeps what a site holds, as it is after the interventions before it in the list."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.value = torch.empty(0)

    def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
        def keep(activation: Tensor, hook: torch.nn.Module) -> None:
            self.value = activation.detach().clone()

        return [(self.site.hook, keep)]


def read(model: HookedModel, rows: Sequence[TokenizedRow], ablation: Ablation) -> Tensor:
    """The ablated site in rows of one length, all columns that are run."""
    reading = Reading(ablation.site)
    answer_table(model, rows, [ablation, reading])
    if ablation.site.head is None:
        return reading.value
    return reading.value[:, :, ablation.site.head]


def plain(model: HookedModel, row: TokenizedRow, site: Site) -> Tensor:
    _, cache = model.run_with_cache(torch.tensor([row.input_ids]), [site.hook])
    value = cache[site.hook][0]
    return value if site.head is None else value[:, site.head]


def each_plain(model: HookedModel, rows: Sequence[TokenizedRow], site: Site) -> list[Tensor]:
    """The same for many rows at once."""
    _, cache = model.run_with_cache(pad_tokens([row.input_ids for row in rows]), [site.hook])
    values = cache[site.hook]
    if site.head is not None:
        values = values[:, :, site.head]
    return [value[: len(row.input_ids)] for value, row in zip(values, rows, strict=True)]


def of_length(rows: Sequence[TokenizedRow], length: int) -> list[TokenizedRow]:
    return [row for row in rows if len(row.input_ids) == length]


@pytest.mark.parametrize("site", SITES, ids=str)
def test_zero_leaves_nothing_at_the_site(
    any_model: HookedModel, word_prompts: list[TokenizedRow], site: Site
):
    rows = of_length(word_prompts, 8)

    assert (read(any_model, rows, ablate(any_model, site, "zero")) == 0).all()


def test_zero_of_a_head_leaves_the_others(neox: HookedModel, word_prompts: list[TokenizedRow]):
    rows, site = of_length(word_prompts, 8)[:1], Site("z", 1, 2)
    reading = Reading(site)

    answer_table(neox, rows, [ablate(neox, site, "zero"), reading])

    others = [0, 1, 3]
    expected = plain(neox, rows[0], Site("z", 1))[:-1, others]
    torch.testing.assert_close(reading.value[0][:, others], expected)


def test_zero_of_a_head_takes_its_part_out_of_the_residual_stream(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    row, out = word_prompts[0], Site("attn_out", 1)
    head = plain(any_model, row, Site("z", 1, 3)) @ any_model.bridge.blocks[1].attn.W_O[3]
    reading = Reading(out)

    answer_table(any_model, [row], [ablate(any_model, Site("z", 1, 3), "zero"), reading])

    expected = plain(any_model, row, out) - head.detach()
    torch.testing.assert_close(reading.value[0], expected[:-1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("site", SITES, ids=str)
def test_mean_is_over_reference_tokens_of_the_same_meaning(
    any_model: HookedModel, word_prompts: list[TokenizedRow], site: Site
):
    rows = of_length(word_prompts, 8)
    values = each_plain(any_model, word_prompts, site)
    expected = torch.stack(
        [torch.stack([value[p] for value in values if len(value) > p]).mean(0) for p in range(7)]
    )

    found = read(any_model, rows, ablate(any_model, site, "mean", reference=word_prompts))

    for row in found:
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)


def test_a_role_is_replaced_by_its_mean_wherever_it_stands(
    neox: HookedModel, toy_rows: Callable[..., list[TokenizedRow]]
):
    """Of an alias of two tokens each has its own mean, and nothing else is touched."""
    rows = [row for row in toy_rows() if row.row.is_evaluated and row.row.alias is not None]
    rows, others = rows[:4], rows[4:12]
    small = _tokens_within(neox, [*rows, *others])
    rows, others = small[:4], small[4:]
    site = Site("mlp_out", 0)
    start, stop = rows[0].spans[Role.ALIAS]

    ablation = ablate(neox, site, "mean", places=[Role.ALIAS], reference=others)
    found = read(neox, rows, ablation)

    for i, row in enumerate(rows):
        before = plain(neox, row, site)
        for position in range(found.shape[1]):
            expected = before[position]
            if start <= position <= stop:
                values = [plain(neox, other, site)[position] for other in others]
                expected = torch.stack(values).mean(0)
            torch.testing.assert_close(found[i, position], expected, atol=1e-5, rtol=1e-5)


def _tokens_within(model: HookedModel, rows: list[TokenizedRow]) -> list[TokenizedRow]:
    """Rows with token ids folded into the tiny model's vocabulary."""
    return [
        replace(row, input_ids=tuple(token % model.d_vocab for token in row.input_ids))
        for row in rows
    ]


@pytest.mark.parametrize("site", SITES, ids=str)
def test_resampled_values_are_those_of_other_rows_at_the_same_token(
    any_model: HookedModel, word_prompts: list[TokenizedRow], site: Site
):
    rows = of_length(word_prompts, 8)
    ablation = ablate(any_model, site, "resample", reference=word_prompts)

    found = read(any_model, rows, ablation)

    every = each_plain(any_model, word_prompts, site)
    for i, row in enumerate(rows):
        others = [v for v, r in zip(every, word_prompts, strict=True) if r is not row]
        for p in range(7):
            values = torch.stack([value[p] for value in others if len(value) > p])
            distances = (values - found[i, p]).flatten(1).norm(dim=1)
            assert distances.min() < 1e-4


def test_every_other_row_is_drawn_equally_often(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    site, places, row = Site("resid_post", 1), (TokenRole.PROMPT_LAST,), word_prompts[0]
    every = each_plain(neox, word_prompts, site)
    values = torch.stack([value[-2] for value in every])
    ablation = ablate(neox, site, "resample", places=places, reference=word_prompts)

    found = read(neox, [row] * 400, ablation)[:, -1]

    nearest = torch.cdist(found, values).argmin(1)
    counts = np.bincount(nearest, minlength=9)
    assert counts[0] == 0
    chi_square = ((counts[1:] - 50) ** 2 / 50).sum()
    assert chi_square < 24.3  # p = .001 at 7 degrees of freedom


def test_a_seed_draws_the_same_and_another_seed_others(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    site = Site("resid_post", 0)
    first, again, other = (
        answer_table(
            neox, word_prompts, [ablate(neox, site, "resample", reference=word_prompts, seed=s)]
        )["answer_log_prob"]
        for s in (0, 0, 1)
    )

    assert first.equals(again)
    assert not np.allclose(first, other)


def test_replacing_a_state_by_its_own_value_changes_nothing(
    any_model: HookedModel, word_prompts: list[TokenizedRow]
):
    """The mean over one row is that row's own value."""
    before = answer_table(any_model, word_prompts)
    for row, expected in zip(word_prompts, before["answer_log_prob"], strict=True):
        for site in SITES:
            ablation = ablate(any_model, site, "mean", reference=[row])
            found = answer_table(any_model, [row], [ablation])["answer_log_prob"].item()
            assert found == pytest.approx(expected, abs=1e-5)


def test_nothing_is_left_behind_by_an_ablation_or_an_interrupt(
    any_model: HookedModel, word_prompts: list[TokenizedRow], state_of: StateOf
):
    class Interrupting:
        def hooks(self, rows: Sequence[TokenizedRow]) -> list[Hook]:
            def fail(activation: Tensor, hook: torch.nn.Module) -> None:
                raise KeyboardInterrupt

            return [(Site("resid_post", 1).hook, fail)]

    before = state_of(any_model)
    for kind in AblationKind:
        ablation = ablate(any_model, Site("z", 0, 1), kind, reference=word_prompts)
        answer_table(any_model, word_prompts, [ablation])
        with pytest.raises(KeyboardInterrupt):
            answer_table(any_model, word_prompts, [ablation, Interrupting()])

    assert state_of(any_model) == before


@pytest.mark.parametrize(
    ("site", "places", "reference", "message"),
    [
        pytest.param(Site("z", 0, 4), (), 9, "no head 4 at z of layer 0, which has 4", id="head"),
        pytest.param(
            Site("mlp_out", 0, 1),
            (),
            9,
            "one vector for all heads; give no head",
            id="no head site",
        ),
        pytest.param(Site("mlp_out", 7), (), 9, "no layer 7 in a model of 2", id="layer"),
        pytest.param(Site("mlp_out", 0), (), 0, "reference rows", id="no reference"),
        pytest.param(Site("mlp_out", 0), (Role.TAG,), 9, "has no tag", id="no role"),
    ],
)
def test_what_cannot_be_ablated_is_said(
    neox: HookedModel,
    word_prompts: list[TokenizedRow],
    site: Site,
    places: tuple[Place, ...],
    reference: int,
    message: str,
):
    with pytest.raises(InputError, match=message):
        ablate(neox, site, "mean", places=places, reference=word_prompts[:reference])


def test_a_row_unlike_all_reference_rows_is_said(
    neox: HookedModel, word_prompts: list[TokenizedRow]
):
    short = of_length(word_prompts, 3)
    ablation = ablate(neox, Site("mlp_out", 0), "mean", reference=short)
    with pytest.raises(InputError, match="token like number 3"):
        answer_table(neox, of_length(word_prompts, 8), [ablation])
    one = short[:1]
    with pytest.raises(InputError, match="no row but"):
        answer_table(neox, one, [ablate(neox, Site("mlp_out", 0), "resample", reference=one)])
    reference = Reference.of(neox, short, [Site("mlp_out", 0)])
    with pytest.raises(InputError, match="other places"):
        Ablation(
            site=Site("mlp_out", 0),
            kind=AblationKind.MEAN,
            places=(Role.ALIAS,),
            reference=reference,
        )
    with pytest.raises(InputError, match="needs its values"):
        Ablation(site=Site("mlp_out", 1), kind=AblationKind.MEAN, reference=reference)
