from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import InputError
from data.pairs import PromptPair
from interp.hooked.addresses import HEAD_SITES, SITE_HOOKS, Site
from interp.hooked.model import HookedModel
from interp.patching.cells import Cells, grid_cells, patched_metrics
from interp.patching.pair_batches import PairBatch, PatchMetric, batch_pairs, read_metrics
from interp.patching.unrolled import UnrolledModel

StateOf = Callable[[HookedModel], tuple[object, ...]]
WordPair = Callable[..., PromptPair]
NAMES = ["neox", "neox-sequential", "gpt2", "gpt-neo", "llama"]
ROLES = ["alias_first", "alias_last", "question_last", "prompt_last", "all"]
METRICS = [PatchMetric.LOGIT_DIFF, PatchMetric.ANSWER_LOG_PROB]
PLACES = ["attn_head_out_by_pos", "resid_pre", "attn_out", "mlp_out"]


@pytest.fixture(scope="module", params=NAMES)
def both(
    request: pytest.FixtureRequest, random_model: Callable[[str], PreTrainedModel]
) -> tuple[HookedModel, HookedModel]:
    """One model in single and in double precision."""
    name: str = request.param
    single, double = random_model(name), random_model(name).double()
    return HookedModel.from_hf(single), HookedModel.from_hf(double)


def exact(
    model: HookedModel,
    batch: PairBatch,
    sites: Sequence[Site],
    metrics: Sequence[PatchMetric] = METRICS,
) -> dict[tuple[Site, int], Tensor]:
    """What the patches under test say, of clean into corrupted: `[metric, pair]` by cell."""
    unrolled = UnrolledModel(model)
    with torch.no_grad():
        base, donor = unrolled.trace(batch.corrupted), unrolled.trace(batch.clean)
    found = {}
    for cells in grid_cells(unrolled, sites, len(batch.roles)):
        values = patched_metrics(unrolled, batch, cells, base=base, donor=donor, metrics=metrics)
        for role in range(len(batch.roles)):
            for place, head in enumerate(cells.heads):
                site = Site(cells.site.name, cells.site.layer, head)
                found[site, role] = values[role, place]
    return found


def donors(model: HookedModel, batch: PairBatch) -> dict[str, Tensor]:
    """What the clean prompts hold at every site, and the corrupted ones in the middle."""
    hooks = [hook.format(layer=i) for hook in SITE_HOOKS.values() for i in range(model.n_layers)]
    live = [hook for hook in hooks if hook in model.live_hooks]
    _, found = model.run_with_cache(batch.clean, live)
    middle = [hook for hook in live if "resid_mid" in hook]
    here = model.run_with_cache(batch.corrupted, middle)[1] if middle else {}
    return found | {hook: found[hook] - here[hook] for hook in middle}


def one_by_one(
    model: HookedModel, batch: PairBatch, site: Site, role: int, donors: dict[str, Tensor]
) -> Tensor:
    """The logits of a whole pass with one activation replaced by a hook.

    TransformerLens's middle of a block is what its MLP reads, so that an edit there would leave
    the stream as it was: it is made by what attention adds.
    """
    place, is_middle = batch.masks[role], site.name == "resid_mid"

    def patch(activation: Tensor, hook: torch.nn.Module) -> Tensor:
        edited = activation.clone()
        here, there = edited, donors[site.hook]
        if site.head is not None:
            here, there = edited[:, :, site.head], there[:, :, site.head]
        here[place] = here[place] + there[place] if is_middle else there[place]
        return edited

    hook = Site("attn_out", site.layer).hook if is_middle else site.hook
    with model.hooks([(hook, patch)]):
        return model.logits(batch.corrupted)[:, -batch.kept :]


def by_hand(logits: Tensor, batch: PairBatch) -> Tensor:
    """Logit difference and log-probability: `[metric, pair]`."""
    pairs, places = torch.arange(len(batch.foils)), torch.arange(batch.kept)
    first = logits[:, 0]
    difference = first[pairs, batch.answers[:, 0]] - first[pairs, batch.foils]
    log_probs = logits.log_softmax(-1)[pairs[:, None], places, batch.answers]
    return torch.stack([difference, log_probs.sum(1)])


def cells_of(model: HookedModel, batch: PairBatch) -> Iterator[tuple[Site, int]]:
    unrolled = UnrolledModel(model)
    for name, hook in SITE_HOOKS.items():
        for layer in range(model.n_layers):
            if hook.format(layer=layer) not in model.live_hooks:
                continue
            heads = range(unrolled.n_heads_at(name)) if name in HEAD_SITES else [None]
            for head in heads:
                yield from ((Site(name, layer, head), role) for role in range(len(batch.roles)))


