"""Which checkpoints of which runs an analysis looks at."""

from dataclasses import dataclass

from data.errors import InputError
from training.publication import require_intact
from training.runs import Run


@dataclass(frozen=True, kw_only=True)
class GridSelection:
    """Which checkpoints and sites make the grid; None stands for all (of steps, for the last)."""

    runs: tuple[Run, ...]
    stage: int = 1
    step: int | None = None
    seeds: tuple[int, ...] | None = None
    sites: tuple[str, ...] | None = None
    layers: tuple[int, ...] | None = None

    def check(self) -> None:
        """Refuses a grid that cannot be filled, before anything is loaded.

        Raises:
            InputError: a run, seed or checkpoint is missing or there twice, or the runs have
                different layers or seeds, which no correction over one grid could cover; or a
                folder cannot be written to.
            DamagedError: a file beside which the tables would be written is damaged.
        """
        for run in self.runs:
            run.require_finished()
            require_intact(run.folder)
            refuse_encoder_decoder(run)
            for seed in self.seeds_of(run):
                steps = run.steps(seed, self.stage)
                if not steps:
                    raise InputError(
                        f"{run.folder} has no checkpoint in stage {self.stage} of seed {seed}; "
                        "repeat the iml run command that made it"
                    )
                if self.step is not None and self.step not in steps:
                    raise InputError(
                        f"{run.folder} has no checkpoint of step {self.step} in stage "
                        f"{self.stage} of seed {seed}; choose one of {', '.join(map(str, steps))}"
                    )
        if len({run.config.run_id for run in self.runs}) < len(self.runs):
            raise InputError("a run was named twice; name each folder once")
        layers = {str(run.folder): run.n_layers for run in self.runs}
        if len(set(layers.values())) > 1:
            listed = ", ".join(f"{folder} has {n}" for folder, n in layers.items())
            raise InputError(f"the runs' layers differ ({listed}); analyse them one by one")
        if len({tuple(self.seeds_of(run)) for run in self.runs}) > 1:
            listed = "; ".join(
                f"{run.folder} has {', '.join(map(str, self.seeds_of(run)))}" for run in self.runs
            )
            raise InputError(
                f"the runs' seeds differ ({listed}); name those that all have with --seed"
            )

    def seeds_of(self, run: Run) -> list[int]:
        """The seeds of a run that belong to the grid."""
        return run.seeds if self.seeds is None else list(self.seeds)


def refuse_encoder_decoder(run: Run) -> None:
    """Refuses a run of an encoder-decoder, which no hooked model is made of.

    Raises:
        InputError: it is one.
    """
    if run.config.model.is_encoder_decoder:
        raise InputError(
            f"{run.folder} is of an encoder-decoder ({run.config.model.name}); what looks inside a "
            "model needs a decoder-only one"
        )
