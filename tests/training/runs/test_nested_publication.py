"""Files of a folder below come with those beside it, all or none, wherever the writer died."""

from collections.abc import Callable
from pathlib import Path

from training.runs.publication import publish, published_damage, read_unchecked


def test_files_of_a_folder_below_are_published_and_survive_a_kill(
    tmp_path: Path, killed_at: Callable[[int, Path, Callable[[], object]], bool]
) -> None:
    old, new = {"below/a.json": b"1", "b": b"1"}, {"below/a.json": b"2", "b": b"2"}
    for n in range(1, 60):
        folder = tmp_path / str(n)
        publish([folder], lambda folder=folder: {folder: old})

        def change(folder: Path = folder) -> None:
            publish([folder], lambda: {folder: new})

        died = killed_at(n, folder, change)
        seen = {read_unchecked(folder / name) for name in old}
        assert len(seen) == 1
        publish([folder], lambda folder=folder: {folder: {"c": b"3"}})
        assert {(folder / name).read_bytes() for name in old} == seen
        assert published_damage(folder, present=[folder / name for name in old]) == []
        if not died:
            assert seen == {b"2"}
            return
    raise AssertionError("the writer never came to its end")
