"""What is patched equals one pass a cell and pair, of tags too."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.pairs import PairKind, PromptPair
from interp.hooked.addresses import Site
from interp.hooked.model import HookedModel
from interp.patching.analysis import Direction, patch_pairs
from interp.patching.pair_batches import batch_pairs

# ---- equal to a slow reference ---------------------------------------------------------------


def patched_by_hook(
    model: HookedModel, base: Tensor, donor: Tensor, site: Site, mask: Tensor
) -> Tensor:
    """All logits of one prompt in which one site holds what another prompt's holds."""
    _, cache = model.run_with_cache(donor, [site.hook])

    def patch(activation: Tensor, hook: torch.nn.Module) -> Tensor:
        edited = activation.clone()
        head = slice(None) if site.head is None else site.head
        edited[:, mask, head] = cache[site.hook][:, mask, head]
        return edited

    with model.hooks([(site.hook, patch)]):
        return model.logits(base)[0]


@pytest.mark.parametrize("direction", list(Direction))
def test_effect_and_control_are_those_of_one_pass_a_cell_and_pair(
    neox: HookedModel, word_pairs: list[PromptPair], direction: Direction
):
    """Pairs of four shapes; the one that is alone of its shape has no control."""
    sites, role = [Site("z", 0, 3), Site("v", 0, 1), Site("resid_pre", 1)], "question_first"
    parts: dict[str, list[list[float]]] = {name: [] for name in ("ends", "patched", "control")}
    for batch in batch_pairs(word_pairs, [role]):
        tokens = {Direction.DENOISE: (batch.corrupted, batch.clean)}.get(
            direction, (batch.clean, batch.corrupted)
        )
        n = len(batch.foils)
        for i in range(n):

            def read(logits: Tensor, i: int = i, batch: Any = batch) -> float:
                first = logits[-batch.kept]
                return (first[batch.answers[i, 0]] - first[batch.foils[i]]).item()

            j = i if batch.others is None else int(batch.others[i])
            base, donor, other = tokens[0][[i]], tokens[1][[i]], tokens[1][[j]]
            mask = batch.masks[0, i]
            parts["ends"].append([read(neox.logits(base)[0]), read(neox.logits(donor)[0])])
            for name, giver in (("patched", donor), ("control", other)):
                parts[name].append(
                    [read(patched_by_hook(neox, base, giver, site, mask)) for site in sites]
                )
                if name == "control" and n == 1:
                    parts[name][-1] = [np.nan] * len(sites)
    ends, patched, control = (np.array(values) for values in parts.values())
    has_control = ~np.isnan(control).any(1)
    assert has_control.sum() == 7

    table = patch_pairs(neox, word_pairs, sites=sites, roles=[role], directions=[direction])

    gap = (ends[:, 1] - ends[:, 0]).mean()
    expected = (patched - ends[:, :1]).mean(0) / gap
    np.testing.assert_allclose(table["effect"], expected, rtol=1e-4, atol=1e-5)
    gap = (ends[:, 1] - ends[:, 0])[has_control].mean()
    expected = (control - ends[:, :1])[has_control].mean(0) / gap
    np.testing.assert_allclose(table["control"], expected, rtol=1e-4, atol=1e-5)


def test_noising_is_denoising_of_the_pairs_turned_round(
    neox: HookedModel, word_pairs: list[PromptPair]
):
    """Of answers of one word, where both prompts end alike."""
    pairs = [pair for pair in word_pairs if len(pair.clean.answer_positions) == 1]
    turned = [replace(pair, clean=pair.corrupted, corrupted=pair.clean) for pair in pairs]

    noised = patch_pairs(neox, pairs, directions=[Direction.NOISE])
    denoised = patch_pairs(neox, turned, directions=[Direction.DENOISE])

    for column in ("effect", "attribution", "control"):
        np.testing.assert_allclose(noised[column], denoised[column], rtol=1e-3, atol=1e-5)


# ---- tags ------------------------------------------------------------------------------------