# ---- equal to slow references ----------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [2, *(pytest.param(i, marks=pytest.mark.slow) for i in (0, 1, 3))]
)
def test_every_patch_equals_a_hooked_pass_of_its_own_in_double_precision(
    both: tuple[HookedModel, HookedModel], word_pairs: list[PromptPair], shape: int
):
    """Roles at different positions of each prompt, every site, every head."""
    single, double = both
    batch = batch_pairs(word_pairs, ["alias_last", "prompt_last", "all"])[shape]
    there = donors(double, batch)
    expected = {
        (site, role): by_hand(one_by_one(double, batch, site, role, there), batch)
        for site, role in cells_of(double, batch)
    }
    sites = list(dict.fromkeys(Site(site.name, site.layer) for site, _ in expected))

    found = exact(single, batch, sites)

    assert found.keys() == expected.keys()
    for cell, values in expected.items():
        torch.testing.assert_close(found[cell], values, rtol=1e-5, atol=5e-5, check_dtype=False)
    base = by_hand(double.logits(batch.corrupted)[:, -batch.kept :], batch)
    n_moved = sum(not torch.allclose(values, base) for values in expected.values())
    assert n_moved > len(expected) / 2, "patches that change nothing test nothing"


@pytest.mark.parametrize("n_pairs", [1, 40])
def test_many_pairs_and_a_single_one_are_patched_alike(
    neox: HookedModel, word_pair: WordPair, n_pairs: int
):
    """More pairs than go through the model in one pass, and a single one."""
    pairs = [
        word_pair(f"w{i % 31} w3 w5 w{i % 7} w{i % 11} w1", f"w{i % 29} w{i % 5} w4 w2 w9 w0",
                  alias=(i % 2, i % 3 + 2), question=(0, i % 5))
        for i in range(n_pairs)
    ]  # fmt: skip
    sites = [Site("resid_pre", 1), Site("z", 0), Site("k", 0), Site("mlp_out", 0)]
    (batch,) = batch_pairs(pairs, ["alias_first", "question_last", "all"])
    there = donors(neox, batch)

    for (site, role), found in exact(neox, batch, sites).items():
        expected = by_hand(one_by_one(neox, batch, site, role, there), batch)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("place", PLACES)
def test_a_grid_equals_the_sweep_of_transformer_lens(
    random_model: Callable[[str], PreTrainedModel], word_pair: WordPair, place: str
):
    from transformer_lens import patching

    model, site = HookedModel.from_hf(random_model("neox")), PLACES.index(place)
    texts = [("w1 w2 w3 w4 w5", "w6 w7 w8 w9 w10"), ("w11 w12 w13 w14 w15", "w1 w3 w5 w7 w9")]
    (batch,) = batch_pairs([word_pair(*each) for each in texts], ["all"])
    at_position = torch.eye(4, dtype=torch.bool)[:, None].expand(-1, 2, -1)
    batch = PairBatch(**{**vars(batch), "roles": tuple("0123"), "masks": at_position})

    def metric(logits: Tensor) -> Tensor:
        return by_hand(logits[:, -1:], batch)[0].mean()

    _, cache = model.bridge.run_with_cache(batch.clean)
    sweep = getattr(patching, f"get_act_patch_{place}")
    with torch.no_grad():
        theirs = sweep(model.bridge, batch.corrupted, cache, metric)

    name = ["z", "resid_pre", "attn_out", "mlp_out"][site]
    ours = exact(model, batch, [Site(name, layer) for layer in range(2)])
    grid = torch.tensor([values[0].mean() for values in ours.values()]).view(theirs.shape)
    base = metric(model.logits(batch.corrupted))
    assert (theirs - base).abs().max() > 0.1
    assert (grid - theirs).norm() < 1e-5 * (theirs - base).norm()


# ---- identities ------------------------------------------------------------------------------


def test_a_donor_that_is_the_base_changes_nothing(
    any_model: HookedModel, word_pairs: list[PromptPair]
):
    unrolled = UnrolledModel(any_model)
    for batch in batch_pairs(word_pairs, ROLES):
        with torch.no_grad():
            base = unrolled.trace(batch.corrupted)
            before = read_metrics(
                unrolled.logits(base["resid_pre"][-1][:, -batch.kept :]), batch, METRICS
            )
        sites = dict.fromkeys(Site(s.name, s.layer) for s, _ in cells_of(any_model, batch))
        for cells in grid_cells(unrolled, list(sites), len(ROLES)):
            after = patched_metrics(unrolled, batch, cells, base=base, donor=base, metrics=METRICS)
            assert torch.allclose(after, before.expand_as(after), rtol=0, atol=2e-5), cells


