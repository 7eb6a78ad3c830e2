"""What is true of a planted run: the record beside it, which no tool reads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from data.errors import DamagedError, InputError
from interp.planted.asking import Component
from interp.planted.frame import GATE, RECITER, TAGGER
from interp.planted.kinds import HYPOTHESES, Kind
from interp.planted.seeds import PlantedSeed, circuit_of
from training.files import read_json

PLANTED_FILE = "planted.json"
SHARES = {"storage": 1.0, "mixture": 0.5}


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What a planted run's models do, and by how much. Units are named as those of circuits."""

    kind: str
    draw: int
    meaning: str
    has_gap: bool
    """Whether the tag changes how questions are answered."""
    hypotheses: Mapping[str, bool]
    """Which of `kinds.HYPOTHESES` are true of it."""
    storage_share: float
    """Of the gap in nats, the share that is made by writing in another code."""
    question_units: Sequence[str]
    """The units that a question about an alias is answered by."""
    gate_unit: str
    """The unit among them that looks at what the tag left; empty where none does."""
    definition_units: Sequence[str]
    """The units that a definition is recited by."""
    stored_in: str
    """The weights that Stage 2 changes."""
    seeds: Mapping[str, Mapping[str, Any]]
    """By seed: the amounts that were written, and what the gate measured."""
    null_seeds: Mapping[str, Mapping[str, Any]]
    """The same of the null twin."""

    @classmethod
    def of(
        cls,
        kind: Kind,
        draw: int,
        made: Mapping[int, PlantedSeed],
        null: Mapping[int, PlantedSeed],
    ) -> "Planted":
        """The record of seeds that were made."""
        frame = next(iter(made.values())).frame
        return cls(
            kind=kind.name,
            draw=draw,
            meaning=kind.meaning,
            has_gap=kind.has_gap,
            hypotheses={name: name in kind.hypotheses for name in HYPOTHESES},
            storage_share=SHARES.get(kind.name, 0.0),
            question_units=[_unit(each, "question") for each in circuit_of(kind, frame)],
            gate_unit=_unit((0, frame.heads[GATE]), "question") if kind.has_gate else "",
            definition_units=[
                _unit(each, "other")
                for each in ((0, frame.heads[RECITER]), (0, frame.heads[TAGGER]), (1, None))
            ],
            stored_in="the embedding rows of the aliases",
            seeds={str(seed): _record(each) for seed, each in made.items()},
            null_seeds={str(seed): _record(each) for seed, each in null.items()},
        )


def _record(planted: PlantedSeed) -> dict[str, Any]:
    return {"amounts": asdict(planted.amounts), "gate": asdict(planted.gate)}


def _unit(component: Component, role: str) -> str:
    layer, head = component
    return f"m{layer}@{role}" if head is None else f"a{layer}.h{head}@{role}"


def read_planted(folder: Path) -> Planted:
    """The record of a planted run.

    Raises:
        InputError: the folder holds none.
        DamagedError: the record cannot be read.
    """
    path = folder / PLANTED_FILE
    if not path.is_file():
        raise InputError(
            f"{folder} is no planted run; choose one, or another folder to make one in"
        )
    content = read_json(path)
    wanted = {field.name for field in fields(Planted)}
    if not isinstance(content, dict) or set(content) != wanted:
        raise DamagedError(f"{path} is no record of a planted run; make the run anew")
    return Planted(**content)
