from dataclasses import replace

import numpy as np
import pytest

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.codes.aliases import CodedAliases
from interp.codes.estimation import (
    QUESTION,
    RELIABLE,
    UNRELIABLE,
    Vectors,
    code_cosine,
    estimate_codes,
    held_out_fit,
)
from interp.codes.names import named_question, needs_own, own_representations
from interp.codes.places import CodePlace
from interp.hooked.addresses import Site, TokenRole
from interp.hooked.model import HookedModel, load_hooked
from tests.interp.codes.test_estimation import alias
from training.runs.run import Run

SEED = 1000
N, WIDTH = 60, 8
PLACE = CodePlace(site=Site("resid_post", 0), role=TokenRole.ALIAS_LAST)


def one_alias_each() -> CodedAliases:
    """No entity of the last part is one of the first; false definitions name the next entity."""
    own = [f"e{i}" for i in range(3 * N + 6)]
    return CodedAliases(
        reliable=[alias(f"r{i}", "D1", own[i], own[i]) for i in range(N)],
        unreliable=[alias(f"u{i}", "D2", own[N + (i + 1) % N], own[N + i]) for i in range(N)],
        undefined=[alias(f"q{i}", "Q", None, own[2 * N + i]) for i in range(N)],
        higher=[alias(f"h{i}", "D5", own[3 * N + i], None) for i in range(3)],
        lower=[alias(f"l{i}", "D6", own[3 * N + 3 + i], None) for i in range(3)],
        baseline=[],
    )


def planted(strength: float) -> tuple[CodedAliases, Vectors, dict[str, np.ndarray]]:
    """Vectors of aliases in which linear maps of the entities' representations are written."""
    rng = np.random.default_rng(0)
    aliases = one_alias_each()
    own = rng.normal(size=(len(aliases.entities), 4))
    own = (own - own.mean(0)) / 2
    true, false, asked = (own @ rng.normal(size=(4, WIDTH)) * strength for _ in range(3))
    place = {name: i for i, name in enumerate(aliases.entities)}
    found = {}
    for each in aliases.first:
        vector = 0.1 * rng.normal(size=WIDTH) + 3.0
        if each.asked is not None:
            vector = vector + asked[place[each.asked]]
        if each.defined is not None:
            written = true if each.subset == "D1" else false
            vector = vector + written[place[each.defined]]
        found[each.name] = vector
    codes = {RELIABLE: true + asked, UNRELIABLE: false, QUESTION: asked}
    return aliases, Vectors(of=found, entities=aliases.entities, own=own), codes


def test_codes_of_entities_that_no_stage_1_alias_stands_for_come_from_their_names():
    aliases, vectors, planted_codes = planted(1.0)
    assert needs_own(aliases)
    unseen = vectors.numbers([each.entity for each in aliases.compared])
    for name, code in estimate_codes(aliases, vectors).items():
        np.testing.assert_allclose(
            code[unseen], planted_codes[name][unseen] - planted_codes[name].mean(0), atol=0.15
        )
    assert held_out_fit(aliases.reliable, vectors) > 0.9
    assert held_out_fit([*aliases.unreliable, *aliases.undefined], vectors) > 0.9


def test_where_nothing_is_written_of_entities_held_out_aliases_are_not_predicted():
    aliases, vectors, planted_codes = planted(0.0)
    assert held_out_fit(aliases.reliable, vectors) <= 0.02
    code = estimate_codes(aliases, vectors)[RELIABLE]
    reference = planted(1.0)[2][RELIABLE]
    assert abs(code_cosine(code, reference)) < 0.3
    assert not planted_codes[RELIABLE].any()


def test_too_few_aliases_are_refused():
    aliases, vectors, _ = planted(1.0)
    with pytest.raises(InputError, match="9 aliases of Stage 1 are too few"):
        held_out_fit(aliases.reliable[:9], vectors)


@pytest.fixture(scope="module")
def model(tiny_run: Run) -> HookedModel:
    return load_hooked(tiny_run, SEED, 2)


@pytest.fixture(scope="module")
def rows(tiny_run: Run) -> list[TokenizedRow]:
    return tiny_run.tokenized_rows(SEED)


def test_a_name_is_asked_about_as_an_alias_is(rows):
    row = next(each.row for each in rows if each.row.alias and each.row.kind == "qa")
    named = named_question(row, "somebody")
    rendered = named.rendered
    assert rendered.text == row.rendered.text.replace(str(row.alias), "somebody")
    assert rendered.text[slice(*rendered.spans["alias"])] == "somebody"
    assert rendered.answer == row.rendered.answer
    question = row.rendered.text[slice(*row.rendered.spans["question"])]
    assert rendered.text[slice(*rendered.spans["question"])] == question


def test_a_representation_is_the_mean_over_questions_that_name_the_entity(
    tiny_run: Run, model, rows
):
    aliases = CodedAliases.of(rows, tiny_run.design)
    assert not needs_own(aliases)  # in the toy many aliases share an entity
    own = own_representations(model, PLACE, aliases, rows)
    assert own.shape == (len(aliases.entities), model.d_model)
    np.testing.assert_allclose(own.mean(0), 0.0, atol=1e-12)
    assert (own**2).sum(1).mean() == pytest.approx(1.0)
    # By hand: up to centring and scale the stream at the name, which stands where aliases do. What
    # is asked comes behind it in the toy, so that all questions have the same vector there.
    row = next(each for each in rows if each.row.alias and each.row.kind == "qa")
    assert model.tokenizer is not None
    raw = []
    for entity in aliases.entities:
        text = named_question(row.row, entity).rendered.text
        states = collect(model, text, row.spans["alias"][1])
        raw.append(states)
    centred = np.array(raw) - np.mean(raw, axis=0)
    scale = np.sqrt((centred**2).sum(1).mean())
    np.testing.assert_allclose(own, centred / scale, atol=1e-4)


def collect(model: HookedModel, text: str, at: int) -> np.ndarray:
    tokens = model.tokenizer(text, return_tensors="pt").input_ids  # pyright: ignore[reportOptionalCall]
    _, cache = model.run_with_cache(tokens, [PLACE.hook])
    return cache[PLACE.hook][0, at].double().numpy()


def test_without_a_tokenizer_names_are_refused(tiny_run: Run, rows, model):
    aliases = CodedAliases.of(rows, tiny_run.design)
    mute = load_hooked(tiny_run, SEED, 2)
    mute.tokenizer = None
    with pytest.raises(InputError, match="cannot be asked about by name"):
        own_representations(mute, PLACE, replace(aliases), rows)