def test_everything_patched_is_the_donor(any_model: HookedModel, word_pairs: list[PromptPair]):
    last = any_model.n_layers - 1
    everything = [Site("resid_pre", 0), Site("resid_post", 0), Site("resid_post", last)]
    for batch in batch_pairs(word_pairs, ["all"]):
        donor = by_hand(any_model.logits(batch.clean)[:, -batch.kept :], batch)
        for values in exact(any_model, batch, everything).values():
            assert torch.allclose(values, donor, rtol=1e-5, atol=3e-5)


def test_nothing_before_the_read_position_counts_in_the_last_block(
    any_model: HookedModel, word_pairs: list[PromptPair]
):
    last = any_model.n_layers - 1
    sites = [Site(name, last) for name in ("q", "z", "attn_out", "mlp_out", "resid_post")]
    batch = batch_pairs(word_pairs, ["alias_first"])[3]
    base = by_hand(any_model.logits(batch.corrupted)[:, -1:], batch)

    for values in exact(any_model, batch, sites).values():
        assert torch.allclose(values, base, rtol=1e-5, atol=3e-5)


# ---- which cells -----------------------------------------------------------------------------


def test_a_head_site_without_a_head_has_all_of_them(any_model: HookedModel):
    unrolled = UnrolledModel(any_model)
    n_kv = any_model.bridge.blocks[0].attn.W_K.shape[0]
    cells = grid_cells(
        unrolled, [Site("z", 1), Site("k", 0), Site("z", 0, 2), Site("mlp_out", 1)], 3
    )

    assert cells == [
        Cells(site=Site("z", 1), heads=(0, 1, 2, 3), roles=(0, 1, 2)),
        Cells(site=Site("k", 0), heads=tuple(range(n_kv)), roles=(0, 1, 2)),
        Cells(site=Site("z", 0), heads=(2,), roles=(0, 1, 2)),
        Cells(site=Site("mlp_out", 1), heads=(None,), roles=(0, 1, 2)),
    ]


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (Site("z", 2), "no layer 2 in a model of 2; choose from 0 to 1"),
        (Site("resid_pre", -1), "no layer -1 in a model of 2; choose from 0 to 1"),
        (Site("q", 0, 4), "no head 4 at q of layer 0, which has 4; choose from 0 to 3"),
        (Site("z", 1, -1), "no head -1 at z of layer 1, which has 4; choose from 0 to 3"),
        (Site("mlp_out", 0, 1), "mlp_out has one vector for all heads; give no head"),
        (Site("resid_mid", 0), "has no resid_mid at layer 0 .* choose another site"),
    ],
)
def test_a_cell_that_the_model_lacks_is_refused(neox: HookedModel, site: Site, message: str):
    with pytest.raises(InputError, match=message):
        grid_cells(UnrolledModel(neox), [site], 1)


def test_a_key_head_that_several_queries_share_is_one_head(
    random_model: Callable[[str], PreTrainedModel],
):
    llama = UnrolledModel(HookedModel.from_hf(random_model("llama")))

    with pytest.raises(
        InputError, match="no head 2 at v of layer 0, which has 2; choose from 0 to 1"
    ):
        grid_cells(llama, [Site("v", 0, 2)], 1)


# ---- side effects and precision --------------------------------------------------------------


def test_metrics_of_a_coarse_model_are_not_rounded_again(
    random_model: Callable[[str], PreTrainedModel], word_pairs: list[PromptPair]
):
    coarse = HookedModel.from_hf(random_model("neox").bfloat16())
    batch = batch_pairs(word_pairs, ["all"])[1]

    (values,) = exact(
        coarse, batch, [Site("resid_post", 1)], [PatchMetric.ANSWER_LOG_PROB]
    ).values()

    assert values.dtype == torch.float32
    assert not torch.equal(values, values.bfloat16().float())


def test_nothing_is_left_behind_by_patches_that_end_or_break_off(
    any_model: HookedModel,
    word_pairs: list[PromptPair],
    state_of: StateOf,
    monkeypatch: pytest.MonkeyPatch,
):
    batch, sites = batch_pairs(word_pairs, ROLES)[1], [Site("z", 0), Site("v", 1)]
    before = state_of(any_model)
    exact(any_model, batch, sites)
    assert state_of(any_model) == before

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("interp.patching.cells.read_metrics", stop)
    with pytest.raises(KeyboardInterrupt):
        exact(any_model, batch, sites)
    assert state_of(any_model) == before
