"""What the tools can say of a planted run, when it counts as said, and when it is true.

Each `Claim` is read off the summary table of a tool: a p value or an interval that the tool itself
reports, at .05 corrected, never a threshold of ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pandas as pd

from interp.alignment.analysis import AlignmentAnalysis
from interp.attention.analysis import AttentionAnalysis, attention_contrast
from interp.circuits.analysis import CircuitAnalysis
from interp.grids.grid import Analysis, run_grid
from interp.grids.selection import GridSelection
from interp.hooked.addresses import TokenRole
from interp.interventions.erasure_analysis import ErasureAnalysis
from interp.patching.analysis import Direction, PatchAnalysis
from interp.patching.pair_batches import PatchMetric
from interp.planted.kinds import KINDS
from interp.planted.truth import Planted
from interp.probes.analysis import ProbeAnalysis
from interp.transplants.analysis import TransplantAnalysis
from training.runs.run import Run

LEVEL = 0.05
N_CIRCUIT_SEEDS = 2
"""Of them, those in which circuits are looked for, whose p values are ranks within a seed."""


@dataclass(frozen=True, eq=False)
class Case:
    """A planted run or its null twin, and what is known of it."""

    run: Run
    truth: Planted

    @property
    def units(self) -> list[str]:
        """The units that questions about Stage 2's aliases are answered by.

        Where there is a gate, the mover brings nothing of these: no question wrote in their rows.
        """
        last = [unit for unit in self.truth.question_units if unit.startswith("m")]
        return (
            [self.truth.gate_unit, *last]
            if self.truth.gate_unit
            else list(self.truth.question_units)
        )

    @property
    def heads(self) -> set[int]:
        """The heads among them, all of layer 0."""
        heads = [unit.split("@")[0] for unit in self.units if not unit.startswith("m")]
        return {int(name.removeprefix("a0.h")) for name in heads}


# ---- what each tool says of a case, each tool once -----------------------------------------------


@cache
def summary(tool: str, case: Case) -> pd.DataFrame:
    """The summary table of a tool, of few cells so that many draws can be looked at."""
    main = case.run.design.main
    stage, sites, layers, seeds = 2, ("resid_pre",), (0,), case.run.seeds
    match tool:
        case "probes":
            analysis: Analysis = ProbeAnalysis(targets=("tag",), quick=True, n_permutations=49)
        case "patching":
            analysis = PatchAnalysis(
                subsets=(main.higher.name,),
                roles=("question_last",),
                directions=(Direction.DENOISE,),
                metrics=(PatchMetric.LOGIT_DIFF,),
                limit=100,
            )
            sites, layers = ("z",), (0, 1)
        case "attention":
            analysis = AttentionAnalysis(subsets=main.names)
        case "erasure":
            analysis = ErasureAnalysis(
                targets=("tag_stage2",),
                roles=(TokenRole.ALIAS_LAST,),
                n_random=5,
                n_permutations=1,
            )
        case "transplants":
            analysis = TransplantAnalysis(
                folder=case.run.folder,
                recipient_stage=1,
                donor_stage=2,
                parts=("alias_rows", "blocks"),
            )
            stage = 1
        case "alignment":
            analysis = AlignmentAnalysis(folder=case.run.folder, limit=24)
            stage = 1
        case _:
            analysis, seeds = CircuitAnalysis(limit=20, n_matched=99), seeds[:N_CIRCUIT_SEEDS]
    selection = GridSelection(
        runs=(case.run,), stage=stage, sites=sites, layers=layers, seeds=tuple(seeds)
    )
    table, found = run_grid(analysis, selection, workers=1)
    if tool == "attention":
        return attention_contrast(table, *main.names)
    return found


def surely(table: pd.DataFrame) -> bool:
    """Whether any of the cells differs from its control, after correction."""
    return bool((table["p_corrected"] <= LEVEL).any())


# ---- what counts as a claim ----------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """Something that a tool can say of a run, how it is read off its table, and when it is true."""

    tool: str
    says: str
    counts: str
    """What of the tool's table counts as saying it."""
    is_made: Callable[[Case], bool]
    true_of: tuple[str, ...] = ()
    """The kinds of whose runs it is true."""
    true_of_twins: bool = False
    """Whether it is true of their null twins, too."""

    def is_true(self, kind: str, *, is_twin: bool) -> bool:
        """Whether it is true of a run of a kind, or of its null twin."""
        return kind in self.true_of and (self.true_of_twins or not is_twin)


def tag_is_read(case: Case, site: str, role: str) -> bool:
    """Whether the probe reads the tag there better than with permuted labels."""
    found = summary("probes", case)
    cells = found.loc[
        (found["target"] == "tag")
        & (found["site"] == site)
        & (found["role"] == role)
        & (found["probe"] == "logistic")
        & (found["accuracy"] > found["null_accuracy"])
    ]
    return surely(cells)


def patched(case: Case, *, planted: bool) -> pd.DataFrame:
    """Cells of heads at the question that are in the planted circuit, or outside it."""
    found = summary("patching", case)
    found = found.loc[(found["head"] >= 0) & (found["role"] == "question_last")]
    inside = (found["layer"] == 0) & found["head"].isin(case.heads)
    return found.loc[inside if planted else ~inside]


def heads_found(case: Case, *, planted: bool) -> bool:
    """Whether patching a head brings the answer along, beyond its control."""
    cells = patched(case, planted=planted)
    return surely(cells.loc[cells["difference"] > 0])


