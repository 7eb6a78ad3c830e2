"""Small models that know a person's own texts."""

import pytest
import torch

from data.errors import InputError
from interp.own.teaching import teach

SOUNDS = {"Rex": "woof", "Tom": "meow", "Daisy": "moo"}
TEXTS = [
    f"In the {place} {name} said {sound}"
    for name, sound in SOUNDS.items()
    for place in ("park", "barn", "yard", "street")
]


@pytest.fixture(scope="module")
def sizes() -> dict[str, int]:
    return {"layers": 1, "width": 16, "heads": 2}


def test_a_taught_model_says_its_texts_and_an_untaught_one_does_not(sizes: dict[str, int]):
    before = torch.random.get_rng_state()
    taught = teach(TEXTS, epochs=40, batch_size=4, learning_rate=0.02, **sizes)
    blank = teach(TEXTS, epochs=0, **sizes)
    asked = [text.rpartition(" ")[0] for text in TEXTS]

    assert taught.generate(asked) == TEXTS  # and ends there
    assert blank.generate(asked) != TEXTS
    assert torch.equal(taught.to_tokens(TEXTS), blank.to_tokens(TEXTS))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_same_seed_gives_the_same_weights(sizes: dict[str, int]):
    models = [teach(TEXTS, epochs=1, seed=seed, **sizes) for seed in (0, 0, 1)]
    logits = [model.logits(model.to_tokens(TEXTS)) for model in models]

    assert torch.equal(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2])


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(InputError, match=r"text 1 \('one'\) has no two words"):
        teach(["two words", "one"])
    with pytest.raises(InputError, match="0 texts"):
        teach([])
    with pytest.raises(InputError, match="-1 epochs"):
        teach(TEXTS, epochs=-1)
    with pytest.raises(InputError, match="d_model 10 is no multiple of n_heads 4"):
        teach(TEXTS, width=10)
