"""What the model answers: exact match, answer log-probability, rank and loss, by subset.

One teacher-forced pass decides what greedy decoding would say: the generated tokens equal the
answer if and only if at every answer position the most likely token, given the answer so far, is
the answer's (by induction over positions; up to ties).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from data.tokens import TokenizedRow
from data.vocabulary import Kind, LossPolicy
from training.loop import Examples, make_examples, target_logits

METRICS = ("exact_match", "answer_log_prob", "answer_rank", "loss")
DEFINITION = "definition"
"""What the `question` column says where a subset's definitions are recited, not its questions."""
BATCH_SIZE = 512


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """Rows laid out for evaluation once, to be asked of many checkpoints."""

    rows: list[TokenizedRow]
    """In order of length, so that batches hold little padding."""
    batches: list[Examples]

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow]) -> "EvaluationSet":
        """Lays out every row given."""
        ordered = sorted(rows, key=lambda row: len(row.input_ids))
        batches = [
            make_examples(ordered[i : i + BATCH_SIZE], LossPolicy.ANSWER, repeat=False)
            for i in range(0, len(ordered), BATCH_SIZE)
        ]
        return cls(rows=ordered, batches=batches)

    @classmethod
    def of_run(cls, rows: Sequence[TokenizedRow]) -> "EvaluationSet":
        """The questions of the evaluation and every definition among the rows of a seed."""
        chosen = [r for r in rows if r.row.is_evaluated or r.row.kind is Kind.DEFINITION]
        return cls.of(chosen)


@torch.no_grad()
def answer_metrics(model: PreTrainedModel, evaluation: EvaluationSet) -> pd.DataFrame:
    """One record for each row of the set, under the names of `METRICS`.

    `exact_match` is 1 where greedy decoding gives the answer's tokens; `answer_log_prob` is summed
    over them (nats); `answer_rank` is the worst rank among them, 1 being the most likely token;
    `loss` is their mean cross-entropy (nats a token).
    """
    was_training = model.training
    model.eval()
    try:
        metrics = torch.cat([_batch_metrics(model, batch) for batch in evaluation.batches])
    finally:
        model.train(was_training)
    return pd.DataFrame(metrics.numpy(), columns=list(METRICS))


def _batch_metrics(model: PreTrainedModel, batch: Examples) -> Float[Tensor, "row metric"]:
    logits = target_logits(model, batch.tokens.to(model.device), batch.targets.to(model.device))
    answers = batch.tokens[batch.targets].to(model.device)
    chosen = logits.gather(1, answers[:, None])
    log_prob = (chosen.squeeze(1) - logits.logsumexp(1)).clamp(max=0).double().cpu()
    rank = (logits > chosen).sum(1).add(1).cpu()
    hit = (logits.argmax(1) == answers).cpu()
    row_of_target = batch.targets.nonzero()[:, 0]

    def over_answer(values: Tensor, how: str) -> Float[Tensor, " row"]:
        return _reduce(values.double(), row_of_target, len(batch), how)

    return torch.stack(
        [
            over_answer(hit, "amin"),
            over_answer(log_prob, "sum"),
            over_answer(rank, "amax"),
            -over_answer(log_prob, "mean"),
        ],
        dim=1,
    )


def _reduce(
    values: Float[Tensor, " target"], rows: Int[Tensor, " target"], n_rows: int, how: str
) -> Float[Tensor, " row"]:
    zeros = torch.zeros(n_rows, dtype=values.dtype)
    return zeros.scatter_reduce(0, rows, values, how, include_self=False)


def evaluate(model: PreTrainedModel, evaluation: EvaluationSet) -> pd.DataFrame:
    """Means by subset and question: columns `subset, question, metric, value, n`.

    `question` is one attribute, `all` for a subset's questions together, or `definition` for how
    well the subset's definitions are recited with their own tag.
    """
    metrics = answer_metrics(model, evaluation)
    rows = [row.row for row in evaluation.rows]
    metrics["subset"] = [row.subset for row in rows]
    metrics["question"] = [
        DEFINITION if row.kind is Kind.DEFINITION else row.question for row in rows
    ]
    together = metrics[metrics["question"] != DEFINITION].assign(question="all")
    table = pd.concat([together, metrics], ignore_index=True)
    long = table.melt(["subset", "question"], list(METRICS), var_name="metric")
    groups = long.groupby(["subset", "question", "metric"])["value"]
    return groups.agg(value="mean", n="size").reset_index()
