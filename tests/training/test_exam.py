"""The exam before training finds whom a model knows, and a run keeps what it found."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from data.errors import InputError
from data.facts import FactWorld, WorldProvider
from data.texts import Writing
from data.tokenizers import FolderTokenizer, TrainedTokenizer
from data.tokens import tokenize_rows
from data.vocabulary import LossPolicy
from data.worlds.people import PeopleWorld
from interp.cli import main
from training import exam as exam_module
from training.config import Precision, StageConfig, Value
from training.exam import Exam
from training.exam_paper import SHOWN_SEED, Paper
from training.examples import make_examples
from training.loop import StageTrainer
from training.models.elsewhere import NamedModel
from training.recipes import find_recipe
from training.runs.requests import RunRequest, check_together
from training.runs.run import Run

PEOPLE = PeopleWorld(n_people=12, seed=0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's cache nor what another test has found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(exam_module, "_TAKEN", {})


def an_exam(model: str = "tiny-llama", *, world: WorldProvider = PEOPLE, **changes: Any) -> Exam:
    made = Exam(
        world=world,
        model=NamedModel(location=model),
        tokenizer_provider=TrainedTokenizer(texts=world, vocabulary_size=400),
        writing=Writing(),
        any_answer=True,
        shown=0,
        known_only=0,
        wanted=2,
    )
    return replace(made, **changes)


def set_by(exam: Exam, world: FactWorld | None = None) -> Paper:
    return Paper.of(
        world or exam.world.load(), writing=exam.writing, shown=exam.shown, any_answer=True
    )


def no_exam(*_: object) -> pd.DataFrame:
    raise AssertionError("the exam is taken once more")


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model that was taught the facts of the first five people alone."""
    exam = an_exam()
    tokenizer = exam.tokenizer_provider.load()
    taught = set_by(exam).rows[: 5 * 6]
    examples = make_examples(tokenize_rows(taught, tokenizer), LossPolicy.ANSWER)
    torch.manual_seed(0)
    model = exam.model.make(tokenizer, seed=0, max_length=64)
    how = StageConfig(
        epochs=60, batch_size=30, learning_rate=1e-2, weight_decay=0.0, evaluations=1,
        precision=Precision.FP32,
    )  # fmt: skip
    trainer = StageTrainer(model, examples, how, order_seed=0)
    while trainer.step < trainer.last_step:
        trainer.train_step()
    folder = tmp_path_factory.mktemp("models") / "knowing"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_people_that_a_model_was_taught_are_known_and_no_others(knowing: Path) -> None:
    exam = an_exam(
        str(knowing), tokenizer_provider=FolderTokenizer(location=str(knowing)), known_only=6
    )
    taught = PEOPLE.load().entities[:5]

    assert exam.known() == taught
    assert list(exam.load().facts) == list(taught[:2])
    assert exam.load().notes == (
        "exam: knowing knows 5 of 12 people (6 or more questions right); 2 are kept",
    )


def test_an_untaught_model_knows_nobody_which_is_said_with_what_to_lower() -> None:
    with pytest.raises(InputError) as caught:
        an_exam(known_only=1).load()

    assert str(caught.value) == (
        "tiny-llama knows 0 of 12 people (1 or more questions right), 2 are needed; "
        "lower people or known_only"
    )
    with pytest.raises(
        InputError, match="asked about 12 of 12 people, 13 are needed; lower people"
    ):
        an_exam(wanted=13).load()


def test_people_who_are_shown_are_not_asked_about() -> None:
    exam = an_exam(shown=3)
    world = PEOPLE.load()
    paper = set_by(exam)

    assert len(paper.shown_people) == 3
    assert {row.entity for row in paper.rows} == set(world.entities) - paper.shown_people
    lines = paper.openings["birth"].splitlines()
    said = {f"A: {world.facts[name]['birth'][0]}" for name in paper.shown_people}
    assert len(lines) == 6
    assert set(lines[1::2]) == said


def test_who_lacks_an_answer_is_not_shown_with_it() -> None:
    facts = dict(PEOPLE.load().facts)
    living = list(facts)[:8]
    for name in living:
        facts[name] = {k: v for k, v in facts[name].items() if k != "death"}
    world = FactWorld(name="people", questions=PEOPLE.load().questions, facts=facts)
    paper = set_by(an_exam(shown=2), world)

    assert paper.openings["death"].count("Q:") == 2
    assert not any(name in paper.openings["death"] for name in living)


def test_scores_are_those_of_the_whole_text() -> None:
    """Against each text read at once, token by token, in float64."""
    exam = an_exam(shown=2)
    tokenizer, paper = exam.tokenizer_provider.load(), set_by(exam)
    model = exam.model.make(tokenizer, seed=SHOWN_SEED, max_length=400).eval().double()

    for row, found in list(zip(paper.rows, exam.table.to_dict("records"), strict=True))[::11]:
        opening = tokenizer(paper.openings[str(row.question)]).input_ids
        prompt = tokenizer(row.rendered.prompt).input_ids
        whole = tokenizer(row.rendered.text).input_ids
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*opening, *whole]])).logits[0].log_softmax(-1)
        places = range(len(opening) + len(prompt), len(opening) + len(whole))
        expected = sum(logits[place - 1, whole[place - len(opening)]].item() for place in places)
        assert (found["entity"], found["question"]) == (row.entity, row.question)
        assert found["answer"] == row.rendered.answer
        assert found["answer_log_prob"] == pytest.approx(expected, abs=1e-3)


