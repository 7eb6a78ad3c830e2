"""Sentences and figures say what a table by hand holds."""

import pytest

from interp.one_layer.analysis import summarize_blocks
from interp.one_layer.plots import plot_blocks, plot_directions, plot_spectrum
from interp.one_layer.wording import blocks_found
from tests.interp.one_layer.tables_by_hand import blocks_table


def test_sentences_have_the_last_step_and_the_control_behind() -> None:
    run, control = blocks_table("retrieval"), blocks_table("retrieval", level=0.0)
    found = blocks_found(run, control)
    assert found[0].startswith("subjects IMPLIED → implications: 2.01 [1.99, 2.04] to the word")
    assert found[0].endswith("-0.98 [-1.01, -0.96] to others; control 0.01 [-0.01, 0.04], 0.01 "
                             "[-0.01, 0.04]")  # fmt: skip
    assert found[-1] == "Means over n = 4 seeds at the last step, 95% intervals."
    assert not any("AUC" in sentence for sentence in found)


def test_directions_come_first_where_there_are_any() -> None:
    found = blocks_found(blocks_table(), blocks_table(has_norm=False))
    assert found[1] == (
        "AUC of a linear classifier at y (.5 guesses): 1.015 [0.994, 1.036] after the norm, 0.515 "
        "[0.494, 0.536] before the norm; control 0.515 [0.494, 0.536]"
    )
    assert "at x' (.5 guesses)" in found[2]


def test_a_single_seed_has_no_interval() -> None:
    found = blocks_found(blocks_table("retrieval", seeds=1))
    assert found[0] == (
        "subjects IMPLIED → implications: 2.00 to the word that belongs, -1.00 to others"
    )


def test_the_heat_map_holds_the_means_of_the_last_step() -> None:
    figure = plot_blocks(blocks_table("retrieval"), blocks_table("retrieval", level=0.0))
    own, others, control = figure.data[:3]
    assert own.z[0] == pytest.approx((2.015, 2.015))
    assert others.z[1] == pytest.approx((-0.985, -0.985))
    assert control.z[0] == pytest.approx((0.015, 0.015))
    assert tuple(own.y) == ("implications", "facts")


def test_the_ratio_of_norms_leaves_out_a_matrix_of_zeros() -> None:
    table = blocks_table(seeds=1)
    nuclear, ratio, values = plot_spectrum(table).data
    assert list(nuclear.y) == pytest.approx([0.0, 0.9, 9.0])
    assert list(ratio.y) == pytest.approx([9 / 29**0.5] * 2)
    assert list(values.y) == pytest.approx([4.0, 3.0, 2.0])


def test_directions_are_drawn_by_place_with_the_control() -> None:
    figure = plot_directions(blocks_table(), blocks_table(has_norm=False))
    names = [trace.name for trace in figure.data]
    assert names == ["after the norm", "before the norm", "control: no norm"] * 3


def test_a_summary_has_a_row_for_each_cell() -> None:
    table = blocks_table("retrieval")
    summary = summarize_blocks(table)
    assert len(summary) == len(table) / 4
    first = summary.loc[(summary["step"] == 100) & (summary["quantity"] == "block")].iloc[0]
    assert first["value"] == pytest.approx(2.015)
    assert first["n_seeds"] == 4
