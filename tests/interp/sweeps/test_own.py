"""Sweeps that people write in a file, and what is said of files that give none."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import InputError
from interp.sweeps.own import own_sweep

GOOD = '''"""Does the gap need a wide model?

More of it.
"""

from interp.lenses.analysis import LensAnalysis
from interp.sweeps.plans import SweepCell


def sweep():
    cells = [SweepCell(recipe="alias-toy", arguments={"seeds_stage2": 1, "d_model": n})
             for n in (32, 64)]
    return cells, [LensAnalysis(tuned=False)]
'''
CELLS = "from interp.sweeps.plans import SweepCell\ncell = SweepCell(recipe='alias-toy', arguments="


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    before, places = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]
    sys.path[:] = places


def test_a_file_is_a_sweep_of_what_its_cells_differ_in(tmp_path: Path) -> None:
    (tmp_path / "wide_models.py").write_text(GOOD)
    sweep = own_sweep(tmp_path / "wide_models.py")
    assert (sweep.name, sweep.varies) == ("wide_models", "d_model")
    assert sweep.question == "Does the gap need a wide model?"
    assert [cell.config(smoke=False).parameters["d_model"] for cell in sweep.cells] == [32, 64]
    assert [each.name for each in sweep.analyses()] == ["lens"]
    assert sweep.file == str(tmp_path / "wide_models.py")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.py", None, r"there is no file .*absent.py; name a sweep or a file of one"),
        ("my-sweep.py", GOOD, r"my-sweep.py is no name of a module; call it my_sweep.py"),
        ("data.py", GOOD, r"data.py has the name of another module; call it otherwise"),
        ("json.py", GOOD, r"json.py has the name of another module"),
        ("broken.py", "def", r"broken.py cannot be imported \(SyntaxError: .*\); mend it"),
        ("without.py", "", r"without.py has no function sweep\(\)"),
        ("raising.py", "def sweep(): 1 / 0", r"raised ZeroDivisionError \(division by zero\)"),
        ("single.py", "def sweep(): return 1", r"sweep\(\) of .*single.py returned no pair; ret"),
        ("none.py", "def sweep(): return [], []", r"returned no cells; return a list of SweepC"),
        ("odd.py", CELLS + "{})\ndef sweep(): return [cell], [3]", r"returned what is no analysis"),
        (
            "twice.py",
            CELLS + "{'d_model': 32})\ndef sweep(): return [cell, cell], []",
            "differ in no parameter; compare runs of several recipes with iml report",
        ),
        ("wrong.py", CELLS + "{'d_modle': 32})\ndef sweep(): return [cell], []", "'d_modle'"),
    ],
)
def test_a_file_that_gives_no_sweep_is_bad_input(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as found:
        own_sweep(tmp_path / name)
    assert "\n" not in str(found.value)
