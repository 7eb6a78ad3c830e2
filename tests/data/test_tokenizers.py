import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, processors

from data.errors import InputError
from data.facts import FactWorld
from data.rows import Row
from data.tasks.iml import SUBSETS
from data.texts import Writing, definition_text, question_text
from data.tokenizers import (
    Bos,
    FolderTokenizer,
    TokenizerProvider,
    TrainedTokenizer,
    front_tokens,
    world_texts,
)
from data.tokens import tokenize_rows
from data.vocabulary import Kind, Role, Split

REAL = Path(__file__).parents[2].parent / "shared" / "data"
TEXTS = tuple(
    f"Q: What did {name} do?\nA: {job}\n" for name in ("Ada", "Bob") for job in ("actor", "baker")
)
TRAINED = TrainedTokenizer(texts=TEXTS, vocabulary_size=300)
PRETRAINED = [
    pytest.param(
        FolderTokenizer(location=str(REAL / path)),
        id=name,
        marks=pytest.mark.skipif(not (REAL / path).exists(), reason="the tokenizer is not here"),
    )
    for name, path in {
        "20b": "tokenizers/20B_tokenizer.json",
        "tinystories": "models/tinystories-656k",
        "stories": "models/stories-260k",
    }.items()
]
each_tokenizer = pytest.mark.parametrize("provider", [pytest.param(TRAINED, id="own"), *PRETRAINED])


def row_of(rendered) -> Row:
    return Row(
        row_id="row",
        subset=SUBSETS["D1_CONS_QA1"],
        split=Split.TRAIN,
        kind=Kind.QA,
        rendered=rendered,
        alias=None,
        entity=None,
        tag=None,
        question=None,
    )


def question(answer: str = "actor") -> Row:
    template = "What did {} do?"
    writing = Writing(newline=True)
    rendered = question_text(
        writing, template=template, subject="xyz", role=Role.ALIAS, answer=answer
    )
    return row_of(rendered)


def bare_file(folder: Path, *tokens: str) -> Path:
    vocabulary = {token: i for i, token in enumerate(tokens)}
    path = folder / "tokenizer.json"
    Tokenizer(models.WordLevel(vocabulary, unk_token=tokens[0])).save(str(path))
    return path


@each_tokenizer
@pytest.mark.parametrize("answer", ["actor", "militar", "1900s", "Ada Lovelace"])
def test_roles_and_answer_are_the_tokens_that_say_them(provider: TokenizerProvider, answer: str):
    tokenizer = provider.load()
    row = question(answer)
    (tokenized,) = tokenize_rows([row], tokenizer)

    def said(first: int, last: int) -> str:
        return str(tokenizer.decode(list(tokenized.input_ids[first : last + 1])))

    spans = tokenized.spans
    assert said(*spans[Role.ALIAS]).strip() == "xyz"
    assert spans[Role.ALIAS][1] > spans[Role.ALIAS][0]
    assert said(*spans[Role.ANSWER]).strip() == answer
    assert said(*spans[Role.QUESTION]).strip() == "do?"
    positions = tokenized.answer_positions
    assert said(positions[0], positions[-1]).strip() == answer
    assert len(tokenized.input_ids) > positions[-1] + 1, "the newline comes after the answer"


@pytest.mark.parametrize("provider", PRETRAINED)
def test_character_outside_a_pretrained_vocabulary_is_not_lost(provider: TokenizerProvider) -> None:
    tokenizer = provider.load()
    (tokenized,) = tokenize_rows([question("Zoë")], tokenizer)
    said = [tokenized.input_ids[i] for i in tokenized.answer_positions]
    assert tokenizer.unk_token_id in said or str(tokenizer.decode(said)).strip() == "Zoë"


@each_tokenizer
def test_prompt_is_tokenized_as_the_beginning_of_the_whole_text(
    provider: TokenizerProvider,
) -> None:
    tokenizer = provider.load()
    row = question("actor")
    (tokenized,) = tokenize_rows([row], tokenizer)
    bare = tokenizer(row.rendered.prompt, add_special_tokens=False)["input_ids"]
    prompt = [*front_tokens(tokenizer), *bare]
    assert list(tokenized.input_ids[: tokenized.answer_positions[0]]) == prompt


@each_tokenizer
def test_bracketed_definition_has_an_alias_of_several_tokens(provider: TokenizerProvider) -> None:
    tokenizer = provider.load()
    rendered = definition_text(
        Writing(bracketed=True, newline=True), tag="<|abcdef|>", alias="<|xyzzy|>", entity="Ada Lo"
    )
    (tokenized,) = tokenize_rows([row_of(rendered)], tokenizer)
    for role, words in (
        (Role.TAG, "<|abcdef|>"),
        (Role.ALIAS, "<|xyzzy|>"),
        (Role.ENTITY, "Ada Lo"),
    ):
        first, last = tokenized.spans[role]
        assert str(tokenizer.decode(list(tokenized.input_ids[first : last + 1]))).strip() == words


