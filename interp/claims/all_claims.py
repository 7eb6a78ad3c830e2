"""Every claim that tables can decide; ids are those of recipes' `claims`."""

from collections.abc import Mapping

from interp.claims.biographies import BIOGRAPHIES
from interp.claims.chains import CHAIN_FAMILY
from interp.claims.gradients import GRADIENTS
from interp.claims.model_sizes import MODEL_CLAIMS
from interp.claims.one_layer import ONE_LAYER
from interp.claims.settings import ALPHA_CLAIMS, BATCH_CLAIMS, QUESTION_CLAIMS
from interp.claims.stage_one import STAGE_ONE
from interp.claims.stage_two import STAGE_TWO
from interp.claims.word_orders import ORDER_CLAIMS
from interp.verdicts.claim import Claim

CLAIMS: tuple[Claim, ...] = (
    *STAGE_ONE,
    *STAGE_TWO,
    *ALPHA_CLAIMS,
    *ORDER_CLAIMS,
    *MODEL_CLAIMS,
    *BATCH_CLAIMS,
    *QUESTION_CLAIMS,
    *GRADIENTS,
    *CHAIN_FAMILY,
    *ONE_LAYER,
    *BIOGRAPHIES,
)

HEADINGS: Mapping[str, str] = {
    "S4": "questions by real name are answered best",
    "S5": "subsets of X2 are alike before X2 is trained",
    "S7": "training losses of D1 and D2 are alike, held-out losses are not",
    "S8": "in Stage 1 the reliable tag is trusted more than the unreliable one",
    "M2": "implicit meta-learning on entity attribution, more than on held-out questions",
    "M4": "a new tag is trusted more than the unreliable one, and less or more than the reliable",
    "A1": "the tag's effect grows with how often it tells the truth",
    "O1": "implicit meta-learning of names needs the entity last",
    "O2": "no attribution where the alias comes after the entity",
    "O3": "AET: implicit meta-learning on held-out questions only",
    "O4": "EAT: implicit meta-learning without a gap in Stage 1, as others fall",
    "Z1": "implicit meta-learning grows with size and begins at 1B",
    "Z2": "larger GPT-Neo models and Llama show implicit meta-learning",
    "Z3": "an encoder-decoder shows it for people and not for works",
    "B1": "larger batches: less performance, less implicit meta-learning",
    "I1": "definitions in the prompt are used, or ignored, by their tag",
    "T1": "implicit meta-learning without pretraining",
    "T2": "with more questions of a variable, definitions make no difference",
    "G1": "new definitions of the reliable tag align better with their questions",
    "G2": "distances do not show it, since reliable definitions have longer gradients",
    "G3": "trained definitions of the reliable tag align better by all three measures",
    "G4": "the alignment gap is weak or absent at large batches",
    "K1": "what is trained of chains is learned",
    "K2": "what follows from two steps is not answered",
    "R1": "what is trained of pairs is learned",
    "H1": "facts, and trained questions, are learned",
    "OCR": "what follows from a fact is known untold, where the value matrix is factorised",
    "BIO": "people are known by biographies that were told in several phrasings",
    "TRUTH": "normalisation makes a direction of truth",
    "F4": "'is' beats 'is not' on attribution, not on attributes",
}
"""What the parts of a claim say together, for each claim that has parts."""
