from typing import Any

import pandas as pd
import pytest

from interp.lenses.analysis import summarize_lens
from interp.lenses.wording import appearance_sentence, lens_contrast_sentence, lens_sentences

COMPARED = ("D5_CONS", "D6_CONS")


def lens_table(n_seeds: int) -> pd.DataFrame:
    """D5's answer and entity gain 3 nats in the last layer, D6's nothing; seeds differ little."""
    rows: list[dict[str, Any]] = []
    for seed in range(n_seeds):
        run = {"recipe": "r", "run_id": "a", "model": "m", "seed": seed, "word_order": "tae"}
        run |= {"stage": 2, "step": 9}
        for subset in COMPARED:
            for layer in (0, 1):
                for quantity in ("answer", "entity", "other_entity"):
                    gain = 3.0 if (subset, layer) == ("D5_CONS", 1) else 0.0
                    gain *= quantity != "other_entity"
                    where = {"subset": subset, "lens": "logit", "site": "resid_post"}
                    where |= {"layer": layer, "role": "question_last", "quantity": quantity}
                    noise = 0.001 * (seed + 1) * (1 if quantity == "answer" else 2)
                    noise *= 1 if subset == "D5_CONS" else -1
                    rows.append(run | where | {"log_prob": gain - 4 + noise, "rank": 1.0, "n": 2})
    return pd.DataFrame(rows)


def sentences(n_seeds: int, guess: float | None = -2.0) -> list[str]:
    table = lens_table(n_seeds)
    return lens_sentences(table, summarize_lens(table), compared=COMPARED, guess=guess)


def test_the_answer_appears_where_its_interval_is_above_guessing():
    d5, d6, *_ = sentences(8)

    assert d5.startswith("D5_CONS, logit lens: the answer's log-probability is -4.00")
    assert d5.endswith("is first above -2.00, the question alone, in the stream after layer 1.")
    assert d6.endswith("at no state is its interval above -2.00, the question alone.")


def test_without_a_guess_nothing_is_said_to_appear():
    d5, *_ = sentences(8, guess=None)

    assert d5.endswith("in the stream after layer 1.")
    assert "above" not in d5


def test_a_difference_that_survives_correction_is_named():
    _, _, difference, entity = sentences(8)

    assert "The answer, D5_CONS minus D6_CONS: differs from 0 in" in difference
    assert "most in the stream after layer 1 (logit lens), +3.009 [" in difference
    assert "8 seeds can give no p below 0.0078" in difference
    assert "most in the stream after layer 1 (logit lens, D5_CONS), +3." in entity


def test_few_seeds_show_no_difference():
    _, _, difference, _ = sentences(3)

    assert (
        "differs from 0 in none of 2 cells; it is largest in the stream after layer 1" in difference
    )
    assert "3 seeds can give no p below 0.25" in difference


def test_one_seed_has_no_interval_and_shows_nothing():
    d5, *_ = sentences(1)

    assert (
        "is -4.00 in the stream after layer 0 and -1.00 in the stream after layer 1; at no state"
        in d5
    )


@pytest.mark.parametrize("role", ["alias_last"])
def test_other_roles_do_not_mix_in(role: str):
    table = lens_table(8)
    mixed = pd.concat([table, table.assign(role=role, log_prob=99.0)])

    said = lens_sentences(mixed, summarize_lens(mixed), compared=COMPARED, guess=-2.0)

    assert said == sentences(8)


def test_the_states_of_a_sentence_are_ordered_by_layer():
    cells = summarize_lens(lens_table(2)).query("subset == 'D5_CONS' and quantity == 'answer'")

    assert appearance_sentence(cells.iloc[::-1], "D5_CONS", None) == appearance_sentence(
        cells, "D5_CONS", None
    )


def test_a_contrast_is_put_into_words_with_its_sign():
    contrast = pd.DataFrame(
        {
            "state": ["layer 0, MLP"],
            "lens": ["tuned"],
            "mean": [-1.0],
            "ci_low": [-2.0],
            "ci_high": [-0.5],
        }
        | {"p_corrected": [0.01], "p_smallest": [0.0078], "n_seeds": [8]}
    )

    assert lens_contrast_sentence(contrast, "a minus b") == (
        "A minus b: differs from 0 in 1 of 1 cells, most in layer 0, MLP (tuned lens), -1.000 "
        "[-2.000, -0.500] nats, corrected p = 0.01; 8 seeds can give no p below 0.0078."
    )
