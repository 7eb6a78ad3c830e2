"""A board of any model: a person's own prompts, and prompts that are typed into it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import InputError
from data.tokens import word_tokenizer
from interp.explorer import explore
from interp.explorer.grid import cells_of_rows
from interp.explorer.tables import chance, choices_words, lens_table, said_table
from interp.explorer.typed import Typed
from interp.explorer.view import Edit, read_view
from interp.explorer.widgets import Explorer
from interp.hooked.model import HookedModel
from interp.own.texts import prompt_pairs, prompts
from training.runs.run import Run

WORDS = [f"w{i}" for i in range(37)]
TEXTS, ANSWERS = ["w0 w1 w2", "w3 w4 w5 w6"], ["w10", "w11"]


@pytest.fixture(scope="module")
def model(random_model: Callable[[str], Any]) -> HookedModel:
    return HookedModel.from_hf(random_model("neox"), word_tokenizer(WORDS))


@pytest.fixture
def of_rows(model: HookedModel) -> Explorer:
    return explore(model, prompts(model, TEXTS, answers=ANSWERS, roles={"hero": ["w1", "w4 w5"]}))


@pytest.fixture
def of_pairs(model: HookedModel) -> Explorer:
    pairs = prompt_pairs(
        model, ["w0 w1 w2"], ["w0 w7 w2"], answers=["w10"], corrupted_answers=["w11"]
    )
    return explore(model, pairs)


def typed(explorer: Explorer, **texts: str) -> None:
    """Types into the fields, all others emptied, and asks."""
    for name, field in explorer.typing.fields.items():
        field.value = texts.get(name, "")
    explorer.typing.ask.click()


def test_the_menu_of_prompts_shows_each_of_them(of_rows: Explorer) -> None:
    assert [label for label, _ in of_rows.menus["prompt"].options] == [
        "1. w0 w1 w2",
        "2. w3 w4 w5 w6",
    ]
    of_rows.menus["prompt"].value = 1
    assert of_rows.view.prompt == ["w3", "w4", "w5", "w6"]
    of_rows.search.value = "w1"
    assert of_rows.view.prompt == ["w0", "w1", "w2"]


def test_no_subset_is_named_and_own_roles_are_coloured_each_otherwise(model: HookedModel) -> None:
    roles = {"hero": "w1", "deed": "w2", "both": "w1 w2"}
    explorer = explore(model, prompts(model, ["w0 w1 w2"], answers=["w10"], roles=roles))
    html = str(explorer.texts.value)
    assert "prompts" not in html
    assert 'title="hero" style="background:#c9dcff' in html
    assert 'title="deed" style="background:#ffdf9e' in html
    assert '<u><span title="answer"' in html
    assert html.count(">w1<") == html.count(">w2<") == 1  # roles overlap, words do not repeat
    assert explorer.board is not None
    columns = json.loads(explorer.board.figures["grid"])["layout"]["xaxis"]["ticktext"]
    assert columns == ["w0", "w1<br>hero, both", "w2<br>deed, both"]


def test_what_would_be_said_is_the_lens_at_every_layer_and_token(of_rows: Explorer) -> None:
    view = of_rows.view
    said = said_table(view, read_view(view))
    assert len(said) == (view.model.n_layers + 1) * 3
    tokens = torch.tensor([view.question.input_ids[:3]])
    probabilities = view.model.logits(tokens)[0].softmax(-1)
    last = said.loc[said["state"] == said["state"].iloc[-1]]
    assert last["token"].tolist() == view.rows.tokens(probabilities.argmax(-1).tolist())
    torch.testing.assert_close(
        torch.tensor(last["probability"].to_numpy()),
        probabilities.max(-1).values,
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(
        torch.tensor(last["answer"].to_numpy()), probabilities[:, view.answer], atol=1e-5, rtol=0
    )


def test_chance_is_of_the_prompts_answers_or_of_all_tokens(
    model: HookedModel, of_rows: Explorer
) -> None:
    assert (chance(of_rows.view), choices_words(of_rows.view)) == (1 / 2, "the 2 answers")
    typed(of_rows, prompt="w5 w6", answer="w9")
    assert chance(of_rows.view) == 1 / model.d_vocab
    lens = lens_table(of_rows.view, read_view(of_rows.view))
    assert set(lens["quantity"]) == {"answer", "all other tokens (mean)"}
    assert f"guessing among all {model.d_vocab} tokens" in str(of_rows.figures["answers"])


def test_a_mean_ablation_writes_the_mean_over_all_tokens_of_the_prompts(of_rows: Explorer) -> None:
    model, view = of_rows.view.model, of_rows.view
    hook, parts = "blocks.0.hook_mlp_out", []
    for text in ([0, 1, 2], [3, 4, 5, 6]):
        tokens = torch.tensor([[3 + word for word in text]])
        parts.append(model.run_with_cache(tokens, [hook])[1][hook][0])
    mean = torch.cat(parts).mean(0)

    def write(activation: torch.Tensor, hook: object) -> torch.Tensor:
        return torch.cat([activation[:, :1], mean[None, None], activation[:, 2:]], 1)

    with model.hooks([(hook, write)]):
        expected = model.logits(torch.tensor([view.question.input_ids[:3]]))[0, -1].log_softmax(-1)
    cells = [
        cell for cell in cells_of_rows(of_rows.grid, view)
        if cell.site.hook == hook and cell.role.position(view.question) == 1
    ]  # fmt: skip
    assert len(cells) == 1
    torch.testing.assert_close(read_view(view, cells).log_probs, expected, atol=1e-5, rtol=0)


def test_a_pair_is_patched_at_every_token(of_pairs: Explorer) -> None:
    grid = of_pairs.grid.set_index(["site", "layer", "role"])["effect"].to_dict()
    assert grid["resid_pre", 0, "token1_last"] == pytest.approx(1, abs=1e-4)
    assert grid["resid_pre", 0, "token0_last"] == pytest.approx(0, abs=1e-4)
    assert "answer of the corrupted prompt" in str(of_pairs.figures["lens"])
    assert "clean into corrupted (denoise)" in str(of_pairs.figures["grid"])


def test_cells_are_taken_back_with_another_prompt_and_that_is_said(of_rows: Explorer) -> None:
    of_rows.toggle(cells_of_rows(of_rows.grid, of_rows.view)[0])
    of_rows.menus["prompt"].value = 1
    assert of_rows.cells == ()
    assert "taken back: stream before layer 0 at token 0 (w0)" in of_rows.note.value


def test_without_a_corrupted_prompt_a_click_does_not_patch(
    of_rows: Explorer, of_pairs: Explorer
) -> None:
    assert [value for _, value in of_rows.menus["edit"].options] == ["mean", "zero"]
    assert of_rows.menus["direction"].disabled
    with pytest.raises(InputError, match="no corrupted prompt to patch from"):
        read_view(of_rows.view, cells_of_rows(of_rows.grid, of_rows.view)[:1], Edit.CORRUPTED)
    of_pairs.menus["edit"].value = "corrupted"
    of_pairs.toggle(cells_of_rows(of_pairs.grid, of_pairs.view)[0])
    typed(of_pairs, prompt="w5 w6", answer="w9")
    assert of_pairs.edit is Edit.MEAN
    assert "(from the corrupted prompt); its tokens are others" in of_pairs.note.value


def test_a_typed_prompt_is_shown_and_the_menus_one_comes_back(of_rows: Explorer) -> None:
    assert of_rows.board is not None
    before = of_rows.board.figures
    typed(of_rows, prompt="w5 w6 w7", answer="w9")
    assert of_rows.view.prompt == ["w5", "w6", "w7"]
    assert not of_rows.typing.back.disabled
    of_rows.typing.back.click()
    assert of_rows.board.figures == before
    assert of_rows.typing.back.disabled
    assert of_rows.typing.typed == Typed(prompt="w5 w6 w7", answer="w9")  # to be edited


def test_a_typed_pair_is_patched_and_its_other_answer_is_what_the_model_says(
    of_rows: Explorer,
) -> None:
    typed(of_rows, prompt="w0 w1 w2", answer="w9", corrupted="w0 w7 w2")
    view = of_rows.view
    assert view.corrupted is not None
    logits = view.model.logits(torch.tensor([view.corrupted.input_ids[:3]]))[0, -1]
    likeliest = [i for i in logits.argsort(descending=True).tolist() if i > 2 and i != view.answer]
    assert view.corrupted.input_ids[3] == likeliest[0]
    assert np.isfinite(of_rows.grid["effect"]).all()
    typed(of_rows, prompt="w0 w1 w2", answer="w9", corrupted="w0 w7 w2", corrupted_answer="w12")
    assert of_rows.view.corrupted is not None
    assert of_rows.view.rows.tokens(of_rows.view.corrupted.input_ids[3:]) == ["w12"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"prompt": "w0 nobody", "answer": "w9"}, "no word 'nobody' in this vocabulary"),
        ({"prompt": "w0 w1", "answer": "w99"}, "no word 'w99'; did you mean"),
        ({"prompt": "w0 w1", "answer": " "}, "the answer ' ' has no token; give a word"),
        ({"prompt": "", "answer": "w1"}, "the text '' has no token"),
        ({"prompt": " ".join(["w0"] * 700), "answer": "w1"}, "shorten"),
        (
            {"prompt": "w0 w1", "answer": "w9", "corrupted": "w0 w1 w2"},
            "they differ first at token 2",
        ),
        (
            {"prompt": "w0 w1", "answer": "w9", "corrupted": "w0 w2", "corrupted_answer": "w9"},
            "begin with the same token",
        ),
        ({"prompt": "w0", "answer": "w9", "corrupted_answer": "w1"}, "without a corrupted prompt"),
    ],
)
def test_what_is_wrong_with_a_typed_prompt_is_told_in_one_line_and_the_board_stays(
    of_rows: Explorer, texts: dict[str, str], message: str
) -> None:
    before = of_rows.figures
    typed(of_rows, **texts)
    said = str(of_rows.message.value).replace("&#x27;", "'")
    assert message in said
    assert "\n" not in said
    assert of_rows.figures is before
    of_rows.menus["prompt"].value = 1
    assert of_rows.message.value == ""


def test_a_model_without_a_tokenizer_shows_its_rows_and_says_that_it_reads_no_text(
    random_model: Callable[[str], Any], model: HookedModel
) -> None:
    bare = HookedModel.from_hf(random_model("neox"))
    explorer = explore(bare, prompts(model, TEXTS, answers=ANSWERS))
    assert explorer.view.prompt == ["3", "4", "5"]
    typed(explorer, prompt="w0", answer="w1")
    assert "the model has no tokenizer" in explorer.message.value


def test_a_runs_board_takes_a_typed_prompt_of_its_own_words(tiny_run: Run) -> None:
    explorer = explore(tiny_run)
    row = explorer.view.question.row
    typed(explorer, prompt=row.rendered.prompt, answer=row.rendered.answer)
    assert explorer.view.is_own
    shown = explorer.figures["answers"]
    explorer.menus["step"].value = explorer.menus["step"].options[0][1]
    assert explorer.view.is_own  # the same prompt to another checkpoint
    assert explorer.figures["answers"].to_json() != shown.to_json()
    explorer.menus["seed"].value = 1001  # where nothing has this alias
    assert not explorer.view.is_own
    assert "back to the menus&#x27; prompt: no word" in explorer.note.value
    typed(explorer, prompt="ask nobody attr0", answer=row.rendered.answer)
    assert "no word &#x27;nobody&#x27; in this vocabulary" in explorer.message.value


@pytest.mark.parametrize("nothing", [[], (), None, ["a text"], 7])
def test_no_prompts_at_all_are_refused(model: HookedModel, nothing: Any) -> None:
    with pytest.raises(InputError, match="no prompts to look at; give rows of prompts") as error:
        explore(model, nothing)
    assert "\n" not in str(error.value)


def test_prompts_that_the_model_cannot_read_are_refused(model: HookedModel, tiny_run: Run) -> None:
    (row,) = prompts(model, ["w0 w1"], answers=["w2"])
    long = replace(row, input_ids=row.input_ids * 300)
    with pytest.raises(
        InputError, match=r"900 tokens, this gpt_neox model reads \d+; give shorter"
    ):
        explore(model, [row, long])
    beyond = replace(row, input_ids=(3, 4, 9999))
    with pytest.raises(InputError, match="token 9999 is not in the vocabulary"):
        explore(model, [beyond])
    with pytest.raises(InputError, match="prompts go with a hooked model"):
        explore(tiny_run, [row])  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(InputError, match="a model has no seed"):
        explore(model, [row], seed=1)  # pyright: ignore[reportCallIssue]
    with pytest.raises(InputError, match="has no token"):
        explore(model, prompts(model, ["w0 w1"], answers=[""]))


def test_a_token_that_looks_like_markup_is_said_as_it_is(
    random_model: Callable[[str], Any],
) -> None:
    """On the page, which escapes texts itself; plotly's texts are escaped before."""
    own = HookedModel.from_hf(random_model("neox"), word_tokenizer(["<|end|>", *WORDS[1:]]))
    explorer = explore(own, prompts(own, ["<|end|> w1", "w1 w4"], answers=["w2", "w5"]))
    explorer.toggle(cells_of_rows(explorer.grid, explorer.view)[0])
    typed(explorer, prompt="w4 w1 w1", answer="w2")

    assert "at token 0 (&lt;|end|&gt;)" in explorer.note.value
    assert "&amp;" not in explorer.note.value


def test_own_prompts_have_no_tab_of_circuits(of_rows: Explorer) -> None:
    assert of_rows.circuit is None
    assert of_rows.tabs is None
    assert of_rows.board in of_rows.widget.children
