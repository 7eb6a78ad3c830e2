"""Rows as tables: one record a row, a pandas frame, a `datasets.DatasetDict`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from data.tokens import TokenizedRow
from data.vocabulary import Part, Role, Split

if TYPE_CHECKING:
    from datasets import DatasetDict

COLUMNS = (
    "row_id",
    "seed",
    "stage",
    "split",
    "subset",
    "kind",
    "text",
    "prompt",
    "answer",
    "alias",
    "entity",
    "tag",
    "question",
    "input_ids",
    "answer_positions",
    "spans",
)
"""What `iml data --json` prints, in this order."""


def row_record(tokenized: TokenizedRow, seed: int) -> dict[str, Any]:
    """One row under the names of `COLUMNS`, in JSON's types; `spans` holds only roles it has."""
    row = tokenized.row
    return {
        "row_id": row.row_id,
        "seed": seed,
        "stage": int(row.subset.part),
        "split": str(row.split),
        "subset": row.subset.name,
        "kind": str(row.kind),
        "text": row.rendered.text,
        "prompt": row.rendered.prompt,
        "answer": row.rendered.answer,
        "alias": row.alias,
        "entity": row.entity,
        "tag": row.tag,
        "question": row.question,
        "input_ids": list(tokenized.input_ids),
        "answer_positions": list(tokenized.answer_positions),
        "spans": {str(role): list(span) for role, span in tokenized.spans.items()},
    }


def dataset_dict(rows: Sequence[TokenizedRow], seed: int) -> "DatasetDict":
    """Splits `stage1` and `stage2` (what is trained) and `evaluation` (what is asked).

    Every split has every role in `spans`, None where a row lacks it: a table has one schema.
    """
    from datasets import Dataset, DatasetDict, Features, List, Value

    strings = ("row_id", "split", "subset", "kind", "text", "prompt", "answer")
    strings += ("alias", "entity", "tag", "question")
    features: dict[str, Any] = {name: Value("string") for name in strings}
    features |= {name: Value("int64") for name in ("seed", "stage")}
    features |= {name: List(Value("int64")) for name in ("input_ids", "answer_positions")}
    features["spans"] = {str(role): List(Value("int64")) for role in Role}

    def split(chosen: list[TokenizedRow]) -> Dataset:
        records = [row_record(row, seed) for row in chosen]
        for record in records:
            record["spans"] = {str(role): record["spans"].get(str(role)) for role in Role}
        ordered = Features({name: features[name] for name in COLUMNS})
        columns = {name: [record[name] for record in records] for name in COLUMNS}
        return Dataset.from_dict(columns, features=ordered)

    trained = [row for row in rows if row.row.split is Split.TRAIN]
    return DatasetDict(
        {
            "stage1": split([row for row in trained if row.row.subset.part is Part.X1]),
            "stage2": split([row for row in trained if row.row.subset.part is Part.X2]),
            "evaluation": split([row for row in rows if row.row.is_evaluated]),
        }
    )