@each_tokenizer
def test_tokenizer_has_an_end_token_and_something_to_pad_with(provider: TokenizerProvider) -> None:
    tokenizer = provider.load()
    assert isinstance(tokenizer.eos_token_id, int)
    assert isinstance(tokenizer.pad_token_id, int)
    assert provider.load() is tokenizer, "loaded once"


def test_trained_tokenizer_knows_words_of_its_texts_and_spells_any_other() -> None:
    tokenizer = TRAINED.load()
    assert tokenizer.tokenize("A: actor") == ["A", ":", "Ġactor"]
    assert tokenizer.convert_tokens_to_ids("<|endoftext|>") == tokenizer.eos_token_id == 0
    assert len(tokenizer.tokenize("A: 王")) == 6  # a space and three bytes
    assert tokenizer.decode(tokenizer("xyz <|q|> 王\n")["input_ids"]) == "xyz <|q|> 王\n"


def test_vocabulary_is_no_larger_than_asked_for() -> None:
    tokenizer = TrainedTokenizer(texts=TEXTS, vocabulary_size=260).load()
    assert len(tokenizer) == 260
    with pytest.raises(InputError, match="use 257 or more"):
        TrainedTokenizer(texts=TEXTS, vocabulary_size=256)


def test_trained_tokenizer_is_the_same_in_every_process() -> None:
    program = (
        "import random, hashlib\n"
        "from data.tokenizers import TrainedTokenizer\n"
        "rng = random.Random(0)\n"
        "words = [''.join(rng.choices('abcdefgh', k=4)) for _ in range(3000)]\n"
        "texts = tuple(' '.join(words[i:i + 5]) for i in range(len(words) - 5))\n"
        "tokenizer = TrainedTokenizer(texts=texts, vocabulary_size=900).load()\n"
        "made = tokenizer.backend_tokenizer.to_str()\n"
        "print(hashlib.sha256(made.encode()).hexdigest())\n"
    )
    settings = [("0", "false", "1"), ("7", "true", "4")]
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "TOKENIZERS_PARALLELISM": parallel,
                "RAYON_NUM_THREADS": threads,
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, parallel, threads in settings
    }
    assert len(digests) == 1
    assert digests.pop().strip() != hashlib.sha256(b"").hexdigest()


def test_saved_tokenizer_is_read_as_it_was(tmp_path: Path) -> None:
    tokenizer = TRAINED.load()
    tokenizer.save_pretrained(tmp_path)
    again = FolderTokenizer(location=str(tmp_path)).load()
    text = TEXTS[0] + "xyz 王"
    for each in ("input_ids", "offset_mapping"):
        assert (
            again(text, return_offsets_mapping=True)[each]
            == (tokenizer(text, return_offsets_mapping=True)[each])
        )
    assert again.pad_token_id == again.eos_token_id == tokenizer.eos_token_id


def test_world_is_asked_every_question_once() -> None:
    world = FactWorld(
        name="two",
        questions={"born": "When was {} born?", "job": "What did {} do?"},
        facts={"Ada": {"born": ("1815", "1810s"), "job": ("count",)}},
    )
    assert world_texts(world) == (
        "Q: When was Ada born?\nA: 1815\n",
        "Q: What did Ada do?\nA: count\n",
    )


@pytest.mark.parametrize("end", ["<|endoftext|>", "</s>"])
def test_bare_tokenizer_file_ends_with_a_token_of_a_known_name(end: str, tmp_path: Path) -> None:
    path = bare_file(tmp_path, "[UNK]", "word", end)
    for location in (path, tmp_path):
        tokenizer = FolderTokenizer(location=str(location)).load()
        assert tokenizer.eos_token_id == tokenizer.pad_token_id == 2


def test_tokenizer_without_an_end_token_is_refused(tmp_path: Path) -> None:
    path = bare_file(tmp_path, "[UNK]", "word")
    with pytest.raises(InputError, match="has no end token; set eos_token"):
        FolderTokenizer(location=str(path)).load()


@pytest.mark.parametrize("text", ["", "not json", json.dumps({"model": {"type": "Magic"}})])
def test_damaged_tokenizer_file_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is no tokenizer") as raised:
        FolderTokenizer(location=str(path)).load()
    assert len(str(raised.value).splitlines()) == 1


def test_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tokenizer"):
        FolderTokenizer(location=str(tmp_path)).load()


