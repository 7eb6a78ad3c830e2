from collections.abc import Callable

from data.tables import COLUMNS, dataset_dict, row_record
from data.tasks.alias_toy import IMLConfig
from data.tokens import TokenizedRow, tokenize_rows, word_tokenizer
from data.vocabulary import Kind, Role


def tokenized(config: IMLConfig) -> list[TokenizedRow]:
    drawn = config.build(0)
    return tokenize_rows(drawn.rows, word_tokenizer(drawn.words))


def test_record_has_the_columns_of_the_contract(iml_config: Callable[..., IMLConfig]) -> None:
    contract = (
        "row_id seed stage split subset kind text prompt answer alias entity tag question "
        "input_ids answer_positions spans"
    )
    assert " ".join(COLUMNS) == contract
    assert list(row_record(tokenized(iml_config())[0], 0)) == contract.split()


def test_record_of_a_definition_says_what_stands_where(
    iml_config: Callable[..., IMLConfig],
) -> None:
    row = next(r for r in tokenized(iml_config()) if r.row.kind is Kind.DEFINITION)
    record = row_record(row, 5)
    tag, alias, copula, entity = record["text"].split()
    assert (record["tag"], record["alias"], record["entity"]) == (tag, alias, entity)
    assert (record["prompt"], record["answer"]) == (f"{tag} {alias} {copula}", entity)
    assert (record["seed"], record["stage"], record["kind"]) == (5, 1, "definition")
    assert record["spans"] == {"tag": [0, 0], "alias": [1, 1], "entity": [3, 3]}
    assert record["answer_positions"] == [3]
    assert len(record["input_ids"]) == 4
    assert record["question"] is None


def test_datasets_hold_what_is_trained_and_what_is_asked(
    iml_config: Callable[..., IMLConfig],
) -> None:
    rows = tokenized(iml_config())
    datasets = dataset_dict(rows, 0)
    assert {name: len(split) for name, split in datasets.items()} == {
        "stage1": 18 + 24 + 48 + 10,
        "stage2": 12,
        "evaluation": 18 + 24 + 5 + 4 * 4 * 3,
    }
    ids = [row["row_id"] for row in datasets["stage2"]]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert ids == [r.row.row_id for r in rows if r.row.subset.part == 2 and r.row.split == "train"]


def test_datasets_have_one_schema_with_every_role(iml_config: Callable[..., IMLConfig]) -> None:
    datasets = dataset_dict(tokenized(iml_config()), 0)
    features = datasets["stage1"].features
    assert tuple(features) == COLUMNS
    assert all(split.features == features for split in datasets.values())
    assert list(features["spans"]) == [str(role) for role in Role]
    spans = datasets["stage2"][0]["spans"]
    assert spans["alias"] == [1, 1]
    assert spans["question"] is None
