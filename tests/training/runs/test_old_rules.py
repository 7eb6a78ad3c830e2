"""Runs of format 1: open as they are, named as what they are, never mixed with what is new."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig

from data.errors import InputError
from data.tokenizers import Bos, FolderTokenizer, TrainedTokenizer
from data.tokens import tokenize_rows
from interp.cli import main
from interp.grids.selection import GridSelection
from training.config import RunConfig
from training.files import write_json, write_manifest
from training.recipes import find_recipe
from training.runs.info import RUN_FILE, new_info
from training.runs.old_rules import old_rules, require_one_meaning
from training.runs.requests import RunRequest, check_together
from training.runs.run import Run, analysis_files, rows_digest
from training.runs.runner import run_seeds

EXACT = "exact match counts the answer's tokens alone, without the stop token"


def made(config: RunConfig, folder: Path, *seeds: int) -> Run:
    (run,) = run_seeds([RunRequest(config=config, folder=folder, seeds=seeds)], workers=1)
    return run


def age(folder: Path) -> Run:
    """Makes a run one of format 1; the bytes of such a run differ in nothing else."""
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 1}))
    write_manifest(folder, analysis_files(folder))
    return Run.load(folder)


@pytest.fixture(scope="module")
def old_text_run(mini: Callable[..., RunConfig], tmp_path_factory: Any) -> Run:
    folder = tmp_path_factory.mktemp("old") / "run"
    made(mini(loss_policy="text"), folder, 0)
    return age(folder)


def test_toy_under_answer_is_extended_to_the_same_bytes(
    mini: Callable[..., RunConfig], results: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    made(mini(), tmp_path / "old", 0)
    assert old_rules(age(tmp_path / "old")) == []
    extended = made(mini(), tmp_path / "old", 0, 1)
    assert extended.info["format_version"] == 1
    new = made(mini(), tmp_path / "new", 0, 1)
    assert new.info["format_version"] == 2
    assert results(extended.folder) == results(new.folder)
    require_one_meaning([extended, new], with_new=True)


def test_run_whose_exact_match_meant_something_else_is_not_extended(
    old_text_run: Run, tree_hash: Callable[[Path], dict[str, str]]
) -> None:
    before = tree_hash(old_text_run.folder)
    request = RunRequest(config=old_text_run.config, folder=old_text_run.folder, seeds=(0,))
    request.check()  # nothing is missing
    for seeds in ((1,), (0, 1)):
        with pytest.raises(InputError, match=f"has format 1, in which {EXACT}; no more is trained"):
            replace(request, seeds=seeds).check()
    with pytest.raises(InputError, match=f"in which {EXACT}, and cannot be compared with a new"):
        check_together([request, request.null_twin()])
    assert tree_hash(old_text_run.folder) == before


def test_tables_of_an_old_run_name_the_old_rule(
    old_text_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", str(old_text_run.folder)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"format 1: {EXACT}"
    assert main(["summary", str(old_text_run.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["old_rules"] == [EXACT]
    from interp.report.sections import overview_section

    assert "format 1: exact match counts" in overview_section(old_text_run)


def test_old_numbers_are_not_put_beside_new_ones(
    old_text_run: Run, mini: Callable[..., RunConfig], tmp_path: Path
) -> None:
    new = made(mini(loss_policy="text", word_order="ate"), tmp_path / "new", 0)
    for runs in ((old_text_run, new), (new, old_text_run)):
        with pytest.raises(InputError, match=f"{EXACT}, and cannot be compared with {new.folder}"):
            GridSelection(runs=runs).check()
    old = age(Path(made(mini(word_order="ate"), tmp_path / "old", 0).folder))
    require_one_meaning([old_text_run, old])
    require_one_meaning([new, old], with_new=True)


def old_run_of_a_model(folder: Path, *, bos: bool, **config: Any) -> Run:
    """A run folder as format 1 left it: run.json, a checkpoint's config and tokenizer."""
    tokenizer = TrainedTokenizer(texts=("Q: A: born",), vocabulary_size=300).load()
    model = folder / "model"
    tokenizer.save_pretrained(model)
    if bos:
        with_bos = json.loads((model / "tokenizer.json").read_text())
        piece = {"id": "<|endoftext|>", "type_id": 0}
        text = {"Sequence": {"id": "A", "type_id": 0}}
        with_bos["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": piece}, text],
            "pair": [text, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {
                "<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}
            },
        }
        (model / "tokenizer.json").write_text(json.dumps(with_bos))
    ids = {"eos_token_id": 0, "pad_token_id": 0, "vocab_size": 300}
    AutoConfig.for_model(**{**ids, **config}).save_pretrained(model)
    recipe = find_recipe("cvdb-two-stage")
    arguments = {"model": str(model), "random_weights": True, "table": "generated"}
    arguments |= {"entities": 60, "loss_policy": "answer"}
    made_with = recipe(**arguments)
    bare = recipe(**arguments, bos="none")
    drawn = bare.data.build(0)
    rows = tokenize_rows(drawn.rows, bare.data.tokenizer(drawn))
    info = new_info(made_with) | {"format_version": 1, "seeds": [0], "finished": "then"}
    info["parameters"] = {k: v for k, v in info["parameters"].items() if k != "bos"}
    info["data_sha256"] = {"0": rows_digest(rows)}
    checkpoint = folder / "run" / "seed-0" / "stage-1" / "step-0"
    checkpoint.mkdir(parents=True)
    FolderTokenizer(location=str(model)).load().save_pretrained(checkpoint)
    AutoConfig.for_model(**{**ids, **config}).save_pretrained(checkpoint)
    write_manifest(checkpoint)
    write_json(folder / "run" / RUN_FILE, info)
    return Run.load(folder / "run")


