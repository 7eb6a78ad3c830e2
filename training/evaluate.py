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
from data.vocabulary import Kind
from training.loop import target_logits

DEFINITION = "definition"
"""What the `question` column says where a subset's definitions are recited, not its questions."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """Rows laid out for evaluation, sorted by length so that batches hold little padding."""

    rows: list[TokenizedRow]

    @classmethod
    def of(cls, rows: Sequence[TokenizedRow]) -> "EvaluationSet":
        """The questions of the evaluation and every definition among `rows`."""
        chosen = [r for r in rows if r.row.is_evaluated or r.row.kind is Kind.DEFINITION]
        return cls(rows=sorted(chosen, key=lambda row: len(row.input_ids)))


@torch.no_grad()
def answer_metrics(
    model: PreTrainedModel, rows: Sequence[TokenizedRow], *, batch_size: int = 1024
) -> pd.DataFrame:
    """One record for each row, in the order given.

    `exact_match` is 1 where greedy decoding gives the answer's tokens; `answer_log_prob` is summed
    over them (nats); `answer_rank` is the worst rank among them, 1 being the most likely token;
    `loss` is their mean cross-entropy (nats a token).
    """
    was_training = model.training
    model.eval()
    try:
        parts = [
            _batch_metrics(model, rows[i : i + batch_size]) for i in range(0, len(rows), batch_size)
        ]
    finally:
        model.train(was_training)
    metrics = torch.cat(parts)
    return pd.DataFrame(metrics.numpy(), columns=list(METRICS))


METRICS = ("exact_match", "answer_log_prob", "answer_rank", "loss")


def _batch_metrics(
    model: PreTrainedModel, rows: Sequence[TokenizedRow]
) -> Float[Tensor, "row metric"]:
    longest = max(len(row.input_ids) for row in rows)
    tokens = torch.zeros(len(rows), longest, dtype=torch.long)
    targets = torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[i, : len(row.input_ids)] = torch.tensor(row.input_ids)
        targets[i, list(row.answer_positions)] = True
    device = model.device
    logits = target_logits(model, tokens.to(device), targets.to(device)).double().cpu()
    answers = tokens[targets]
    row_of_target = targets.nonzero()[:, 0]
    chosen = logits.gather(1, answers[:, None])
    log_prob = (chosen.squeeze(1) - logits.logsumexp(1)).clamp(max=0)
    rank = (logits > chosen).sum(1) + 1
    hit = logits.argmax(1) == answers
    n = len(rows)
    counts = targets.sum(1).double()
    return torch.stack(
        [
            _reduce(hit.double(), row_of_target, n, "amin"),
            _reduce(log_prob, row_of_target, n, "sum"),
            _reduce(rank.double(), row_of_target, n, "amax"),
            -_reduce(log_prob, row_of_target, n, "sum") / counts,
        ],
        dim=1,
    )


def _reduce(
    values: Float[Tensor, " target"], rows: Int[Tensor, " target"], n_rows: int, how: str
) -> Float[Tensor, " row"]:
    return torch.zeros(n_rows, dtype=values.dtype).scatter_reduce(
        0, rows, values, how, include_self=False
    )


def evaluate(model: PreTrainedModel, evaluation: EvaluationSet) -> pd.DataFrame:
    """Means by subset and question: columns `subset, question, metric, value, n`.

    `question` is one attribute, `all` for a subset's questions together, or `definition` for how
    well the subset's definitions are recited with their own tag.
    """
    metrics = answer_metrics(model, evaluation.rows)
    rows = [row.row for row in evaluation.rows]
    metrics["subset"] = [row.subset for row in rows]
    metrics["question"] = [
        DEFINITION if row.kind is Kind.DEFINITION else row.question for row in rows
    ]
    together = metrics[metrics["question"] != DEFINITION].assign(question="all")
    table = pd.concat([together, metrics], ignore_index=True)
    groups = table.groupby(["subset", "question"], sort=True)[list(METRICS)]
    means = groups.mean().stack().rename("value")
    means.index.names = ["subset", "question", "metric"]
    result = means.reset_index()
    counts = groups.size()
    result["n"] = [
        int(counts[key]) for key in zip(result["subset"], result["question"], strict=True)
    ]
    return result
