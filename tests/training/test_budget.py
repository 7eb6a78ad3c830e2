"""What a run needs at the least, against hand-made counts and against what is really drawn."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from data.errors import InputError
from interp.cli import main
from training import budget
from training.config import RunConfig, Value
from training.recipes import find_recipe
from training.runs.requests import RunRequest

TOO_MUCH = {
    "entities": ("alias-toy", "entities=1000000000", "4,000,005,200 rows of 5,000 bytes"),
    "layers": ("alias-toy", "layers=99999999999", "99,999,999,999 blocks of d_model 64"),
    "width": ("alias-toy", "d_model=1000000000", "2 blocks of d_model 1,000,000,000"),
    "aliases": ("alias-toy-tokens", "aliases_per_subset=1000000000000", "rows of 5,000 bytes"),
    "values": ("source-toy", "values=100000000000", "embedding rows of d_model 64"),
    "repeats": ("alias-toy", "fact_repeats=1000000000", "80,000,000,000 examples"),
    "epochs": ("alias-toy", "epochs_stage2=1000000000000000", "years at 0.1 ms a step"),
    "numbers": ("set-inclusion-small", "numbers=1000000000", "1,000,000,000 embedding rows"),
    "made-up people": ("people-small", "people=10000000000", "rows of 5,000 bytes"),
    "Stage 0": ("people-small", "layers=1000000000", "1,000,000,000 blocks of d_model"),
    "padding": ("set-inclusion-small", "block_size=10000000000", "up to 1,000,000"),
    "no block": ("alias-toy", "block_size=0", "block_size is 0; use 1 or more"),
    "letters": ("cvdb-two-stage", "alias_letters=1000000000", "up to 100"),
    "checkpoints": ("set-inclusion-small", "checkpoints=1000000000", "10,000 or fewer"),
    "branches": ("alias-toy", "seeds_stage2=1000000000", "10,000 or fewer"),
}
EACH_KIND_OF_DATA = (
    "alias-toy",
    "source-toy",
    "set-inclusion-small",
    "cvdb-two-stage",
    "works-two-stage",
    "people-small",
)


@pytest.mark.parametrize("case", TOO_MUCH)
def test_what_no_machine_holds_is_refused_with_the_arithmetic(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    name, setting, arithmetic = TOO_MUCH[case]
    out = tmp_path / "run"
    words = ["run", name, "--set", setting, "--out", str(out)]
    if name == "cvdb-two-stage":
        words.append("--smoke")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert arithmetic in error
    assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("text", ["999999999999", "0:100000000", f"{2**31}:{2**31 + 1}", "9" * 99])
def test_seeds_beyond_number_are_refused_before_they_are_listed(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    assert main(["run", "alias-toy", "--smoke", "--seeds", text, "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith("error: --seeds ")
    assert not out.exists()


def test_sizes_never_exceed_what_is_drawn():
    """A bound that is too high would refuse runs that fit."""
    wrong = {}
    for name in EACH_KIND_OF_DATA:
        recipe = find_recipe(name)
        config = recipe(**recipe.smoke)
        drawn, size = config.data.build(1), budget.size_of(config)
        shown = sum(row.repeats for row in drawn.rows if config.schedule.stage_of(row) is not None)
        real = (len(drawn.rows), shown, len(drawn.words))
        if not all(least <= found for least, found in zip(vars(size).values(), real, strict=True)):
            wrong[name] = (size, real)
        if name in ("alias-toy", "source-toy"):
            assert size.rows > 0.5 * len(drawn.rows)
    assert not wrong


def test_weights_by_hand(mini: Callable[..., RunConfig]):
    """One layer of d_model 8 and d_mlp 16: 4 * 64 + 2 * 128 = 512 weights; 8 a word."""
    config = mini()
    words = budget.size_of(config).words
    assert budget.seed_bytes(config) == 4 * (512 + 8 * words) * 4
    assert budget.seed_bytes(mini(seeds_stage2=3)) == 4 * (512 + 8 * words) * 8


def test_a_run_is_refused_where_memory_ends_and_not_before(monkeypatch: pytest.MonkeyPatch):
    recipe = find_recipe("alias-toy")
    size = budget.size_of(recipe())
    least = size.rows * budget.BYTES_PER_ROW
    monkeypatch.setattr(budget, "machine_memory", lambda: least)
    with pytest.raises(InputError, match="lower the size"):
        recipe()
    monkeypatch.setattr(budget, "machine_memory", lambda: 3 * least)
    recipe()


def test_more_seeds_than_the_disk_holds_are_refused(
    tmp_path: Path, mini: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
):
    config = mini()
    need = 3 * budget.seed_bytes(config)
    request = RunRequest(config=config, folder=tmp_path / "run", seeds=(1, 2, 3))
    free = need - 1
    usage = lambda path: SimpleNamespace(total=need, free=free)  # noqa: E731
    monkeypatch.setattr(budget.shutil, "disk_usage", usage)
    with pytest.raises(InputError, match=r"3 seeds of .* left; ask for fewer seeds"):
        request.check()
    free = need
    request.check()
    assert not (tmp_path / "run").exists()


def test_choosing_lists_of_many_numbers_takes_no_time():
    values: dict[str, Value] = {"numbers": 20_000, "list_length": 10_000, "variables": 20}
    assert budget.size_of(find_recipe("set-inclusion-small")(**values)).words == 20_000