def test_old_run_of_a_model_with_a_first_token_opens_with_the_rows_it_was_trained_on(
    tmp_path: Path,
) -> None:
    run = old_run_of_a_model(tmp_path, bos=True, model_type="llama")
    (rule,) = old_rules(run)
    assert rule == "no text begins with the token that the model's tokenizer puts in front"
    assert run.config.run_id == run.info["run_id"]
    assert run.config.parameters["bos"] == Bos.NONE
    assert run.tokenized_rows(0)[0].input_ids[0] != 0
    recipe = find_recipe(run.config.recipe)
    config = recipe(**run.info["parameters"])
    assert config.run_id == run.config.run_id
    request = RunRequest(config=config, folder=run.folder, seeds=(0, 1))
    with pytest.raises(InputError, match=f"in which {rule}; no more is trained there"):
        request.check()


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ({"model_type": "gpt_neox"}, None),
        ({"model_type": "gpt_neox", "eos_token_id": 5}, "special tokens are the tokenizer's, not"),
        ({"model_type": "t5", "decoder_start_token_id": 0}, None),
        ({"model_type": "t5", "decoder_start_token_id": 3}, "special tokens are the tokenizer's"),
        ({"model_type": "granite"}, "logits lack what granite may do after its unembedding"),
    ],
)
def test_old_run_of_a_model_is_told_from_one_whose_numbers_still_hold(
    config: dict[str, Any], rule: str | None, tmp_path: Path
) -> None:
    run = old_run_of_a_model(tmp_path, bos=False, **config)
    if config.get("eos_token_id"):  # what format 1 took from the tokenizer
        tokenizer = FolderTokenizer(location=str(tmp_path / "model")).load()
        tokenizer.eos_token = "<|endoftext|>"
        tokenizer.save_pretrained(run.folder / "seed-0" / "stage-1" / "step-0")
    found = old_rules(run)
    assert (found == []) if rule is None else found[0].startswith(rule)


def test_bos_at_its_default_is_left_out_of_the_run_id() -> None:
    arguments = {"table": "generated", "model": "tiny-gpt-neox", "entities": 100}
    recipe = find_recipe("cvdb-alpha")
    assert recipe(**arguments).run_id == recipe(**arguments, bos="auto").run_id == "af4d746900"
    assert recipe(**arguments, bos="none").run_id != recipe(**arguments).run_id
