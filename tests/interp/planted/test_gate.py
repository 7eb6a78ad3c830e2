"""The gate accepts what is planted, and refuses what has a second way to the answer."""

import pytest
import torch

from data.errors import InputError
from data.vocabulary import Stage
from interp.planted.asking import Questions
from interp.planted.gate import pass_gate
from interp.planted.kinds import KINDS
from interp.planted.processes import PARAMETERS, RECIPE
from interp.planted.seeds import EMBEDDING, PlantedSeed, circuit_of
from training.material import SeedMaterial
from training.recipes import find_recipe

SEED = 7


@pytest.mark.slow
def test_the_gate_sees_what_is_not_planted() -> None:
    config = find_recipe(RECIPE)(**PARAMETERS)
    kind = KINDS["storage"]
    planted = PlantedSeed.build(config, kind, seed=SEED, draw_seed=SEED, is_null=False)
    assert planted.gate.interchange >= 0.99
    material = SeedMaterial.build(config, SEED)
    model = config.model.make(material.tokenizer, seed=SEED, max_length=8).eval()
    planted.write(model, Stage.TWO, 1.0)
    tokens = [alias.token for alias in planted.rows.aliases]
    asked = Questions.of(model, material.rows, tokens).of_subsets(config.design.main.names)
    rows = model.get_parameter(EMBEDDING)[tokens].detach().clone()
    circuit = circuit_of(kind, planted.frame)

    def judge(rows: torch.Tensor, circuit: list[tuple[int, int | None]]) -> None:
        report = pass_gate(asked, rows, planted.frame, circuit=circuit, seed=SEED)
        report.require_passed("a model")

    judge(rows, list(circuit))
    mover, lookup = circuit
    with pytest.raises(InputError, match="of the answers change with what is outside"):
        judge(rows, [mover])
    with pytest.raises(InputError, match="interchange accuracy of the planted circuit"):
        judge(rows, [lookup])
    # A second code for every other alias, where nobody is told of it: its row is not what it seems.
    hidden = rows.clone()
    hidden[::2] += 3 * planted.frame.one("question")
    with pytest.raises(InputError, match="fails its gate"):
        judge(hidden, list(circuit))
