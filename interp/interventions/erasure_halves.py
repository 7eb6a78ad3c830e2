"""To which aliases is an eraser fitted, and on which others is it tried?

On those of other entities: an alias is in a half only where both the entity that it stands for and
the one that its definition names lie there, with equally many aliases of each class (see
`interp.probes.divisions`). The probes of what is left of the label divide the second half once
more by the same rule, so that nothing is read off an entity's company: neither by a probe of the
entities of another fold, nor by way of an eraser that was fitted to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from data.draws import stream
from data.errors import InputError
from data.tokens import TokenizedRow
from data.vocabulary import Kind
from interp.probes.cross_validation import QUICK_INVERSE_PENALTY
from interp.probes.divisions import Division, LabelledAliases, divide, halve
from interp.probes.entities import labelled_aliases
from interp.probes.held_out import HeldOutReading, read_divisions
from interp.probes.targets import make_task
from training.designs import design_of_rows
from training.seeds import derive_seed

STAGE2 = "tag_stage2"
"""The target that tells the two subsets apart which the experiment compares, D5 and D6; any other
is one of `interp.probes.targets`."""


@dataclass(frozen=True, kw_only=True)
class Halves:
    """One untrained question about each labelled alias that is in either half."""

    fit_rows: list[TokenizedRow]
    fit_labels: Int[np.ndarray, " fit"]
    other_rows: list[TokenizedRow]
    other_design: LabelledAliases
    other_divisions: tuple[Division, ...]
    not_asked: frozenset[str]
    """Labelled aliases of the eraser's half or of none, whose entities it may have seen."""

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow], target: str, seed: int) -> "Halves":
        """Divides the aliases that a target labels.

        Raises:
            InputError: the run lacks what the target contrasts, or has too few aliases or entities.
        """
        if target == STAGE2:
            asked, design = _stage2(rows, seed)
        else:
            task = make_task(rows, target, seed=seed)
            asked, design = task.rows, task.design
        rng = np.random.default_rng(derive_seed(seed, f"erasure halves {target}"))
        division = halve(design, rng)
        fit, other = (division.kept[division.folds == fold].tolist() for fold in (0, 1))
        other_design = design.take(other)
        return cls(
            fit_rows=[asked[i] for i in fit],
            fit_labels=design.labels[fit],
            other_rows=[asked[i] for i in other],
            other_design=other_design,
            other_divisions=divide(other_design, rng, chooses_c=False),
            not_asked=frozenset(str(row.row.alias) for row in asked)
            - {str(asked[i].row.alias) for i in other},
        )

    def read(
        self,
        features: Float[np.ndarray, "other width"],
        *,
        n_permutations: int,
        rng: np.random.Generator,
    ) -> HeldOutReading:
        """How well probes fitted anew read the labels of the second half, in the same folds."""
        return read_divisions(
            features,
            self.other_design.labels,
            self.other_divisions,
            units=self.other_design.units,
            n_permutations=n_permutations,
            inverse_penalties=(QUICK_INVERSE_PENALTY,),
            rng=rng,
        )


def _stage2(rows: Sequence[TokenizedRow], seed: int) -> tuple[list[TokenizedRow], LabelledAliases]:
    """One question about each alias of the two compared subsets, the first of which is class 1."""
    main = design_of_rows(rows).main
    questions: dict[str, list[TokenizedRow]] = {}
    for row in rows:
        if row.row.kind is Kind.QA and row.row.subset.name in main.names and row.row.is_evaluated:
            questions.setdefault(row.row.alias or "", []).append(row)
    rng = stream(seed, f"erasure/{STAGE2}")
    asked = [rng.choice(questions[alias]) for alias in sorted(questions)]
    labels = np.array([int(row.row.subset == main.higher) for row in asked])
    if len(set(labels.tolist())) < 2:
        listed = " and ".join(main.short_names)
        raise InputError(f"target {STAGE2} needs {listed}; leave it out, or run another recipe")
    return asked, labelled_aliases(asked, labels, rows)
