import pandas as pd
import pytest

from data.errors import InputError
from interp.lenses.contrast import lens_contrast
from training.statistics import max_sign_flip_p, t_interval

D5 = {1: -1.0, 2: -1.5, 3: -1.0}
D6 = {1: -2.0, 2: -2.0, 3: -4.0}


def lens_table() -> pd.DataFrame:
    """The answer of D5 and D6 at one state, and the same for both at an earlier one."""
    rows = [
        {"seed": seed, "stage": 2, "step": 9, "subset": subset, "lens": "logit"}
        | {"site": site, "layer": layer, "role": "question_last", "quantity": "answer"}
        | {"log_prob": values[seed] if site == "resid_post" else -5.0 + 0.1 * seed}
        for site, layer in (("resid_post", 0), ("resid_pre", 0))
        for subset, values in (("D5_CONS", D5), ("D6_CONS", D6))
        for seed in values
    ]
    return pd.DataFrame(rows)


def test_a_contrast_is_paired_by_seed():
    gaps = [D5[seed] - D6[seed] for seed in D5]  # 1, .5, 3

    contrast = lens_contrast(lens_table().sample(frac=1, random_state=0), "subset", *SUBSETS)

    post = contrast.set_index("state").loc["stream after layer 0"]
    assert post["mean"] == pytest.approx(1.5)
    assert (post["ci_low"], post["ci_high"]) == pytest.approx(t_interval(gaps))
    assert post["p_value"] == post["p_smallest"] == 0.25
    assert post["n_seeds"] == 3


SUBSETS = ("D5_CONS", "D6_CONS")


def test_a_contrast_is_corrected_over_all_of_its_rows():
    table = lens_table()

    contrast = lens_contrast(table, "subset", *SUBSETS)

    values = [[0.0, 0.0, 0.0], [1.0, 0.5, 3.0]]
    assert contrast["state"].tolist() == ["stream before layer 0", "stream after layer 0"]
    assert (
        contrast["p_corrected"].tolist()
        == max_sign_flip_p(pd.DataFrame(values).to_numpy()).tolist()
    )


def test_a_contrast_of_what_the_table_lacks_is_refused():
    with pytest.raises(InputError, match="no quantity 'entity'; choose from answer"):
        lens_contrast(lens_table(), "quantity", "answer", "entity")
