"""One path for every architecture: prompts to models from elsewhere, random or trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedTokenizerFast,
)

from data.rows import Row, prompt_row
from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import Role
from interp.hooked.activations import collect_activations
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked_folder
from interp.hooked.sites import choose_sites
from interp.lenses import analysis as lenses
from interp.lenses.analysis import lens_log_probs, read_lens, token_quantities, train_tuned_lens
from interp.lenses.attribution import attribute_logits
from interp.probes.held_out import HeldOutReading, read_held_out

REAL = Path(__file__).parents[2].parent / "shared" / "data"
PYTHIA, TOKENIZER = (
    REAL / "pythia_configs" / "hf_configs.json",
    REAL / "tokenizers" / "20B_tokenizer.json",
)
TRAINED = [
    pytest.param(
        REAL / "models" / name,
        id=name,
        marks=pytest.mark.skipif(
            not (REAL / "models" / name).is_dir(), reason="the pretrained model is not here"
        ),
    )
    for name in ("stories-260k", "tinystories-656k")
]
needs_pythia = pytest.mark.skipif(
    not (PYTHIA.is_file() and TOKENIZER.is_file()), reason="Pythia's files are not here"
)

GIRLS = [
    "Lily",
    "Sue",
    "Mia",
    "Anna",
    "Sara",
    "Lucy",
    "Amy",
    "Emma",
    "Jane",
    "Molly",
    "Daisy",
    "Jenny",
    "Mary",
    "Lisa",
    "Ella",
    "Lola",
]
BOYS = [
    "Tim",
    "Tom",
    "Ben",
    "Max",
    "Jack",
    "Sam",
    "Bob",
    "Timmy",
    "Leo",
    "Joe",
    "Billy",
    "Mark",
    "Fred",
    "Tommy",
    "Peter",
    "John",
]
TEMPLATES = (
    "One day, {name} went to the park.",
    "{name} had a big red ball.",
    "{name} saw a dog in the garden.",
    "Once upon a time, {name} was very happy.",
    "{name} liked to play outside.",
)


def use_every_tool(
    model: HookedModel, rows: list[TokenizedRow], monkeypatch: pytest.MonkeyPatch
) -> HeldOutReading:
    """Activations, lens, tuned lens, attribution and a probe of random labels."""
    monkeypatch.setattr(lenses, "TUNED_STEPS", 3)
    sites = [*choose_sites(model), Site("attn_out", 0), Site("z", 0, 1)]
    kept = collect_activations(model, rows, sites=sites, roles=[TokenRole.PROMPT_LAST])
    stream = collect_activations(
        model, rows, sites=choose_sites(model), roles=[TokenRole.PROMPT_LAST]
    )
    quantities = token_quantities(rows, rows, seed=0)
    translators = train_tuned_lens(model, rows, choose_sites(model), seed=0)
    for lens in (None, translators):
        table = read_lens(model, stream, quantities, translators=lens)
        assert len(table) == len(rows) * len(choose_sites(model))
        assert table["rank"].between(1, model.d_vocab).all()
    parts = attribute_logits(model, rows)
    assert set(parts["row"]) == set(range(len(rows)))
    features = kept.at(sites[-3], TokenRole.PROMPT_LAST)
    labels = np.arange(len(rows)) % 2
    return read_held_out(
        features,
        labels,
        np.arange(len(rows)),
        n_permutations=9,
        inverse_penalties=(1e-2,),
        rng=np.random.default_rng(0),
    )


def check_last_layer(model: HookedModel, rows: list[TokenizedRow]) -> None:
    """The lens at the last layer is the model."""
    last = Site("resid_post", model.n_layers - 1)
    kept = collect_activations(model, rows, sites=[last], roles=[TokenRole.PROMPT_LAST])
    read = lens_log_probs(model, torch.from_numpy(kept.at(last, TokenRole.PROMPT_LAST)))
    for i, row in enumerate(rows[:3]):
        prompt = torch.tensor([row.input_ids[: row.answer_positions[0]]])
        expected = model.logits(prompt)[0, -1].log_softmax(-1)
        assert read[i].numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_every_tool_runs_on_every_architecture(
    any_model: HookedModel, word_prompts: list[TokenizedRow], monkeypatch: pytest.MonkeyPatch
):
    reading = use_every_tool(any_model, word_prompts * 2, monkeypatch)

    assert 0 <= reading.accuracy <= 1
    check_last_layer(any_model, word_prompts)


def prompt(name: str, template: str) -> Row:
    """A prompt about a name, to be answered with a word that says nothing about it."""
    text = template.format(name=name) + " They"
    start = text.index(name)
    span = (start, start + len(name))
    return prompt_row(f"{name}/{template}", text, "They", spans={Role.ENTITY: span})


@pytest.fixture(scope="module")
def pythia() -> HookedModel:
    config = GPTNeoXConfig(**json.loads(PYTHIA.read_text())["pythia-14m"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return HookedModel.from_hf(GPTNeoXForCausalLM(config).eval())


@needs_pythia
def test_every_tool_runs_on_a_random_pythia_with_its_tokenizer(
    pythia: HookedModel, monkeypatch: pytest.MonkeyPatch
):
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER))
    rows = tokenize_rows([prompt(name, TEMPLATES[0]) for name in GIRLS[:6] + BOYS[:6]], tokenizer)
    reading = use_every_tool(pythia, rows, monkeypatch)

    assert reading.n_train + reading.n_test == 12
    check_last_layer(pythia, rows)


@needs_pythia
def test_a_name_of_several_tokens_has_a_first_and_a_last():
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER))
    (row,) = tokenize_rows([prompt("Nebuchadnezzar", TEMPLATES[1])], tokenizer)
    first, last = (role.position(row) for role in (TokenRole.ENTITY_FIRST, TokenRole.ENTITY_LAST))

    assert first == 0 < last
    name = tokenizer.decode(list(row.input_ids[: last + 1]))
    assert name == "Nebuchadnezzar"


@needs_pythia
def test_an_end_token_that_stands_for_the_unknown_may_be_in_a_prompt():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(TOKENIZER),
        unk_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        bos_token="<|endoftext|>",
    )
    (row,) = tokenize_rows([prompt_row("one", "<|endoftext|>One day", " day")], tokenizer)

    assert row.input_ids[0] == tokenizer.eos_token_id
    assert row.answer_positions == (2,)


# ---- a true feature of text in models trained on stories -------------------------------------


def names_read_at_the_end(
    model: HookedModel, site: Site, names: list[str], labels: list[int], *, group: str
) -> HeldOutReading:
    """How well labels of names are read at the prompt's end, names or templates held out."""
    rows = [prompt(name, template) for name in names for template in TEMPLATES]
    tokenizer = model.tokenizer
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    tokenized = tokenize_rows(rows, tokenizer)
    for row in tokenized:
        assert TokenRole.PROMPT_LAST.position(row) > TokenRole.ENTITY_LAST.position(row)
    kept = collect_activations(model, tokenized, sites=[site], roles=[TokenRole.PROMPT_LAST])
    n_templates = len(TEMPLATES)
    by_name = np.repeat(np.arange(len(names)), n_templates)
    return read_held_out(
        kept.at(site, TokenRole.PROMPT_LAST),
        np.repeat(labels, n_templates),
        by_name if group == "name" else np.tile(np.arange(n_templates), len(names)),
        n_permutations=99,
        inverse_penalties=(1e-2,),
        rng=np.random.default_rng(0),
    )


