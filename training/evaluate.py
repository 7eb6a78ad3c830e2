"""What the model answers: exact match, answer log-probability, rank and loss, by subset.

One teacher-forced pass decides what greedy decoding would say: the generated tokens equal the
answer if and only if at every answer position the most likely token, given the answer so far, is
the answer's (by induction over positions; up to ties). Where training ends a text with a stop
token, an answer is right only if the text stops behind it: "1 century BC" is not "1 century".
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from data.rows import Row
from data.tokens import TokenizedRow
from data.vocabulary import DEFINITION, HELD_OUT, TRAINED, Family, Kind, LossPolicy, Split
from training.examples import Examples, make_examples
from training.metrics import METRICS, Metric
from training.models.architectures import stop_tokens
from training.models.contexts import check_tokens
from training.scores import AnswerScores
from training.seq2seq import Layout

BATCH_SIZE = 512


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """Rows laid out for evaluation once, to be asked of many checkpoints."""

    rows: list[TokenizedRow]
    """The rows in order of length, so that batches hold little padding."""
    asked: list[int]
    """The row that each asked text belongs to: one text for each answer that counts as right."""
    batches: list["AskedTexts"]
    """The asked texts; the rows' own come first, in order of the rows."""

    @classmethod
    def of(
        cls,
        rows: Sequence[TokenizedRow],
        *,
        lay_out: Layout = make_examples,
        stop_token: int | None = None,
    ) -> "EvaluationSet":
        """Lays out every row given.

        Args:
            rows: What to ask.
            lay_out: As the model's architecture reads it.
            stop_token: What training ends a text with; None where it trains no end.
        """
        ordered = sorted(rows, key=lambda row: len(row.input_ids))
        others = sorted(
            ((i, other) for i, row in enumerate(ordered) for other in row.others),
            key=lambda pair: len(pair[1].input_ids),
        )
        batches = [
            AskedTexts.of(texts[i : i + BATCH_SIZE], lay_out, stop_token)
            for texts in (ordered, [other for _, other in others])
            for i in range(0, len(texts), BATCH_SIZE)
        ]
        asked = [*range(len(ordered)), *(i for i, _ in others)]
        return cls(rows=ordered, asked=asked, batches=batches)

    @classmethod
    def of_run(
        cls,
        rows: Sequence[TokenizedRow],
        *,
        trained_questions: int = 0,
        lay_out: Layout = make_examples,
        stop_token: int | None = None,
    ) -> "EvaluationSet":
        """All that a run measures among the rows of a seed.

        Questions of the evaluation, entity attribution, every definition, and so many of the
        trained questions of each subset.
        """
        left = Counter({row.row.subset.name: trained_questions for row in rows})
        chosen = []
        for row in rows:
            if not _is_trained_question(row.row):
                chosen.append(row)
            elif left[row.row.subset.name] > 0:
                left[row.row.subset.name] -= 1
                chosen.append(row)
        return cls.of(chosen, lay_out=lay_out, stop_token=stop_token)


@dataclass(frozen=True, kw_only=True)
class AskedTexts:
    """A batch of texts to be answered."""

    examples: Examples
    """The texts; targets are the answers and, where texts are trained to stop, all behind them."""
    lengths: Int[Tensor, " example"]
    """Number of tokens of each answer alone."""
    stop_token: int | None

    @classmethod
    def of(
        cls, rows: Sequence[TokenizedRow], lay_out: Layout, stop_token: int | None
    ) -> "AskedTexts":
        """Lays rows out; see `EvaluationSet.of`."""
        asked = rows if stop_token is None else [_to_the_end(row, stop_token) for row in rows]
        return cls(
            examples=lay_out(asked, LossPolicy.ANSWER, repeat=False),
            lengths=torch.tensor([len(row.answer_positions) for row in rows]),
            stop_token=stop_token,
        )

    def repeated(self, times: int) -> "AskedTexts":
        """The batch so many times over, one behind the other."""
        examples = self.examples.take(torch.arange(len(self.examples)).repeat(times))
        return replace(self, examples=examples, lengths=self.lengths.repeat(times))


def _to_the_end(row: TokenizedRow, stop_token: int) -> TokenizedRow:
    """The row as if its answer were all that greedy decoding is to say: to the stop token."""
    first, end = row.answer_positions[0], len(row.input_ids)
    return replace(
        row,
        input_ids=(*row.input_ids, stop_token),
        answer_positions=tuple(range(first, end + 1)),
    )


def _is_trained_question(row: Row) -> bool:
    return row.kind is Kind.QA and row.split is Split.TRAIN and not row.is_fact


MEASURED = ["subset", "question", "metric", "value", "n"]
"""The columns of `evaluate`."""


