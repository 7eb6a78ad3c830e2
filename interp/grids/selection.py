"""Which checkpoints of which runs an analysis looks at."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from data.errors import InputError
from interp.hooked.addresses import TokenRole, check_number, check_site_name
from training.models.own import OwnModel
from training.runs.old_rules import require_one_meaning
from training.runs.publication import require_intact
from training.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class GridSelection:
    """Which checkpoints and sites make the grid; None stands for all (of steps, for the last).

    `along` names stages of which every checkpoint is looked at that all seeds have, in place of
    `step`; `stage` then says only what is compared.
    """

    runs: tuple[Run, ...]
    stage: int = 1
    step: int | None = None
    seeds: tuple[int, ...] | None = None
    sites: tuple[str, ...] | None = None
    layers: tuple[int, ...] | None = None
    along: tuple[int, ...] = ()

    def check(self) -> None:
        """Refuses a grid that cannot be filled, before anything is loaded.

        Raises:
            InputError: a run, seed, checkpoint, site or layer is missing or there twice, or the
                runs have different layers or seeds, which no correction over one grid could cover;
                or a folder cannot be written to.
            DamagedError: a file beside which the tables would be written is damaged.
        """
        for run in self.runs:
            run.require_finished()
            require_intact(run.folder)
            require_decoder(run)
            self._check_places(run)
            self._check_steps(run)
        require_one_meaning(self.runs)
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

    def places(self, run: Run) -> list[tuple[int, int | None]]:
        """Stage and step of each checkpoint that is looked at; the step None for the stage's last.

        Args:
            run: Of the grid.
        """
        if not self.along:
            return [(self.stage, self.step)]
        return [(stage, step) for stage in self.along for step in self._shared_steps(run, stage)]

    def at(self, stage: int, step: int | None) -> "GridSelection":
        """The same seeds and sites at one checkpoint."""
        return replace(self, stage=stage, step=step, along=())

    def _shared_steps(self, run: Run, stage: int) -> list[int]:
        steps = [set(run.steps(seed, stage)) for seed in self.seeds_of(run)]
        return sorted(set.intersection(*steps))

    def _check_steps(self, run: Run) -> None:
        """Refuses checkpoints that a seed of a run lacks."""
        for stage in self.along or (self.stage,):
            for seed in self.seeds_of(run):
                steps = run.steps(seed, stage)
                if not steps:
                    raise InputError(
                        f"{run.folder} has no checkpoint in stage {stage} of seed {seed}; "
                        "repeat the iml run command that made it"
                    )
                if not self.along and self.step is not None and self.step not in steps:
                    raise InputError(
                        f"{run.folder} has no checkpoint of step {self.step} in stage "
                        f"{stage} of seed {seed}; choose one of {', '.join(map(str, steps))}"
                    )
            if self.along and not self._shared_steps(run, stage):
                raise InputError(
                    f"the seeds of {run.folder} have no checkpoint in common; name one seed"
                )

    def check_heads(self, heads: Iterable[int]) -> None:
        """Refuses heads that a run's models lack.

        Raises:
            InputError: the models lack a head.
        """
        for run in self.runs:
            n_heads = run.shape.num_attention_heads
            for head in heads:
                check_number("head", head, n_heads)

    def check_roles(self, roles: Iterable[TokenRole]) -> None:
        """Refuses roles that the questions of a run lack.

        Raises:
            InputError: the questions lack a role.
        """
        roles = tuple(roles)
        for run in self.runs if roles else ():
            rows = run.tokenized_rows(self.seeds_of(run)[0])
            asked = [row for row in rows if row.row.is_evaluated and row.row.alias is not None]
            for role in roles:
                for row in asked:
                    role.position(row)

    def _check_places(self, run: Run) -> None:
        """Refuses sites and layers that a run's models lack."""
        for name in self.sites or ():
            check_site_name(name)
            if name == "resid_mid" and getattr(run.shape, "use_parallel_residual", False):
                raise InputError(
                    f"{run.folder} has no resid_mid: its attention and MLP read the same stream; "
                    "choose another site"
                )
        for layer in self.layers or ():
            check_number("layer", layer, run.n_layers)

    def seeds_of(self, run: Run) -> list[int]:
        """The seeds of a run that belong to the grid."""
        return run.seeds if self.seeds is None else list(self.seeds)


def require_decoder(run: Run) -> None:
    """Refuses a run whose models are no decoder-only transformers: no hooked model is made of them.

    Raises:
        InputError: the run is of an encoder-decoder, or of no transformer.
    """
    model = run.config.model
    if isinstance(model, OwnModel):
        raise InputError(
            f"{run.folder} is of a {model.model_type} model, which is no transformer; what it has "
            "learned is read by iml summary, report, sweep and blocks"
        )
    if model.is_encoder_decoder:
        raise InputError(
            f"{run.folder} is of an encoder-decoder ({model.name}); what looks inside a "
            "model needs a decoder-only one"
        )