@pytest.mark.parametrize("folder", TRAINED)
@pytest.mark.parametrize("group", ["name", "template"])
def test_whether_a_story_is_about_a_girl_or_a_boy_is_read_after_the_name(folder: Path, group: str):
    model = load_hooked_folder(folder)
    labels = [0] * len(GIRLS) + [1] * len(BOYS)
    last = Site("resid_post", model.n_layers - 1)
    after = names_read_at_the_end(model, last, GIRLS + BOYS, labels, group=group)
    before = names_read_at_the_end(model, Site("resid_pre", 0), GIRLS + BOYS, labels, group=group)

    assert after.accuracy > 0.75
    assert after.p_value == 1 / 100
    assert abs(after.null_accuracy - 0.5) < 0.05
    # The token there is the same whatever the name: nothing can be read before a block has run.
    assert before.accuracy <= 0.6
    assert before.p_value > 0.05


@pytest.mark.parametrize("folder", TRAINED)
def test_which_names_were_drawn_by_chance_is_not_read(folder: Path):
    model = load_hooked_folder(folder)
    last = Site("resid_post", model.n_layers - 1)
    readings = []
    for seed in range(5):
        labels = np.random.default_rng(seed).permutation([0] * len(GIRLS) + [1] * len(BOYS))
        readings.append(
            names_read_at_the_end(model, last, GIRLS + BOYS, labels.tolist(), group="name")
        )

    assert np.mean([reading.accuracy for reading in readings]) == pytest.approx(0.5, abs=0.1)
    assert min(reading.p_value for reading in readings) > 0.01


@pytest.mark.parametrize("folder", TRAINED)
def test_every_tool_runs_on_a_trained_model(folder: Path, monkeypatch: pytest.MonkeyPatch):
    model = load_hooked_folder(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    rows = tokenize_rows(
        [prompt(name, template) for name in GIRLS[:4] + BOYS[:4] for template in TEMPLATES],
        tokenizer,
    )
    use_every_tool(model, rows, monkeypatch)
    check_last_layer(model, rows)


@pytest.mark.parametrize("folder", TRAINED[:1])
def test_the_lens_sees_the_answer_come(folder: Path):
    model = load_hooked_folder(folder)
    row = prompt_row("one", "Once upon a time there was a little girl named Lily", "Lily")
    tokenizer = model.tokenizer
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    rows = tokenize_rows([row], tokenizer)
    sites = choose_sites(model)
    kept = collect_activations(model, rows, sites=sites, roles=[TokenRole.PROMPT_LAST])
    ranks = read_lens(model, kept, token_quantities(rows, rows, seed=0))["rank"].tolist()

    assert ranks[-1] <= 3
    assert ranks[0] > 10 * ranks[-1]