def test_exam_is_taken_once_and_anew_when_anything_of_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = an_exam().table
    monkeypatch.setattr(exam_module, "_TAKEN", {})  # another process
    monkeypatch.setattr(Exam, "_take", no_exam)

    pd.testing.assert_frame_equal(an_exam().table, table)
    another = PeopleWorld(n_people=12, seed=1)
    for changed in (an_exam(shown=1), an_exam("tiny-gpt2"), an_exam(world=another)):
        with pytest.raises(AssertionError, match="once more"):
            _ = changed.table


def test_what_was_recorded_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exam, "_take", no_exam)
    names = PEOPLE.load().entities[3:6]
    recorded = an_exam(recorded=names)

    assert list(recorded.load().facts) == list(names[:2])
    assert recorded.known() == names
    with pytest.raises(InputError, match="lacks Nobody, who was known when the run was begun"):
        an_exam(recorded=("Nobody", *names)).load()


def test_a_model_with_an_encoder_is_refused() -> None:
    with pytest.raises(
        InputError, match="tiny-t5 has an encoder, and the exam is one for decoders"
    ):
        an_exam("tiny-t5").load()


def test_more_than_the_model_reads_is_refused(knowing: Path) -> None:
    told = FolderTokenizer(location=str(knowing))
    with pytest.raises(InputError, match=r"with the 4 before it, knowing reads 64; lower shown"):
        an_exam(str(knowing), tokenizer_provider=told, shown=4).load()


SMALL = ["--set=epochs_stage1=1", "--set=epochs_stage2=1", "--set=entities=40", "--set=people=34"]
SMALL += ["--set=table=generated"]


def test_a_run_notes_what_its_exam_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = find_recipe("famous-people")
    arguments = {**recipe.smoke, **recipe.parse_arguments([s.split("--set=")[1] for s in SMALL])}
    request = RunRequest(config=recipe(**arguments), folder=tmp_path / "run", seeds=(7,))
    twin = request.null_twin()
    check_together([request, twin])
    assert not request.folder.exists()
    request.begin()
    run = Run.load(request.folder)
    table = pd.read_parquet(request.folder / "exam.parquet")

    assert run.info["known"] == list(dict.fromkeys(table["entity"]))
    assert set(table["run_id"]) == {run.config.run_id}
    assert set(table["is_known"]) == {True}
    # Wherever it is opened or extended, nobody is asked again.
    monkeypatch.setattr(exam_module, "_TAKEN", {})
    monkeypatch.setattr(Exam, "table", property(no_exam))
    assert len({row.row.entity for row in run.tokenized_rows(7)}) == 34
    RunRequest(config=recipe(**arguments), folder=request.folder, seeds=(7, 8)).check()
    # What the exam chose is part of what the run is.
    anew = replace(run.config, recorded_id="")
    assert anew.run_id == run.config.run_id
    assert anew.with_known(run.info["known"][1:]).run_id != run.config.run_id


def test_a_null_twin_that_knows_others_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = find_recipe("famous-people")
    arguments = {**recipe.smoke, **recipe.parse_arguments([s.split("--set=")[1] for s in SMALL])}
    request = RunRequest(config=recipe(**arguments), folder=tmp_path / "run", seeds=(7,))
    request.check()
    request.begin()
    monkeypatch.setattr(Exam, "known", lambda _: ("Nobody",) * 40)

    with pytest.raises(InputError, match="knows other people than its null twin would"):
        request.null_twin().check()


@pytest.mark.slow
def test_a_run_with_its_null_twin_is_extended_reported_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(tmp_path / "run")
    command = ["run", "famous-people", "--smoke", "--out", folder, "--with-null", *SMALL]
    assert main([*command, "--seeds", "7:8"]) == 0
    first = Run.load(folder)
    assert first.null is not None
    assert first.null.info["known"] == first.info["known"]

    monkeypatch.setattr(exam_module, "_TAKEN", {})
    monkeypatch.setattr(Exam, "_take", no_exam)
    assert main([*command, "--seeds", "7:9"]) == 0
    assert Run.load(folder).seeds == [7, 8]
    assert main(["report", folder]) == 0
    assert "The exam before training" in (tmp_path / "run" / "report.html").read_text()
    assert main(["verify", folder]) == 0


def test_too_few_known_people_end_a_run_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    few = ["--set=known_only=2", "--set=table=generated", "--set=entities=30", "--set=people=20"]

    assert main(["run", "famous-people", "--smoke", "--out", str(folder), *few]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == (
        "error: tiny-gpt-neox knows 0 of 28 people (2 or more questions right), 20 are needed; "
        "lower people or known_only"
    )
    assert not folder.exists()


def test_recipe_asks_first_and_its_gpu_size_is_one_name_away() -> None:
    arguments: dict[str, Value] = {"model": "tiny-llama", "table": "generated"}
    config, gpu = (find_recipe(f"famous-people{size}")(**arguments) for size in ("", "-gpu"))

    assert isinstance(config.exam, Exam)
    assert isinstance(gpu.exam, Exam)
    assert (config.exam.wanted, config.exam.known_only) == (500, 3)
    assert (gpu.exam.wanted, gpu.exam.known_only) == (800, 2)
    assert (config.uses_accelerator, gpu.uses_accelerator) == (False, True)
