import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from data.errors import InputError
from data.rows import Row
from data.texts import Writing, definition_text, question_text
from data.tokenizers import FolderTokenizer, TokenizerSource, TrainedTokenizer, world_texts
from data.tokens import tokenize_rows
from data.vocabulary import Kind, Role, Split
from data.worlds.facts import FactWorld

REAL = Path(__file__).parents[2].parent / "shared" / "data"
TEXTS = tuple(
    f"Q: What did {name} do?\nA: {job}\n" for name in ("Ada", "Bob") for job in ("actor", "baker")
)
TRAINED = TrainedTokenizer(texts=TEXTS, vocabulary_size=300)
PRETRAINED = [
    pytest.param(
        FolderTokenizer(source=str(REAL / path)),
        id=name,
        marks=pytest.mark.skipif(not (REAL / path).exists(), reason="the tokenizer is not here"),
    )
    for name, path in {
        "20b": "tokenizers/20B_tokenizer.json",
        "tinystories": "models/tinystories-656k",
        "stories": "models/stories-260k",
    }.items()
]
each_tokenizer = pytest.mark.parametrize("source", [pytest.param(TRAINED, id="own"), *PRETRAINED])


def row_of(rendered) -> Row:
    return Row(
        row_id="row",
        subset="D1_CONS_QA1",
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
def test_roles_and_answer_are_the_tokens_that_say_them(source: TokenizerSource, answer: str):
    tokenizer = source.load()
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


@pytest.mark.parametrize("source", PRETRAINED)
def test_character_outside_a_pretrained_vocabulary_is_not_lost(source: TokenizerSource) -> None:
    tokenizer = source.load()
    (tokenized,) = tokenize_rows([question("Zoë")], tokenizer)
    said = [tokenized.input_ids[i] for i in tokenized.answer_positions]
    assert tokenizer.unk_token_id in said or str(tokenizer.decode(said)).strip() == "Zoë"


@each_tokenizer
def test_prompt_is_tokenized_as_the_beginning_of_the_whole_text(source: TokenizerSource) -> None:
    tokenizer = source.load()
    row = question("actor")
    (tokenized,) = tokenize_rows([row], tokenizer)
    prompt = tokenizer(row.rendered.prompt, add_special_tokens=False)["input_ids"]
    assert list(tokenized.input_ids[: tokenized.answer_positions[0]]) == prompt


@each_tokenizer
def test_bracketed_definition_has_an_alias_of_several_tokens(source: TokenizerSource) -> None:
    tokenizer = source.load()
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
def test_tokenizer_has_an_end_token_and_something_to_pad_with(source: TokenizerSource) -> None:
    tokenizer = source.load()
    assert isinstance(tokenizer.eos_token_id, int)
    assert isinstance(tokenizer.pad_token_id, int)
    assert source.load() is tokenizer, "loaded once"


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
    again = FolderTokenizer(source=str(tmp_path)).load()
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
    for source in (path, tmp_path):
        tokenizer = FolderTokenizer(source=str(source)).load()
        assert tokenizer.eos_token_id == tokenizer.pad_token_id == 2


def test_tokenizer_without_an_end_token_is_refused(tmp_path: Path) -> None:
    path = bare_file(tmp_path, "[UNK]", "word")
    with pytest.raises(InputError, match="has no end token; set eos_token"):
        FolderTokenizer(source=str(path)).load()


@pytest.mark.parametrize("text", ["", "not json", json.dumps({"model": {"type": "Magic"}})])
def test_damaged_tokenizer_file_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is no tokenizer") as raised:
        FolderTokenizer(source=str(path)).load()
    assert len(str(raised.value).splitlines()) == 1


def test_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tokenizer"):
        FolderTokenizer(source=str(tmp_path)).load()
