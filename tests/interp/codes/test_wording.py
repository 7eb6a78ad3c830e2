from interp.codes.summary import summarize_codes
from interp.codes.wording import at_places, found
from tests.interp.codes.hand_made_tables import codes_table


def test_the_first_sentences_say_the_share_its_nulls_and_whether_it_counts():
    summary = summarize_codes(codes_table(taken_by={"tag": 0.1}))
    share, counts, twin, *_ = found(summary, summarize_codes(codes_table((0.0, 0.05))))
    assert "The gap D5 − D6 is +3.00" in share
    assert "75% [75%, 75%] of it is explained" in share
    assert "10% (the other tag's code)" in share
    assert counts.startswith("The share counts")
    assert "Exchanged, the gap is -1.50" in counts
    assert twin.startswith("In the null twin the gap is +0.03")


def test_a_share_that_does_not_count_says_why():
    by_tag = found(summarize_codes(codes_table(taken_by={"tag": 0.7})))
    assert "does not count: put in its place, the other tag's code" in by_tag[1]
    at_floor = found(summarize_codes(codes_table(answered=-3.9)))
    assert "does not count: after the edit a subset lies at floor or ceiling" in at_floor[1]
    unsure = found(summarize_codes(codes_table((9.0, -6.0, 2.0))))
    assert "does not count: the interval of the gap includes none" in unsure[1]


def test_without_a_gap_nothing_is_said_to_be_explained():
    said = found(summarize_codes(codes_table((0.02, -0.05, 0.01))))
    assert said[0].startswith("There is no gap D5 − D6 to explain: it is -0.01")
    assert not any("explained" in sentence for sentence in said)


def test_a_run_without_its_twin_is_no_evidence_about_the_tag():
    assert any("nothing here is known to be about the tag" in s
               for s in at_places(summarize_codes(codes_table())))  # fmt: skip
