"""What the numbers of runs of an older format mean, where this version means something else.

Format 1 counted the answer's tokens alone as an exact match, whatever the loss policy; let texts
stand without what the model's tokenizer puts in front; took every special token from the tokenizer;
and skipped what an architecture does to its logits after the unembedding. Most runs are none the
worse for it: of the toys under `answer`, say, both formats have the same bytes. Of the others the
tables stay as they are and name the old rule; nothing new is added to them or compared with them.
"""

from collections.abc import Sequence
from pathlib import Path

from data.errors import InputError
from data.tokenizers import front_tokens
from training.files import read_json
from training.models.elsewhere import NamedModel
from training.runs.info import FORMAT_VERSION
from training.runs.run import Run

PLAIN_ENDS = ("gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "mistral", "opt", "phi", "qwen2")
"""Decoders that end with their unembedding: format 1 had their own logits."""


def old_rules(run: Run) -> list[str]:
    """What this version would measure otherwise in a run, in words; empty if nothing."""
    if run.info["format_version"] >= FORMAT_VERSION:
        return []
    rules = []
    if run.config.loss_policy.trains_stop:
        rules.append("exact match counts the answer's tokens alone, without the stop token")
    model = run.config.model
    checkpoint = next(run.folder.glob("seed-*/stage-*/step-*/config.json"), None)
    if isinstance(model, NamedModel) and not model.is_tiny and checkpoint is not None:
        rules += _rules_of_model(checkpoint.parent)
    return rules


def _rules_of_model(checkpoint: Path) -> list[str]:
    """What this version would measure otherwise because of what came with a pretrained model."""
    from training.runs.checkpoints import load_tokenizer

    config, tokenizer = read_json(checkpoint / "config.json"), load_tokenizer(checkpoint)
    named = [
        (config.get("eos_token_id"), tokenizer.eos_token_id),
        (config.get("decoder_start_token_id"), tokenizer.pad_token_id),
    ]
    rules = []
    if front_tokens(tokenizer):
        rules.append("no text begins with the token that the model's tokenizer puts in front")
    if any(
        own is not None and taken not in (own if isinstance(own, list) else [own])
        for own, taken in named
    ):
        rules.append("special tokens are the tokenizer's, not those that the model's config names")
    kind = config.get("model_type")
    if not config.get("is_encoder_decoder") and kind not in PLAIN_ENDS:
        rules.append(f"logits lack what {kind} may do after its unembedding")
    return rules


def old_rules_text(run: Run) -> str:
    """The old rules of a run in a line; empty if there are none."""
    rules = old_rules(run)
    return f"format {run.info['format_version']}: {'; '.join(rules)}" if rules else ""


def require_one_meaning(runs: Sequence[Run], *, with_new: bool = False) -> None:
    """Refuses to put numbers of an older meaning beside new ones.

    Args:
        runs: What is compared or joined.
        with_new: Whether runs that are yet to be made are among them.

    Raises:
        InputError: some numbers are of an older meaning, and others are not.
    """
    new = next((run for run in runs if run.info["format_version"] >= FORMAT_VERSION), None)
    if new is None and not with_new:
        return
    for run in runs:
        if rules := old_rules(run):
            other = "a new run" if new is None else str(new.folder)
            raise InputError(
                f"{run.folder} has format {run.info['format_version']}, in which {rules[0]}, and "
                f"cannot be compared with {other}; make it anew in another folder"
            )


def require_extensible(run: Run) -> None:
    """Refuses to train more of a run whose numbers would mean something else from then on.

    Raises:
        InputError: the new numbers would mean something else than those there are.
    """
    if rules := old_rules(run):
        raise InputError(
            f"{run.folder} has format {run.info['format_version']}, in which {rules[0]}; no more "
            "is trained there, make a new run with --out"
        )