def llama_like(folder: Path) -> None:
    """Saves a tokenizer whose file puts `<s>` in front, as those of Llama-likes do."""
    inner = Tokenizer.from_str(TRAINED.load().backend_tokenizer.to_str())
    inner.add_special_tokens(["<s>", "</s>", "<pad>"])
    template = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", inner.token_to_id("<s>"))]
    )
    inner.post_processor = template  # pyright: ignore[reportAttributeAccessIssue]
    folder.mkdir(exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    said = {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def write_config(folder: Path, model_type: str, **ids: object) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, **ids}))


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gpt_neox", "mistral", "opt", "qwen2"])
@pytest.mark.parametrize("bos", Bos)
def test_checkpoints_tokenizer_gives_the_runs_ids(
    bos: Bos, model_type: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    llama_like(tmp_path / "model")
    provider = FolderTokenizer(location=str(tmp_path / "model"), bos=bos)
    tokenizer = provider.load()
    assert provider.load() is tokenizer
    tokenizer.save_pretrained(tmp_path / "checkpoint")
    write_config(tmp_path / "checkpoint", model_type)
    again = AutoTokenizer.from_pretrained(tmp_path / "checkpoint", local_files_only=True)
    (row,) = tokenize_rows([question()], tokenizer)
    assert again(row.row.rendered.text)["input_ids"] == list(row.input_ids)
    first = tokenizer.convert_tokens_to_ids("<s>")
    assert (row.input_ids[0] == first) is (bos is Bos.AUTO)
    assert first not in row.input_ids[1:]
    (same,) = tokenize_rows([question()], again)
    assert (same.input_ids, same.spans) == (row.input_ids, row.spans)


def test_tokenizer_itself_says_whether_a_text_has_a_first_token(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    llama_like(tmp_path)
    tokenizer = FolderTokenizer(location=str(tmp_path)).load()
    own = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert front_tokens(tokenizer) == front_tokens(own) == (own.bos_token_id,)
    assert front_tokens(FolderTokenizer(location=str(tmp_path), bos=Bos.NONE).load()) == ()
    assert front_tokens(TRAINED.load()) == ()


def test_ids_that_a_models_config_names_come_before_a_guess(tmp_path: Path) -> None:
    """`<|endoftext|>`, looked for first, is here a word like any other."""
    bare_file(tmp_path, "<|endoftext|>", "word", "</s>", "<pad>")
    for ids, expected in (
        ({}, ("<|endoftext|>", "<|endoftext|>")),
        ({"eos_token_id": 2}, ("</s>", "</s>")),
        ({"eos_token_id": [2, 0], "pad_token_id": 3}, ("</s>", "<pad>")),
        ({"eos_token_id": None, "pad_token_id": -1}, ("<|endoftext|>", "<|endoftext|>")),
        ({"eos_token_id": 99}, ("<|endoftext|>", "<|endoftext|>")),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        shutil.copy(tmp_path / "tokenizer.json", folder)
        write_config(folder, "t5", **ids)
        tokenizer = FolderTokenizer(location=str(folder)).load()
        assert (tokenizer.eos_token, tokenizer.pad_token) == expected, ids


def test_end_token_of_several_that_the_config_names_stays(tmp_path: Path) -> None:
    llama_like(tmp_path)
    vocabulary = FolderTokenizer(location=str(tmp_path)).load().get_vocab()
    ids = [vocabulary["<pad>"], vocabulary["</s>"]]
    for named, expected in ((ids, "</s>"), (ids[:1], "<pad>")):
        folder = tmp_path / expected.strip("</>")
        llama_like(folder)
        write_config(folder, "llama", eos_token_id=named)
        assert FolderTokenizer(location=str(folder)).load().eos_token == expected


STORIES = REAL / "models" / "tinystories-656k"


@pytest.mark.skipif(not STORIES.is_dir(), reason="the pretrained model is not here")
def test_real_model_reads_its_own_stories_better_behind_its_first_token() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(STORIES, dtype=torch.float32)
    text = "Once upon a time, there was a little girl named Lily. She loved to play outside."
    losses = {}
    for bos in Bos:
        tokenizer = FolderTokenizer(location=str(STORIES), bos=bos).load()
        ids = torch.tensor(tokenizer(text)["input_ids"])
        with torch.no_grad():
            log_probs = model(ids[None]).logits[0].log_softmax(1)
        n = len(ids) - len(front_tokens(tokenizer)) - 1
        losses[bos] = -log_probs[:-1].gather(1, ids[1:, None])[-n:].mean().item()
    assert losses[Bos.AUTO] < losses[Bos.NONE] - 0.3
