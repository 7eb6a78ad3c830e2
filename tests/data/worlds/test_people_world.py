import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from data.errors import InputError
from data.facts import FactWorld, WorldProvider
from data.worlds.people import NATIONS, PERSON_QUESTIONS, PeopleWorld, zipf_popularity

ROOT = Path(__file__).parents[3]
REAL_TOKENIZER = ROOT.parent / "shared" / "data" / "tokenizers" / "20B_tokenizer.json"


def shared_answers(world: FactWorld, attribute: str) -> float:
    """Share of pairs of different people with the same answer, counted pair by pair."""
    answers = [facts[attribute][0] for facts in world.facts.values()]
    pairs = list(itertools.combinations(answers, 2))
    return sum(first == second for first, second in pairs) / len(pairs)


def span_of_years(answer: str) -> tuple[int, int]:
    """First and last year that an answer stands for."""
    if answer.endswith("BC"):
        century = int(answer.split()[0])
        return -100 * century, -100 * century + 99
    if answer.endswith("century"):
        century = int(answer.split()[0])
        return 100 * century - 99, 100 * century
    decade = answer.endswith("s")
    year = int(answer.rstrip("s"))
    return year, year + 9 * decade


def test_everyone_has_the_papers_six_attributes_with_one_answer_each() -> None:
    provider = PeopleWorld(n_people=500, seed=0)
    assert isinstance(provider, WorldProvider)
    world = provider.load()
    assert len(world.facts) == 500
    assert list(world.questions) == [
        "gender", "birth", "death", "region", "occupation", "nationality",
    ]  # fmt: skip
    for facts in world.facts.values():
        assert list(facts) == list(PERSON_QUESTIONS)
        assert all(len(answers) == 1 for answers in facts.values())


@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
def test_facts_of_a_person_fit_together(overlap: float) -> None:
    for facts in PeopleWorld(n_people=2000, seed=3, overlap=overlap).load().facts.values():
        answer = {attribute: answers[0] for attribute, answers in facts.items()}
        assert answer["nationality"] in NATIONS[answer["region"]]
        born, died = span_of_years(answer["birth"]), span_of_years(answer["death"])
        # 25 to 95 years lie between them, whatever the answers leave open.
        assert died[1] - born[0] >= 25
        assert died[0] - born[1] <= 96


def test_names_are_unique_and_of_two_or_three_words_shared_among_people() -> None:
    names = PeopleWorld(n_people=3000, seed=0).load().entities
    words = [name.split() for name in names]
    assert {len(parts) for parts in words} == {2, 3}
    assert len({(parts[0], parts[-1]) for parts in words}) == 3000
    assert all(word.isalpha() and word.istitle() and len(word) >= 4 for w in words for word in w)
    uses = Counter(word for parts in words for word in parts)
    assert sum(uses.values()) / len(uses) > 10


@pytest.mark.skipif(not REAL_TOKENIZER.exists(), reason="needs the shared tokenizer")
def test_no_name_is_one_token_of_a_real_tokenizer() -> None:
    tokenizer = Tokenizer.from_file(str(REAL_TOKENIZER))
    names = PeopleWorld(n_people=500, seed=0).load().entities
    assert min(len(tokenizer.encode(f" {name}").ids) for name in names) >= 2


def test_answers_coincide_more_as_overlap_grows() -> None:
    worlds = [
        PeopleWorld(n_people=400, seed=1, overlap=overlap).load()
        for overlap in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    for attribute in ("birth", "death", "occupation", "nationality"):
        shares = [shared_answers(world, attribute) for world in worlds]
        assert shares == sorted(shares), attribute
        assert shares[0] < 0.04, attribute
        assert shares[-1] > 0.35, attribute
    for world in worlds:
        assert shared_answers(world, "gender") == pytest.approx(0.5, abs=0.01)
    assert shared_answers(worlds[0], "region") == pytest.approx(0.2, abs=0.01)
    assert shared_answers(worlds[-1], "region") == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("overlap", "occupations", "births"),
    # K^(1 - overlap) 2^overlap of K = 60 and 30: sqrt(120) = 10.95, sqrt(60) = 7.75.
    [(0.0, 60, 30), (0.5, 11, 8), (1.0, 2, 2)],
)
def test_values_in_use_are_as_many_as_said_and_equally_frequent(
    overlap: float, occupations: int, births: int
) -> None:
    world = PeopleWorld(n_people=1000, seed=0, overlap=overlap).load()
    for attribute, n in (("occupation", occupations), ("birth", births)):
        counts = Counter(facts[attribute][0] for facts in world.facts.values())
        assert len(counts) == n
        assert max(counts.values()) - min(counts.values()) <= 1


def test_attributes_are_independent_of_each_other() -> None:
    world = PeopleWorld(n_people=4000, seed=0, overlap=1.0).load()
    counts = Counter((f["occupation"], f["nationality"], f["gender"]) for f in world.facts.values())
    assert len(counts) == 8
    # 500 expected, standard deviation 21 at most.
    assert all(abs(count - 500) < 100 for count in counts.values())


def test_seeds_differ_and_a_seed_is_the_same_in_every_process() -> None:
    def digest(seed: int, hash_seed: str) -> bytes:
        code = (
            "import hashlib; from data.worlds.people import PeopleWorld;"
            f"print(hashlib.sha256(repr(PeopleWorld(n_people=50, seed={seed}).load())"
            ".encode()).hexdigest())"
        )
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout

    assert digest(0, "1") == digest(0, "2") != digest(1, "1")


def test_popularity_falls_by_zipfs_law_in_the_worlds_order() -> None:
    world = PeopleWorld(n_people=3, seed=0).load()
    # 1 + 1/2 + 1/3 = 11/6.
    assert list(zipf_popularity(world)) == list(world.entities)
    assert list(zipf_popularity(world).values()) == pytest.approx([6 / 11, 3 / 11, 2 / 11])
    assert list(zipf_popularity(world, exponent=0.0).values()) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    "wrong", [{"n_people": 1}, {"overlap": -0.1}, {"overlap": 1.1}, {"overlap": float("nan")}]
)
def test_a_world_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        PeopleWorld(**{"n_people": 10, "seed": 0, **wrong})
