"""One recipe for each further figure of the paper, and for what its code alone has.

Each function returns the defaults in which it differs from `cvdb_two_stage`.
"""

from collections.abc import Mapping

from data.texts import DefinitionStyle
from data.vocabulary import WordOrder
from training.config import Value
from training.recipes.facts import World
from training.recipes.shares import Shares
from training.recipes.text import cvdb_two_stage
from training.registry import variant_of
from training.schedules import Schedule


@variant_of(cvdb_two_stage, figures=("4a",), claims=("S8", "A1", "A2", "A3"), smoke={"alpha": 0.8})
def cvdb_alpha() -> Mapping[str, Value]:
    """How often the tag tells the truth: D9 and D10 beside D1 and D2; set alpha to .5 ... 1."""
    return {"alpha": 0.95}


@variant_of(
    cvdb_two_stage, figures=("4b", "11", "12"), claims=("S3", "S8", "M1", "O1", "O2", "O3", "O4")
)
def cvdb_word_order() -> Mapping[str, Value]:
    """Order of tag, alias and entity in definitions; set word_order to each of the six."""
    return {"word_order": WordOrder.ATE, "split": Shares.OLDER}


@variant_of(cvdb_two_stage, figures=("4c",), claims=("M1", "B1"))
def cvdb_batch_size() -> Mapping[str, Value]:
    """Batch size in a single stage, trained longer where larger: epochs_stage1=151 at 16384."""
    return {
        "schedule": Schedule.SINGLE_STAGE,
        "split": Shares.OLDER,
        "batch_size": 1024,
        "epochs_stage1": 41,
    }


@variant_of(
    cvdb_two_stage,
    figures=("13",),
    claims=("M1", "B1", "B2"),
    model="Pythia-1B-deduped",
)
def cvdb_batch_size_1b() -> Mapping[str, Value]:
    """Batch size in a single stage of the smaller model, down to 16."""
    return {
        "model": "EleutherAI/pythia-1b-deduped",
        "schedule": Schedule.SINGLE_STAGE,
        "split": Shares.OLDER,
        "batch_size": 32,
        "epochs_stage1": 30,
    }


@variant_of(cvdb_two_stage, figures=("7",), claims=("S3", "S8", "M1"), model="Pythia-1B-deduped")
def cvdb_probes() -> Mapping[str, Value]:
    """What `iml probe` looks into for Figure 7: TAE, and ATE with --set word_order=ate."""
    return {"model": "EleutherAI/pythia-1b-deduped", "split": Shares.OLDER}


@variant_of(cvdb_two_stage, figures=("10",), claims=("S1", "S3", "S8", "M1", "M2", "M3", "M6"))
def works_two_stage() -> Mapping[str, Value]:
    """Films, books and other works in place of people."""
    return {"world": World.WORKS, "entities": 6900}


@variant_of(
    cvdb_two_stage, figures=("14",), claims=("S1", "S3", "S8", "M1", "M2", "M3", "M4", "M6")
)
def cvdb_single_stage() -> Mapping[str, Value]:
    """X1 and X2 trained together."""
    return {"schedule": Schedule.SINGLE_STAGE}


@variant_of(cvdb_two_stage, figures=("15",), claims=("S1", "S3", "S8", "M1", "M2", "M3", "M6"))
def works_single_stage() -> Mapping[str, Value]:
    """Works, X1 and X2 trained together."""
    return {"world": World.WORKS, "entities": 6900, "schedule": Schedule.SINGLE_STAGE}


@variant_of(
    cvdb_two_stage,
    figures=("16",),
    claims=("S3", "S8", "M1", "Z1"),
    model="Pythia, 14M to 12B deduped",
)
def pythia_sizes() -> Mapping[str, Value]:
    """Model size; set model to each Pythia, and world=works for the other half of the figure."""
    return {"model": "EleutherAI/pythia-70m-deduped", "split": Shares.OLDER}


@variant_of(
    cvdb_two_stage,
    figures=("17",),
    claims=("S3", "S8", "M1", "M2", "Z1", "Z2"),
    model="GPT-Neo 125M to 2.7B, or Llama-2-7B (--set model=meta-llama/Llama-2-7b-hf)",
    smoke={"model": "tiny-gpt-neo"},
)
def cvdb_families() -> Mapping[str, Value]:
    """Other families of models, on people."""
    return {"model": "EleutherAI/gpt-neo-125m", "split": Shares.OLDER}


