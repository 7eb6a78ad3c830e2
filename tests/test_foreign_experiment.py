"""An experiment that is none of ours, in one file: its data, its design, its recipe and a sweep.

Does a model know better what it was told more often? People of two subsets state where they live;
those of OFTEN are shown four times an epoch, those of SELDOM once. Nothing here is an alias's
definition with a tag, there is one part of data, one stage and no null twin, so that whatever of
the house knows more than the design says would fail here.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from transformers import PreTrainedTokenizerFast

from data.design import Contrast, Design, ProbeTarget, Questions
from data.draws import stream
from data.rows import Row, SeedData, qa_row_id
from data.statements import QAPair
from data.subsets import Mark, Subset
from data.tokens import word_tokenizer
from data.vocabulary import Kind, LossPolicy, Part, Role, Split
from interp.cli import main
from interp.lenses.analysis import LensAnalysis
from interp.sweeps.plans import SWEEPS, Sweep, SweepCell
from training.config import RunConfig, StageConfig
from training.models.scratch import ModelConfig
from training.registry import RECIPES, recipe
from training.schedules import Schedule

OFTEN = Subset(
    name="OFTEN", notation="often", meaning="told four times", part=Part.X1, has_questions=True,
    mark=Mark(color="#123456", symbol="star"),
)  # fmt: skip
SELDOM = Subset(
    name="SELDOM", notation="seldom", meaning="told once", part=Part.X1, has_questions=True
)
REPEATS = {OFTEN.name: 4, SELDOM.name: 1}


def told_often(questions: Questions, _seed: int) -> dict[str, int]:
    return {name: int(rows[0].subset == OFTEN) for name, rows in questions.items()}


DESIGN = Design(
    name="repetition",
    question="is what was told more often known better?",
    parts={Part.X1: "where people live, and where some of them work"},
    subsets=(OFTEN, SELDOM),
    contrasts=(
        Contrast(name="repetition_gap", higher=OFTEN, lower=SELDOM, part=Part.X1,
                 meaning="told four times against once"),
    ),
    figures=("subsets", "gaps"),
    targets=(ProbeTarget(name="often", meaning="whether it was told often", label=told_often),),
)  # fmt: skip
ASKED, TRAINED = "town", "home"


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """Each person lives in a town: told as `home`, asked as `town`, which some are trained on."""

    people: int
    towns: int

    @property
    def design(self) -> Design:
        return DESIGN

    def build(self, seed: int) -> SeedData:
        rng = stream(seed, "towns")
        towns = [f"town{i}" for i in range(self.towns)]
        rows: list[Row] = []
        for i in range(self.people):
            subset = (OFTEN, SELDOM)[i % 2]
            name, town = f"person{i}", rng.choice(towns)
            for question in (TRAINED, ASKED):
                is_told = question == TRAINED
                rendered = QAPair(subject=name, role=Role.ALIAS, question=question, answer=town)
                rows.append(
                    Row(
                        row_id=qa_row_id(subset, i, question),
                        subset=subset,
                        split=Split.TRAIN if is_told or i % 3 == 0 else Split.TEST,
                        kind=Kind.QA,
                        rendered=rendered.render(),
                        alias=name,
                        entity=None,
                        tag=None,
                        question=question,
                        repeats=REPEATS[subset.name] if is_told else 1,
                    )
                )
        words = dict.fromkeys(word for row in rows for word in row.rendered.text.split())
        return SeedData(rows=tuple(rows), words=tuple(words))

    def tokenizer(self, drawn: SeedData) -> PreTrainedTokenizerFast:
        return word_tokenizer(drawn.words)


def repetition(*, people: int = 60, towns: int = 4, epochs: int = 6) -> RunConfig:
    """What is told more often is known better."""
    stage = StageConfig(
        epochs=epochs, batch_size=16, learning_rate=3e-3, weight_decay=0.0, evaluations=2
    )
    return RunConfig(
        data=Repetition(people=people, towns=towns),
        model=ModelConfig(n_layers=1, d_model=16, n_heads=2, d_mlp=32, tied_embeddings=True,
                          rotary_pct=0.25),
        stage1=stage,
        stage2=stage,
        loss_policy=LossPolicy.ANSWER,
        block_size=8,
        schedule=Schedule.SINGLE_STAGE,
        checkpoints=1,
        seeds_stage2=1,
    )  # fmt: skip


SWEEP = Sweep(
    name="toy-towns",
    question="Is the gap smaller among more towns?",
    figures=(),
    varies="towns",
    cells=tuple(SweepCell(recipe="repetition", arguments={"towns": n}) for n in (2, 4)),
    analyses=lambda: (LensAnalysis(),),
    stage=1,
)


@pytest.fixture(scope="module")
def entered() -> Iterator[None]:
    recipe(claims=(), model="tiny", cost="a second", smoke={"people": 24, "epochs": 1})(repetition)
    SWEEPS[SWEEP.name] = SWEEP
    yield
    del RECIPES["repetition"], SWEEPS[SWEEP.name]


@pytest.fixture(scope="module")
def folder(entered: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("foreign") / "run"
    assert main(["run", "repetition", "--seeds", "2", "--out", str(out), "--workers", "1"]) == 0
    return out


def test_its_summary_has_its_own_contrast_and_nothing_of_ours(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["summary", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown) == {"repetition_gap", "claims"}
    assert shown["claims"] == []
    metrics = pd.read_parquet(folder / "metrics.parquet")
    last = metrics.loc[
        (metrics["step"] == metrics["step"].max())
        & (metrics["question"] == "all")
        & (metrics["metric"] == "exact_match")
    ]
    of = {name: rows.set_index("seed")["value"] for name, rows in last.groupby("subset")}
    by_hand = (of["OFTEN"] - of["SELDOM"]).mean()
    assert math.isclose(shown["repetition_gap"]["exact_match"]["mean"], by_hand, abs_tol=1e-12)

    assert main(["summary", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "repetition_gap" in text
    assert "OFTEN" in text
    assert not re.findall(r"\bD5|iml_gap|null twin|\btags?\b", text)


def test_it_is_probed_for_its_own_target(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(folder), "--quick", "--target", "often", "--workers", "1"]) == 0
    assert set(pd.read_parquet(folder / "probes.parquet")["target"]) == {"often", "planted_tag"}
    assert main(["probe", str(folder), "--target", "tag", "--workers", "1"]) == 2
    assert "no target 'tag'" in capsys.readouterr().err


def test_its_lens_compares_its_subsets(folder: Path) -> None:
    assert main(["lens", str(folder), "--workers", "1"]) == 0
    assert set(pd.read_parquet(folder / "lens.parquet")["subset"]) == {"OFTEN", "SELDOM"}


def test_its_report_asks_its_question_in_its_colours(folder: Path) -> None:
    for command in (["probe", str(folder), "--quick"], ["lens", str(folder)]):
        assert main([*command, "--workers", "1"]) == 0
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert "is what was told more often known better?" in page
    assert "#123456" in page
    assert "told four times" in page
    assert "repetition: X1 where people live" in page
    assert "OFTEN − SELDOM, end of Stage 1 (told four times against once)" in page
    assert "OFTEN (told four times) minus SELDOM (told once)" in page
    shown = page[page.index("</script>") :]
    headings = re.findall("<h2>([^<]+)</h2>", shown)
    assert headings[:4] == ["Subsets", "Gaps", "Probes", "Lenses"]
    assert not [word for word in ("D5_CONS", "iml_gap", "implicit meta") if word in shown]


def test_no_null_twin_is_made_of_it(
    entered: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["run", "repetition", "--smoke", "--with-null", "--out", str(out)]) == 2
    assert "repetition has no control twin; leave out --with-null" in capsys.readouterr().err
    assert not out.exists()


def test_a_sweep_of_it_is_run_summed_up_and_reported(
    entered: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep"
    command = ["sweep", SWEEP.name, "--smoke", "--seeds", "2", "--out", str(out), "--workers", "1"]
    assert main(command) == 0
    cells = pd.read_parquet(out / "cells.parquet")
    assert {"repetition_gap_mean", "repetition_gap_nats_mean"} <= set(cells.columns)
    assert main(["summary", str(out)]) == 0
    assert "repetition gap (OFTEN − SELDOM)" in capsys.readouterr().out
    assert main(["report", str(out)]) == 0
    assert "The repetition gap" in (out / "report.html").read_text()
