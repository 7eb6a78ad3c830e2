"""One seed of a planted run: its weights at every moment of training, and its gate."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.vocabulary import Stage
from interp.planted.asking import Component, Questions
from interp.planted.calibration import Matched, calibrate
from interp.planted.frame import GATE, MOVER, Frame, draw_frame
from interp.planted.gate import GateReport, pass_gate
from interp.planted.kinds import Kind
from interp.planted.wiring import planted_weights
from interp.planted.words import Words
from interp.planted.writes import AliasRows, Amounts
from training.config import RunConfig
from training.material import SeedMaterial

DECAYED = 0.08
"""What is left of the random weights at the end of Stage 1, beside what is planted."""
EMBEDDING = "gpt_neox.embed_in.weight"


@dataclass(frozen=True, kw_only=True)
class PlantedSeed:
    """What fixes the weights of a seed at every step."""

    material: SeedMaterial
    """The rows that the seed is trained and measured on."""
    frame: Frame
    amounts: Amounts
    gate: GateReport
    rows: AliasRows
    random: dict[str, Tensor]
    """The weights before Stage 1, as any run's."""
    added: dict[str, Tensor]
    """What is planted in them by the end of Stage 1, but for the aliases."""

    @classmethod
    @torch.no_grad()
    def build(
        cls, config: RunConfig, kind: Kind, *, seed: int, draw_seed: int, is_null: bool
    ) -> "PlantedSeed":
        """Draws, calibrates and tests a seed; writes nothing.

        Raises:
            InputError: the model does not pass its gate.
        """
        material = SeedMaterial.build(config, seed)
        words = Words.of(material.rows)
        longest = config.longest_text(material.rows)
        model = config.model.make(material.tokenizer, seed=seed, max_length=longest).eval()
        frame = draw_frame(
            seed=seed,
            draw_seed=draw_seed,
            d_model=model.config.hidden_size,
            n_heads=model.config.num_attention_heads,
            counts={
                "values": len(words.values),
                "entities": len(words.entities),
                "questions": len(words.questions),
            },
        )
        random = {name: value.detach().clone() for name, value in model.named_parameters()}
        added = planted_weights(model, frame, words, kind, seed=seed, is_null=is_null)
        rows = AliasRows.draw(words, kind, frame, seed=seed, is_null=is_null)
        _write(model, random, added, 1.0)
        base = model.get_parameter(EMBEDDING)[words.alias_tokens].clone()
        questions = Questions.of(model, material.rows, words.alias_tokens)
        matched = Matched.of(config.design.subsets, config.design.main.names)
        amounts = calibrate(rows, base, questions, matched)
        compared = questions.of_subsets(matched.compared)
        gate = pass_gate(
            compared,
            base + rows.at(amounts, stage1=1.0, stage2=1.0),
            frame,
            circuit=circuit_of(kind, frame),
            seed=seed,
        )
        gate.require_passed(f"planted kind {kind.name}, seed {seed}{', null' if is_null else ''}")
        return cls(
            material=material,
            frame=frame,
            amounts=amounts,
            gate=gate,
            rows=rows,
            random=random,
            added=added,
        )

    @torch.no_grad()
    def write(self, model: PreTrainedModel, stage: Stage, done: float) -> None:
        """Gives a model the weights that it has when so much of a stage, from 0 to 1, is done."""
        is_first = stage is Stage.ONE
        _write(model, self.random, self.added, done if is_first else 1.0)
        tokens = [alias.token for alias in self.rows.aliases]
        stages = {"stage1": done, "stage2": 0.0} if is_first else {"stage1": 1.0, "stage2": done}
        model.get_parameter(EMBEDDING)[tokens] += self.rows.at(self.amounts, **stages)


def circuit_of(kind: Kind, frame: Frame) -> Sequence[Component]:
    """The components that questions about aliases are answered by."""
    jobs = [MOVER, GATE] if kind.has_gate else [MOVER]
    return [*((0, frame.heads[job]) for job in jobs), (1, None)]


def _write(
    model: PreTrainedModel,
    random: dict[str, Tensor],
    added: dict[str, Tensor],
    done: float,
) -> None:
    """All weights but the aliases' rows, when so much of Stage 1 is done."""
    for name, parameter in model.named_parameters():
        kept = 1 - (1 - DECAYED) * done if parameter.ndim > 1 else 1.0
        parameter.copy_(kept * random[name] + done * added[name])