def tag_pairs(circuit: Any, word_pair: Callable[..., PromptPair]) -> list[PromptPair]:
    """`w16` is each clean prompt's tag, `w19` the other; the tag's place is called `question`."""
    pairs = []
    for i, pair in enumerate(circuit.pairs):
        clean = pair.clean.row.rendered.text
        foil = circuit.pairs[(i + 3) % len(circuit.pairs)].clean.row.rendered.answer
        other = " ".join(["w19", *clean.split()[1:-1], foil])
        both = word_pair(clean, other, alias=(1, 1), question=(0, 0), answerable=False)
        pairs.append(replace(both, kind=PairKind.TAG))
    return pairs


def test_a_tag_that_matters_and_one_that_does_not_are_told_apart(
    planted_circuit: Callable[..., Any], word_pair: Callable[..., PromptPair]
):
    """Where the tag stands, the old control, another alias with the other tag, is the effect."""
    tables = {}
    for decoy in (19, None):
        circuit = planted_circuit(first_head=1, second_head=2, decoy=decoy, noise=0.01)
        pairs = tag_pairs(circuit, word_pair)
        tables[decoy] = patch_pairs(
            circuit.model,
            pairs,
            sites=[Site("resid_pre", 0), Site("resid_pre", 1)],
            roles=["question_last", "alias_last", "all"],
        )

    cell = ["site", "layer", "role", "direction"]
    mattering, void = (table.set_index(cell) for table in tables.values())
    gap = mattering["gap"].iloc[0]
    assert gap > 5
    assert mattering["gap"].to_numpy() == pytest.approx(gap, rel=1e-4)
    # Of the tag that does nothing every effect is nothing, also where patching swaps the tag.
    specific = void["other_tag"] - void["control"]
    assert max(void["effect"].abs().max(), specific.abs().max()) < 0.01 * gap
    for direction in Direction:
        at_tag = mattering.loc["resid_pre", 0, "question_last", direction]
        assert at_tag["effect"] == pytest.approx(gap, rel=1e-4)
        assert at_tag["other_tag"] == pytest.approx(gap, rel=1e-4)
        assert at_tag["control"] == pytest.approx(0, abs=1e-4)
        everything = mattering.loc["resid_pre", 1, "all", direction]
        assert everything["effect"] == pytest.approx(gap, rel=1e-4)


def test_the_control_of_a_tag_is_another_alias_with_the_bases_own_tag(
    planted_circuit: Callable[..., Any], word_pair: Callable[..., PromptPair]
):
    circuit = planted_circuit(first_head=1, second_head=2, decoy=19)
    pairs, site = tag_pairs(circuit, word_pair), Site("resid_pre", 1)
    (batch,) = batch_pairs(pairs, ["alias_last"])
    assert batch.others is not None
    values = {"base": [], "donor": [], "control": [], "other_tag": []}
    for i, j in enumerate(batch.others.tolist()):

        def read(logits: Tensor, i: int = i) -> float:
            return (logits[-1, batch.answers[i, 0]] - logits[-1, batch.foils[i]]).item()

        base, mask = batch.clean[[i]], batch.masks[0, i]
        values["base"].append(read(circuit.model.logits(base)[0]))
        values["donor"].append(read(circuit.model.logits(batch.corrupted[[i]])[0]))
        for name, donors in (("control", batch.clean), ("other_tag", batch.corrupted)):
            logits = patched_by_hook(circuit.model, base, donors[[j]], site, mask)
            values[name].append(read(logits))

    row = patch_pairs(
        circuit.model, pairs, sites=[site], roles=["alias_last"], directions=[Direction.NOISE]
    ).iloc[0]

    means = {name: np.mean(each) for name, each in values.items()}
    assert row["gap"] == pytest.approx(means["base"] - means["donor"], rel=1e-4)
    for name in ("control", "other_tag"):
        assert row[name] == pytest.approx(means["base"] - means[name], rel=1e-3)
