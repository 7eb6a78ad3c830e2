from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from interp.hooked.model import load_hooked, load_hooked_folder
from tests.interp.hooked.kept_state import random_state, same
from tests.interp.hooked.tiny_models import (
    difference,
    four_architectures,
    neox,
    plain_logits,
    prompts,
)

MODELS = Path(__file__).parents[3].parent / "shared" / "data" / "models"


@pytest.mark.usefixtures("nothing_random_is_drawn")
@four_architectures
def test_a_saved_model_loads_as_it_was(
    build: Callable[..., PreTrainedModel], tmp_path: Path
) -> None:
    model, tokens = build(), prompts()
    model.save_pretrained(tmp_path)
    before = random_state()
    hooked = load_hooked_folder(str(tmp_path))
    assert same(random_state(), before)
    assert difference(hooked.logits(tokens), plain_logits(model, tokens)) < 1e-5
    assert hooked.tokenizer is None


def test_load_hooked_asks_the_run_for_the_checkpoint(tmp_path: Path) -> None:
    class OneCheckpointEach:
        stops_answers = False

        def checkpoint(self, *, seed: int, stage: int, step: int | None = None) -> Path:
            return tmp_path / f"{seed}-{stage}-{step}"

    first, later, tokens = neox(0), neox(5), prompts()
    first.save_pretrained(tmp_path / "7-1-None")
    later.save_pretrained(tmp_path / "7-2-40")
    run = OneCheckpointEach()
    one = load_hooked(run, seed=7, stage=1)
    two = load_hooked(run, seed=7, stage=2, step=40)
    assert difference(one.logits(tokens), plain_logits(first, tokens)) < 1e-5
    assert difference(two.logits(tokens), plain_logits(later, tokens)) < 1e-5


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        load_hooked_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["stories-260k", "tinystories-656k"])
def test_a_real_pretrained_model_matches_hugging_face(name: str) -> None:
    if not (MODELS / name).is_dir():
        pytest.skip("no pretrained models here")
    from transformers import AutoModelForCausalLM

    hooked = load_hooked_folder(MODELS / name)
    assert hooked.tokenizer is not None
    tokens = hooked.tokenizer("Once upon a time there was a", return_tensors="pt").input_ids
    model = AutoModelForCausalLM.from_pretrained(MODELS / name)
    logits = hooked.logits(tokens)
    assert difference(logits, plain_logits(model, tokens)) < 1e-4
    assert logits[0, -1].log_softmax(-1).max() > -3  # it knows this beginning