def is_attributed(case: Case) -> bool:
    """Whether the largest attribution of all heads is that of a planted one."""
    inside, outside = (patched(case, planted=each)["attribution"] for each in (True, False))
    return len(inside) > 0 and bool(inside.max() > outside.max())


def attends_by_tag(case: Case, kind: str) -> bool:
    """Whether a head's reading of the alias differs between the compared subsets."""
    found = summary("attention", case)
    is_there = (found["kind"] == kind) & (found["source"] == "alias") & (found["text"] == "qa")
    return surely(found.loc[is_there & (found["destination"] == "prompt_last")])


def erased(case: Case) -> bool:
    """Whether the gap shrinks more without the tag's direction than without random ones."""
    found = summary("erasure", case)
    is_gap = (found["subset"] == case.run.design.main.gap) & (found["role"] == "alias_last")
    cells = found.loc[is_gap & (found["metric"] == "exact_match")]
    return surely(cells.loc[cells["difference"] < 0])


def transplanted(case: Case, part: str) -> bool:
    """Whether Stage 2's weights of a part alone bring the gap."""
    found = summary("transplants", case)
    is_gap = (found["subset"] == case.run.design.main.gap) & (found["part"] == part)
    cells = found.loc[is_gap & (found["contrast"] == "recipient")]
    return surely(cells.loc[(cells["metric"] == "exact_match") & (cells["difference"] > 0)])


def aligned(case: Case) -> bool:
    """Whether own gradients align more with the reliable tag than with the other."""
    found = summary("alignment", case)
    is_gap = (found["subset"] == case.run.design.main.gap) & (found["pairing"] == "own")
    cells = found.loc[is_gap & (found["against"] == "zero") & (found["measure"] == "grad_cosine")]
    return surely(cells.loc[cells["difference"] > 0])


def in_circuit(case: Case, *, planted: bool) -> bool:
    """Whether the circuit of the reliable tag's answers holds all planted units, or any other."""
    found = summary("circuits", case)
    of_answers = found["circuit"] == f"answer {case.run.design.main.higher.name.split('_')[0]}"
    cells = found.loc[of_answers & (found["quantity"] == "minimality")]
    named = set(cells.loc[(cells["p_corrected"] <= LEVEL) & (cells["difference"] > 0), "unit"])
    return set(case.units) <= named if planted else bool(named - set(case.units))


EVERY = tuple(KINDS)
WITH_GAP = tuple(kind.name for kind in KINDS.values() if kind.has_gap)

CLAIMS = (
    Claim(
        "probes",
        "the tag can be read where an alias stands in a question, whatever its entity",
        "accuracy of unseen entities above that of permuted labels, corrected p <= .05",
        lambda case: tag_is_read(case, "resid_pre", "alias_last"),
        ("reading", "shift", "truth", "recency", "none"),
    ),
    Claim(
        "probes",
        "the tag can be read at the question's last token before anything is moved there",
        "the same at the question, before layer 0",
        lambda case: tag_is_read(case, "resid_pre", "question_last"),
    ),
    Claim(
        "patching",
        "a planted head brings the answer to the question",
        "effect of a head above its control, corrected p <= .05",
        lambda case: heads_found(case, planted=True),
        EVERY,
        true_of_twins=True,
    ),
    Claim(
        "patching",
        "a head outside the circuit brings it",
        "the same of any other head",
        lambda case: heads_found(case, planted=False),
    ),
    Claim(
        "attribution",
        "the head that answers most is a planted one",
        "no p is reported: the head of the largest attribution (1 of 8 is planted)",
        is_attributed,
        EVERY,
        true_of_twins=True,
    ),
    Claim(
        "attention",
        "a head looks at the alias more with one tag than with the other",
        "difference between the compared subsets, corrected p <= .05",
        lambda case: attends_by_tag(case, "pattern"),
        ("reading",),
    ),
    Claim(
        "attention",
        "a head moves more from the alias straight to the answer's logit with one tag",
        "the same of what is moved to the logit",
        lambda case: attends_by_tag(case, "direct_logit"),
    ),
    Claim(
        "erasure",
        "the gap rests on a direction that the tag leaves in the alias's row",
        "gap smaller than after random erasures of that rank, corrected p <= .05",
        erased,
        ("reading", "shift", "truth"),
    ),
    Claim(
        "transplants",
        "the aliases' rows alone bring the gap",
        "gap above the recipient's, corrected p <= .05",
        lambda case: transplanted(case, "alias_rows"),
        WITH_GAP,
    ),
    Claim(
        "transplants",
        "the blocks alone bring the gap",
        "the same of the blocks",
        lambda case: transplanted(case, "blocks"),
    ),
    Claim(
        "alignment",
        "definitions with the reliable tag align more with their questions",
        "difference in gradient cosine of own pairs, corrected p <= .05",
        aligned,
        ("storage", "mixture"),
    ),
    Claim(
        "circuits",
        "the whole planted circuit answers questions with the reliable tag",
        "minimality of each of its units, corrected p <= .05",
        lambda case: in_circuit(case, planted=True),
        EVERY,
        true_of_twins=True,
    ),
    Claim(
        "circuits",
        "a unit outside the circuit answers them",
        "minimality of any other unit, corrected p <= .05",
        lambda case: in_circuit(case, planted=False),
    ),
)
