"""The rows of a seed, tokenized and laid out: what its stages are trained and measured on."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerFast

from data.tokens import TokenizedRow, tokenize_rows
from data.vocabulary import Stage
from training.config import RunConfig
from training.evaluate import EvaluationSet
from training.examples import Examples
from training.runs.inputs import require_inputs
from training.schedules import Schedule
from training.seq2seq import Layout, layout_for


@dataclass(frozen=True, kw_only=True)
class SeedMaterial:
    """What every stage of a seed needs."""

    rows: list[TokenizedRow]
    tokenizer: PreTrainedTokenizerFast
    evaluation: EvaluationSet
    schedule: Schedule
    lay_out: Layout

    @classmethod
    def build(cls, config: RunConfig, seed: int) -> "SeedMaterial":
        """Draws and tokenizes the rows of a seed.

        Raises:
            InputError: the table or the tokenizer is not what the run was begun with.
        """
        require_inputs(config, "table", "tokenizer")
        drawn = config.data.build(seed)
        tokenizer = config.data.tokenizer(drawn)
        rows = tokenize_rows(drawn.rows, tokenizer)
        lay_out = layout_for(tokenizer, is_encoder_decoder=config.model.is_encoder_decoder)
        end_token = tokenizer.eos_token_id
        assert isinstance(end_token, int)
        evaluation = EvaluationSet.of_run(
            rows,
            trained_questions=config.trained_questions,
            lay_out=lay_out,
            stop_token=end_token if config.loss_policy.trains_stop else None,
        )
        return cls(
            rows=rows,
            tokenizer=tokenizer,
            evaluation=evaluation,
            schedule=config.schedule,
            lay_out=lay_out,
        )

    def training_rows(self, stage: Stage) -> list[TokenizedRow]:
        """The rows that one epoch of a stage shows, once each."""
        return [row for row in self.rows if self.schedule.stage_of(row.row) is stage]

    def examples(self, rows: list[TokenizedRow], config: RunConfig) -> Examples:
        """Rows as the run's loss policy lays them out, repeated as in an epoch."""
        return self.lay_out(rows, config.loss_policy, block_size=config.block_size)
