from data.draws import draw_tags, shuffle_stage1_tags, stream
from data.tasks.iml import D1_CONS_QA1, D2_INCONS_QA2, D5_CONS, QA3
from data.vocabulary import TagKind


def test_streams_of_two_purposes_or_seeds_differ() -> None:
    drawn = {stream(seed, purpose).random() for seed in (0, 1) for purpose in ("a", "b")}
    assert len(drawn) == 4


def test_stream_is_fixed_for_all_time() -> None:
    # A changed stream would silently redraw the data of every run on disk.
    assert stream(1000, "world").random() == 0.16444550686542914


def test_tags_are_three_distinct_words_of_six_letters() -> None:
    taken: set[str] = set()
    tags = draw_tags(0, taken)
    assert list(tags) == [TagKind.RELIABLE, TagKind.UNRELIABLE, TagKind.NOVEL]
    assert len(set(tags.values())) == 3
    assert {len(tag) for tag in tags.values()} == {6}
    assert taken == set(tags.values())


def test_shuffling_moves_tags_between_defined_aliases_of_stage_1_only() -> None:
    subsets = [D1_CONS_QA1, QA3, D2_INCONS_QA2, D5_CONS] * 10
    tags: list[str | None] = ["r", None, "u", "r"] * 10
    shuffled = shuffle_stage1_tags(tags, subsets, 0)
    assert shuffled[1::4] == [None] * 10
    assert shuffled[3::4] == ["r"] * 10
    pooled = shuffled[0::4] + shuffled[2::4]
    assert sorted(map(str, pooled)) == ["r"] * 10 + ["u"] * 10
    assert shuffled[0::4] != ["r"] * 10
    assert tags == ["r", None, "u", "r"] * 10


def test_exchanged_tags_are_the_same_strings_in_each_other_s_place():
    plain, exchanged = (draw_tags(3, set(), exchange=exchange) for exchange in (False, True))
    assert exchanged[TagKind.RELIABLE] == plain[TagKind.UNRELIABLE]
    assert exchanged[TagKind.UNRELIABLE] == plain[TagKind.RELIABLE]
    assert exchanged[TagKind.NOVEL] == plain[TagKind.NOVEL]
    # Vocabularies follow this order: were it another, tokens would change places as strings do.
    assert list(exchanged.values()) == list(plain.values())
