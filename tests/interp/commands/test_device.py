"""Every analysis on a GPU, where there is one."""

from pathlib import Path

import pandas as pd
import pytest

from interp.cli import main

COMMANDS = {
    "probes": ["probe", "--quick", "--target", "tag"],
    "lens": ["lens"],
    "patching": ["patch", "--confidence", "0", "--limit", "3"],
    "attention": ["attention"],
    "ablation": ["ablate"],
    "erasure": ["erase"],
    "codes": ["codes"],
    "transplants": ["transplant", "--role", "alias_last", "--role", "question_last"],
    "weight_differences": ["transplant", "--stage", "2", "--differences"],
    "alignment": ["align", "--limit", "3"],
    "mediation": ["mediate", "--limit", "3"],
    "twins": ["twins", "--exchanged-in", "2"],
    "branches": ["align", "--test", "branches", "--limit", "2"],
    "updates": ["align", "--test", "updates", "--limit", "2"],
    "surgery": ["align", "--test", "surgery", "--limit", "2"],
    "left_out": ["align", "--test", "left-out", "--limit", "2"],
    "turns": ["turn", "--treatment", "alignment", "--treatment", "read-out", "--limit", "2"],
}
TOLERANCE = {
    "surgery": 0.05,
    "left_out": 0.05,
    "branches": 0.05,
    "turns": 0.05,
    "twins": 0.05,
    "weight_differences": 0.05,
}
"""What is trained again adds up rounding, step by step."""


@pytest.mark.gpu
@pytest.mark.parametrize("name", COMMANDS)
def test_a_gpu_finds_what_the_cpu_does(
    name: str, copied_run: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("interp.probes.analysis.N_PERMUTATIONS", 2)
    monkeypatch.setattr("interp.lenses.analysis.TUNED_STEPS", 2)
    command, *options = COMMANDS[name]
    found = {}
    for device in ("cpu", "cuda"):
        words = [command, str(copied_run), *options, "--seed", "1000", "--device", device]
        assert main(words) == 0
        found[device] = pd.read_parquet(copied_run / f"{name}.parquet")
    pd.testing.assert_frame_equal(
        found["cuda"], found["cpu"], atol=TOLERANCE.get(name, 2e-3), rtol=1e-2
    )
