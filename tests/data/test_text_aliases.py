import random
from collections import Counter
from pathlib import Path

import pytest

from data.errors import InputError
from data.text_aliases import TextAliases
from data.texts import Writing
from data.tokenizers import FolderTokenizer, TokenizerProvider, TrainedTokenizer
from data.worlds.people import PeopleWorld

PYTHIA = Path(__file__).parents[2].parent / "shared" / "data" / "tokenizers" / "20B_tokenizer.json"
OWN = TrainedTokenizer(texts=PeopleWorld(n_people=60, seed=0, overlap=0.5), vocabulary_size=400)
REAL = FolderTokenizer(location=str(PYTHIA))
needs_real_data = pytest.mark.skipif(not PYTHIA.is_file(), reason="the real data is not here")
BARE, BRACKETED = Writing(), Writing(bracketed=True)


def draw(
    aliases: TextAliases,
    n: int = 40,
    *,
    provider: TokenizerProvider = OWN,
    writing: Writing = BARE,
    taken: set[str] | None = None,
) -> list[str]:
    return aliases.draw(
        n,
        writing=writing,
        tokenizer_provider=provider,
        rng=random.Random(0),
        taken=set() if taken is None else taken,
    )


@pytest.mark.parametrize(
    ("provider", "writing"),
    [
        (OWN, BARE),
        pytest.param(REAL, BARE, marks=needs_real_data),
        pytest.param(REAL, BRACKETED, marks=needs_real_data),
    ],
    ids=["own", "20B", "20B in brackets"],
)
def test_they_have_as_many_tokens_as_asked_for_behind_a_space_and_at_the_start(
    provider: TokenizerProvider, writing: Writing
) -> None:
    tokenizer = provider.load()

    def length(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    lengths = Counter(map(length, draw(TextAliases(letters=5), writing=writing)))
    assert len(lengths) > 1
    tokens, _ = lengths.most_common(1)[0]
    found = draw(TextAliases(letters=5, tokens=tokens), provider=provider, writing=writing)
    assert len(set(found)) == 40
    for alias in found:
        assert length(alias) == tokens
        assert length(f"ask {alias}") == length("ask") + tokens


def test_words_in_use_are_left_alone_and_new_ones_are_noted() -> None:
    taken: set[str] = set()
    first = draw(TextAliases(letters=5), taken=taken)
    assert taken == set(first)
    second = draw(TextAliases(letters=5), taken=taken)  # the same draw, were it not for these
    assert not set(first) & set(second)


@pytest.mark.parametrize(
    ("aliases", "says"),
    [
        (
            TextAliases(letters=5, tokens=9),
            "of 8000 random aliases of 5 letters only 0 are 9 tokens long, 40 are needed; use",
        ),
        (TextAliases(letters=1), "40 distinct words of 1 letters .*; use more letters"),
    ],
)
def test_bad_input_is_one_line_with_a_remedy(aliases: TextAliases, says: str) -> None:
    with pytest.raises(InputError, match=says):
        draw(aliases)