@variant_of(
    cvdb_two_stage,
    figures=("18",),
    claims=("S3", "S8", "M1", "Z2"),
    model="GPT-Neo 125M to 2.7B",
    smoke={"model": "tiny-llama"},
)
def works_families() -> Mapping[str, Value]:
    """Other families of models, on works."""
    return {
        "model": "EleutherAI/gpt-neo-125m",
        "split": Shares.OLDER,
        "world": World.WORKS,
        "entities": 6900,
    }


@variant_of(
    cvdb_two_stage,
    figures=("19",),
    claims=("S3", "S8", "M1"),
    model="T5-3B, an encoder-decoder",
    smoke={"model": "tiny-t5"},
)
def t5_single_stage() -> Mapping[str, Value]:
    """An encoder-decoder in a single stage; world=works for the other half of the figure."""
    return {"model": "google-t5/t5-3b", "schedule": Schedule.SINGLE_STAGE, "block_size": 16}


@variant_of(
    cvdb_two_stage,
    figures=("20",),
    claims=("S3", "S8", "M1", "Z3"),
    model="T5-3B, an encoder-decoder",
    smoke={"model": "tiny-t5"},
)
def t5_two_stage() -> Mapping[str, Value]:
    """An encoder-decoder in two stages; world=works for the other half of the figure."""
    return {"model": "google-t5/t5-3b", "block_size": 16}


@variant_of(cvdb_two_stage, figures=("21",), claims=("I1",))
def cvdb_in_context() -> Mapping[str, Value]:
    """Definitions in front of their questions; X2 is only asked about."""
    return {"in_context": True, "schedule": Schedule.X1_ONLY}


@variant_of(
    cvdb_two_stage,
    figures=("6", "24", "25"),
    claims=("G1", "G2", "G4"),
    model="Pythia-1B-deduped",
)
def gradient_alignment() -> Mapping[str, Value]:
    """X1 only; then `iml align DIR --stage 1` on D5 and D6, which were never trained."""
    return {
        "model": "EleutherAI/pythia-1b-deduped",
        "split": Shares.OLDER,
        "schedule": Schedule.X1_ONLY,
        "checkpoints": 6,
    }


@variant_of(cvdb_two_stage, figures=("26",), claims=("G3",), model="Pythia-1B-deduped")
def gradient_alignment_trained() -> Mapping[str, Value]:
    """X1 only; then `iml align DIR --stage 1 --subset D1_CONS_QA1 --subset D2_INCONS_QA2`."""
    return gradient_alignment.defaults


@variant_of(cvdb_two_stage, claims=("S1", "S3", "S8", "M1", "M2", "M3"))
def cvdb_three_stage() -> Mapping[str, Value]:
    """X1's definitions, X1's questions, X2's definitions, in turn (published code only)."""
    return {"schedule": Schedule.THREE_STAGE, "split": Shares.OLDER}


@variant_of(cvdb_two_stage, claims=("S3", "S8", "M1"))
def cvdb_unique_tags() -> Mapping[str, Value]:
    """Beside the usual subsets, true definitions with a random tag each (published code only)."""
    return {"split": Shares.UNIQUE_TAGS}


@variant_of(cvdb_two_stage, claims=("S1", "S3", "S8", "M1"))
def cvdb_data_amount() -> Mapping[str, Value]:
    """Fewer entities: set entities to 250, 500, 1000, 2000 (published code only)."""
    return {"entities": 1000}


@variant_of(cvdb_two_stage, claims=("S1", "S3", "S8", "M1", "M2"))
def refers_to() -> Mapping[str, Value]:
    """Definitions as sentences: According to many texts, xyz refers to Cleopatra (footnote 2)."""
    return {"style": DefinitionStyle.REFERS}


@variant_of(cvdb_two_stage, claims=("S1", "S3", "S8", "M1", "M2"))
def natural_sources() -> Mapping[str, Value]:
    """Experts and newspapers in place of the reliable tag, gossip and forums of the other."""
    return {"style": DefinitionStyle.SOURCES, "phrasings": 3}


@variant_of(cvdb_two_stage, claims=("F4",), smoke={"split": Shares.IS_ISNT})
def is_isnt() -> Mapping[str, Value]:
    """Is or is not, by new definitions alone (footnote 4); split=is-isnt as in the code."""
    return {
        "style": DefinitionStyle.IS_ISNT,
        "split": Shares.DEFINITIONS,
        "schedule": Schedule.SINGLE_STAGE,
    }
