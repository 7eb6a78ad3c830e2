"""What happens inside: hooked models, statistics over runs, figures, reports.

    from interp import load_hooked_folder, prompts, lens, plot_lens

Each name is imported when it is first asked for, so that `import interp` brings no torch along.
"""

from typing import TYPE_CHECKING, Any

from interp.hidden import hidden_package, stop_with

if TYPE_CHECKING:
    from interp.alignment.plots import plot_alignment
    from interp.attention.pattern_plots import plot_attention
    from interp.explorer.notebook import explore
    from interp.hooked.model import load_hooked, load_hooked_folder
    from interp.interventions.plots import plot_ablation
    from interp.lenses.plots import plot_attribution, plot_lens
    from interp.own.ablating import ablate
    from interp.own.aligning import align
    from interp.own.teaching import teach
    from interp.own.texts import prompt_pairs, prompts
    from interp.own.verbs import attend, attribute, lens, open_run, patch, probe
    from interp.patching.plots import plot_patching
    from interp.probes.plots import plot_probes

_HOMES = {
    "ablate": "interp.own.ablating",
    "align": "interp.own.aligning",
    "attend": "interp.own.verbs",
    "attribute": "interp.own.verbs",
    "explore": "interp.explorer.notebook",
    "lens": "interp.own.verbs",
    "load_hooked": "interp.hooked.model",
    "load_hooked_folder": "interp.hooked.model",
    "open_run": "interp.own.verbs",
    "patch": "interp.own.verbs",
    "plot_ablation": "interp.interventions.plots",
    "plot_alignment": "interp.alignment.plots",
    "plot_attention": "interp.attention.pattern_plots",
    "plot_attribution": "interp.lenses.plots",
    "plot_lens": "interp.lenses.plots",
    "plot_patching": "interp.patching.plots",
    "plot_probes": "interp.probes.plots",
    "probe": "interp.own.verbs",
    "prompt_pairs": "interp.own.texts",
    "prompts": "interp.own.texts",
    "teach": "interp.own.teaching",
}
"""Where each name is from."""

__all__ = [
    "ablate",
    "align",
    "attend",
    "attribute",
    "explore",
    "lens",
    "load_hooked",
    "load_hooked_folder",
    "open_run",
    "patch",
    "plot_ablation",
    "plot_alignment",
    "plot_attention",
    "plot_attribution",
    "plot_lens",
    "plot_patching",
    "plot_probes",
    "probe",
    "prompt_pairs",
    "prompts",
    "teach",
]


def __getattr__(name: str) -> Any:
    """Imports what is asked for by one of the names above."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_problem = hidden_package()
if _problem:
    stop_with(_problem)
