"""The exam of SmolLM2, where the catalogue has it."""

from dataclasses import replace
from statistics import fmean

import pytest
import torch

from data.errors import InputError
from data.texts import Writing
from data.tokenizers import FolderTokenizer
from data.worlds.cvdb import CvdbWorld, Missing
from data.worlds.famous_people import FAMOUS_PEOPLE
from interp.report.guessing import best_guess
from training.exam_paper import Paper, ask
from training.models.elsewhere import NamedModel
from training.threads import one_thread

SMOLLM2 = NamedModel(location="smollm2-135m")


@pytest.mark.slow
@pytest.mark.parametrize("question", ["gender", "nationality"])
def test_smollm2_says_what_no_guess_would(question: str) -> None:
    try:
        SMOLLM2.check()
    except InputError:
        pytest.skip("smollm2-135m is not here")
    world = CvdbWorld(table=str(FAMOUS_PEOPLE), n_entities=1000, missing=Missing.SKIP).load()
    paper = Paper.of(world, writing=Writing(), shown=8, any_answer=True)
    few = replace(paper, rows=tuple(r for r in paper.rows if r.question == question)[:60])
    tokenizer = FolderTokenizer(location=SMOLLM2.location).load()
    with one_thread(), torch.no_grad():
        model = SMOLLM2.make(tokenizer, seed=0, max_length=400)
        found = ask(model, tokenizer, few, question)

    guess = best_guess([(question, answer) for answer in found["answer"]])
    assert fmean(found["exact_match"]) > guess["exact_match"] + 0.1