@torch.no_grad()
def answer_metrics(model: PreTrainedModel, evaluation: EvaluationSet) -> pd.DataFrame:
    """One record for each row of the set, under the names of `training.metrics.METRICS`.

    `exact_match` is 1 where greedy decoding gives the tokens of an answer that counts as right and,
    if the set has a stop token, stops behind it (at any token that `generate` stops at). The rest
    is about the row's own answer, which is the first of them, without any stop token:
    `answer_log_prob` is summed over its tokens (nats); `answer_rank` is the worst rank among them,
    1 being the most likely token; `loss` is their mean cross-entropy (nats a token).
    """
    was_training = model.training
    model.eval()
    try:
        metrics = torch.cat([_batch_metrics(model, batch) for batch in evaluation.batches])
    finally:
        model.train(was_training)
    table = pd.DataFrame(metrics.numpy(), columns=[metric.name for metric in METRICS])
    best = table["exact_match"].groupby(evaluation.asked).max()
    return table.iloc[: len(evaluation.rows)].assign(exact_match=best)


def _batch_metrics(model: PreTrainedModel, asked: AskedTexts) -> Float[Tensor, "row metric"]:
    check_tokens(model.config, asked.examples.tokens)
    batch = asked.examples.to(model.device)
    return score_answers(batch.logits(model), asked, stops=stop_tokens(model))


def score_answers(
    logits: Float[Tensor, "target d_vocab"],
    asked: AskedTexts,
    *,
    stops: Sequence[int],
    metrics: Sequence[Metric] = METRICS,
) -> Float[Tensor, "row metric"]:
    """What logits say of each text of a batch; see `answer_metrics`.

    Args:
        logits: Those from which the batch's targets are predicted, in row-major order.
        asked: The batch.
        stops: Tokens at which the model's `generate` stops.
        metrics: Which to read off.
    """
    answers = asked.examples.tokens[asked.examples.targets].to(logits.device)
    said = logits.log_softmax(1)
    chosen = said.gather(1, answers[:, None])
    # The best of all others says as much as `argmax`, which takes many times as long, but for ties.
    best_other = said.scatter_(1, answers[:, None], -torch.inf).amax(1, keepdim=True)
    best = answers.where((chosen > best_other)[:, 0], -1)
    is_open = (chosen == best_other)[:, 0]
    if asked.stop_token is not None:
        is_open |= answers == asked.stop_token
    best[is_open] = logits[is_open].argmax(1)
    hit = best == answers
    if asked.stop_token is not None:
        ends = answers.new_tensor([asked.stop_token, *stops])
        hit |= (answers == asked.stop_token) & torch.isin(best, ends)
    targets = asked.examples.targets.cpu()
    row_of_target = targets.nonzero()[:, 0]
    is_answer = (targets.cumsum(1) - 1)[targets] < asked.lengths[row_of_target]

    scores = AnswerScores(
        hits=hit.cpu(),
        log_probs=chosen[:, 0].double().cpu(),
        find_ranks=lambda: (logits > logits.gather(1, answers[:, None])).sum(1).add(1).cpu(),
        is_answer=is_answer,
        texts=row_of_target,
        n_texts=len(targets),
    )
    return torch.stack([metric.score(scores) for metric in metrics], dim=1)


def evaluate(model: PreTrainedModel, evaluation: EvaluationSet) -> pd.DataFrame:
    """Means by subset and question: columns `subset, question, metric, value, n`.

    `question` is one attribute, or

        all                     the subset's held-out questions together
        definition              how well its definitions are recited with their own tag
        trained                 its trained questions, where the run measures them
        name, meaning ...       entity attribution; `attribution` all four together
        name_as_defined ...     the same, right being the entity that a false definition names;
                                `attribution_as_defined` together
    """
    metrics = answer_metrics(model, evaluation)
    rows = [row.row for row in evaluation.rows]
    metrics["subset"] = [row.subset.name for row in rows]
    named = metrics.assign(question=[_question(row) for row in rows])
    together = metrics.assign(question=[_group(row) for row in rows])
    repeats = named["question"] == together["question"]
    table = pd.concat([together, named[~repeats]], ignore_index=True)
    names = [metric.name for metric in METRICS]
    long = table.melt(["subset", "question"], names, var_name="metric")
    groups = long.groupby(["subset", "question", "metric"])["value"]
    return pd.DataFrame(groups.agg(value="mean", n="size").reset_index(), columns=MEASURED)


def _question(row: Row) -> str | None:
    """A row's own entry in the `question` column."""
    if row.family is Family.AS_DEFINED:
        return f"{row.question}_as_defined"
    is_group = row.kind is Kind.DEFINITION or _is_trained_question(row)
    return _group(row) if is_group else row.question


def _group(row: Row) -> str:
    """The entry in the `question` column that sums a row up with others."""
    if row.kind is Kind.DEFINITION:
        return DEFINITION
    if _is_trained_question(row):
        return TRAINED
    return HELD_OUT if row.family is Family.ATTRIBUTE else str(row.family)
