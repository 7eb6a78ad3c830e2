"""How a hooked model answers a batch of rows, as a run's evaluation has it of the plain model.

What an exact match includes is the model's `stop_token`: a checkpoint opened by
`interp.hooked.model.load_hooked` counts as its run does.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from data.tokens import TokenizedRow
from interp.hooked.model import HookedModel
from training.evaluate import AskedTexts, score_answers
from training.examples import make_examples
from training.metrics import ANSWER_LOG_PROB, EXACT_MATCH
from training.models.architectures import stop_tokens

ANSWERED = (EXACT_MATCH, ANSWER_LOG_PROB)
ANSWER_METRICS = tuple(metric.name for metric in ANSWERED)
"""What interventions are measured in."""


def read_length(model: HookedModel, row: TokenizedRow) -> int:
    """Tokens of a row that are read when it is answered: what is last to be said is predicted."""
    return row.answer_positions[-1] if model.stop_token is None else len(row.input_ids)


@torch.no_grad()
def batch_answers(model: HookedModel, rows: Sequence[TokenizedRow]) -> Float[Tensor, "row metric"]:
    """`ANSWER_METRICS` of each row (0 or 1; nats), with the hooks that are on the model.

    See `training.evaluate.answer_metrics`; other answers that a row has are not asked.
    """
    asked = AskedTexts.of(rows, make_examples, model.stop_token)
    tokens, targets = asked.examples.tokens, asked.examples.targets
    last, first = int(asked.examples.lengths.max()) - 1, int(targets.any(0).nonzero()[0])
    # The vocabulary is most of the work: logits are wanted only where something is to be said.
    logits = model.logits(tokens[:, :last], logits_to_keep=last - first + 1)
    predicting = logits[targets[:, first : last + 1].to(logits.device)]
    plain: Any = model.bridge.original_model
    return score_answers(predicting, asked, stops=stop_tokens(plain), metrics=ANSWERED)
