"""Every analysis of a chat model: grouped heads, tied embeddings, a token for each digit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from data.tokens import TokenizedRow, tokenize_rows
from interp.cli import main
from interp.hooked.model import HookedModel
from interp.hooked.sites import choose_sites
from interp.interventions.ablation_analysis import AblationAnalysis
from tests.training.models.tiny_gguf import (
    D_MODEL,
    N_HEADS,
    N_KEYS,
    chat_llama,
    chat_tokenizer,
    write_gguf,
)
from training.recipes import find_recipe

D_HEAD = D_MODEL // N_HEADS


@pytest.fixture(scope="module")
def rows() -> list[TokenizedRow]:
    """Rows about people, as the chat model's tokenizer reads them."""
    recipe = find_recipe("cvdb-two-stage")
    config = recipe(**{**recipe.smoke, "entities": 60})
    return tokenize_rows(config.data.build(900).rows, chat_tokenizer())


def answers(model: torch.nn.Module, rows: list[TokenizedRow]) -> list[float]:
    """The log-probability of each row's answer, a row at a time."""
    found = []
    for row in rows:
        tokens = torch.tensor([row.input_ids])
        with torch.no_grad():
            logits = model(tokens).logits[0].double().log_softmax(-1)
        found.append(sum(logits[p - 1, row.input_ids[p]].item() for p in row.answer_positions))
    return found


def test_each_digit_is_a_token_and_nothing_stands_in_front(rows: list[TokenizedRow]):
    tokenizer = chat_tokenizer()
    texts = [tokenizer.convert_ids_to_tokens(list(row.input_ids)) for row in rows]

    with_digits = {token for text in texts for token in text if any(c.isdigit() for c in token)}
    assert with_digits
    assert with_digits <= set("0123456789")
    assert all(row.input_ids[0] != tokenizer.bos_token_id for row in rows)


def test_a_shared_value_without_its_rows_is_what_ablating_it_measures(rows: list[TokenizedRow]):
    plain = chat_llama()
    hooked = HookedModel.from_hf(plain)
    asked = [row for row in rows if row.row.is_evaluated and row.row.alias is not None]
    limited = [row for row in asked if row.row.subset.name == "D5_CONS"][:6]
    analysis = AblationAnalysis(limit=6, n_random=1)

    table = analysis.measure(hooked, limited, choose_sites(hooked, ["v"], [0]), seed=0).table

    measured = table.query("intervention == 'zero' and metric == 'answer_log_prob'")
    assert sorted(measured["head"]) == list(range(N_KEYS))
    before = answers(plain, limited)
    for head in range(N_KEYS):
        changed = chat_llama()
        with torch.no_grad():
            value = changed.get_parameter("model.layers.0.self_attn.v_proj.weight")
            value[head * D_HEAD : (head + 1) * D_HEAD] = 0
        after = answers(changed, limited)
        expected = sum(after) / len(after) - sum(before) / len(before)
        assert abs(expected) > 1e-4
        assert measured.set_index("head").loc[head, "effect"] == pytest.approx(expected, abs=1e-4)


@pytest.fixture(scope="module")
def chat_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of the chat model, out of its GGUF file, and its null twin; tables are added to it."""
    folder = tmp_path_factory.mktemp("chat")
    model = write_gguf(folder / "chat.gguf")
    words = ["alias_tokens=3", "alias_letters=3", "loss_policy=text", "entities=100"]
    settings = [w for word in [f"model={model}", *words] for w in ("--set", word)]
    smoke = ["run", "cvdb-two-stage", "--smoke", "--with-null", "--seeds", "900:902"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IML_MODELS", str(folder / "kept"))
        assert main([*smoke, *settings, "--out", str(folder / "run")]) == 0
        yield folder / "run"


ONE = ["--seed", "900"]
COMMANDS: dict[str, list[str]] = {
    "probe": [*ONE, "--quick"],
    "probe keys": [*ONE, "--quick", "--site", "k"],
    "lens": ONE,
    "patch": [*ONE, "--confidence", "0", "--limit", "6"],
    "patch a key": [*ONE, "--confidence", "0", "--limit", "6", "--site", "k", "--head", "1"],
    "attention": ONE,
    "ablate": ONE,
    "ablate values": [*ONE, "--site", "v"],
    "erase": ONE,
    "circuit": [*ONE, "--limit", "6"],
    "circuit --scores eap": [*ONE, "--limit", "6", "--stage", "2"],
    "circuit --necessity": [*ONE, "--limit", "6", "--others", "1"],
    "transplant": ONE,
    "align": [*ONE, "--limit", "8"],
    "align --components module": [*ONE, "--limit", "8"],
    "mediate": ["--limit", "8"],
    "twins": ["--exchanged-in", "2"],
    "hypothesis": [],
    "sae": ["--k", "2", "--features", "16", "--steps", "2"],
    "report": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("what", COMMANDS)
def test_every_analysis_runs(what: str, chat_run: Path, capsys: pytest.CaptureFixture[str]):
    command, *options = what.split()
    options = options if options and options[0].startswith("--") else []

    assert main([command, *options, str(chat_run), *COMMANDS[what]]) == 0, capsys.readouterr().err


REFUSED = {
    "circuit": (["--edges"], "has 2 keys and values for 6 heads, so there are no edges of one"),
    "turn": ([], "aliases of this run have several tokens"),
    "codes": ([], "tokens, so that their embeddings cannot be compared"),
    "patch": (["--site", "k", "--head", "5"], "no head 5 at k of layer 0, which has 2; choose"),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", REFUSED)
def test_what_cannot_be_asked_of_it_is_refused_by_name(
    command: str, chat_run: Path, capsys: pytest.CaptureFixture[str]
):
    options, message = REFUSED[command]

    assert main([command, str(chat_run), *options]) == 2

    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert message in said
