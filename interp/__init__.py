"""What happens inside: hooked models, statistics over runs, figures, reports.

    from interp import load_hooked_folder, prompts, lens, plot_lens

Each name is imported when it is first asked for, so that `import interp` brings no torch along.
"""

from typing import TYPE_CHECKING, Any

from interp.hidden import hidden_package, stop_with

if TYPE_CHECKING:
    from interp.alignment.experiment_plots import plot_branches
    from interp.alignment.plots import plot_alignment
    from interp.alignment.wording import alignment_sentences, branch_sentences
    from interp.attention.analysis import attention_contrast
    from interp.attention.pattern_plots import plot_attention
    from interp.attention.plots import plot_heads
    from interp.attention.view import show_attention
    from interp.attention.wording import attention_sentences
    from interp.circuits.null_plots import plot_disruption
    from interp.circuits.plots import plot_circuit, plot_inclusion
    from interp.circuits.transfer_plots import plot_transfer
    from interp.circuits.wording import circuit_found
    from interp.codes.plots import plot_code_edits, plot_codes
    from interp.dictionaries.plots import (
        plot_dictionaries,
        plot_feature_ablation,
        plot_features,
    )
    from interp.dictionaries.wording import dictionary_sentences
    from interp.explorer.notebook import explore
    from interp.figures.step_plots import plot_steps
    from interp.hooked.model import load_hooked, load_hooked_folder
    from interp.hypotheses.matrix import matrix_table
    from interp.hypotheses.plots import plot_matrix, plot_rows
    from interp.interventions.plots import plot_ablation
    from interp.lenses.attribution import attribute_logits
    from interp.lenses.contrast import lens_contrast
    from interp.lenses.plots import plot_attribution, plot_lens
    from interp.lenses.wording import lens_sentences
    from interp.mediation.plots import plot_mediation
    from interp.orders.plots import plot_orders
    from interp.own.ablating import ablate
    from interp.own.aligning import align
    from interp.own.hypotheses import check_hypotheses
    from interp.own.runs import look, open_or_train, say
    from interp.own.teaching import teach
    from interp.own.texts import prompt_pairs, prompts
    from interp.own.verbs import attend, attribute, lens, open_run, patch, probe
    from interp.patching.contrasts import patch_contrast
    from interp.patching.plots import plot_patched_heads, plot_patching
    from interp.patching.wording import patch_sentences
    from interp.probes.plots import plot_probes
    from interp.probes.wording import planted_words, probe_sentences
    from interp.report.guessing import guess_of
    from interp.report.plots import plot_curves, plot_gaps
    from interp.report.wording import headline_sentence, null_sentence
    from interp.turns.plots import plot_turns
    from interp.twins.plots import plot_twins

_HOMES = {
    "ablate": "interp.own.ablating",
    "align": "interp.own.aligning",
    "alignment_sentences": "interp.alignment.wording",
    "attend": "interp.own.verbs",
    "attention_contrast": "interp.attention.analysis",
    "attention_sentences": "interp.attention.wording",
    "attribute": "interp.own.verbs",
    "attribute_logits": "interp.lenses.attribution",
    "branch_sentences": "interp.alignment.wording",
    "check_hypotheses": "interp.own.hypotheses",
    "circuit_found": "interp.circuits.wording",
    "dictionary_sentences": "interp.dictionaries.wording",
    "explore": "interp.explorer.notebook",
    "guess_of": "interp.report.guessing",
    "headline_sentence": "interp.report.wording",
    "lens": "interp.own.verbs",
    "lens_contrast": "interp.lenses.contrast",
    "lens_sentences": "interp.lenses.wording",
    "load_hooked": "interp.hooked.model",
    "load_hooked_folder": "interp.hooked.model",
    "look": "interp.own.runs",
    "matrix_table": "interp.hypotheses.matrix",
    "null_sentence": "interp.report.wording",
    "open_or_train": "interp.own.runs",
    "open_run": "interp.own.verbs",
    "patch": "interp.own.verbs",
    "patch_contrast": "interp.patching.contrasts",
    "patch_sentences": "interp.patching.wording",
    "planted_words": "interp.probes.wording",
    "plot_ablation": "interp.interventions.plots",
    "plot_alignment": "interp.alignment.plots",
    "plot_attention": "interp.attention.pattern_plots",
    "plot_attribution": "interp.lenses.plots",
    "plot_branches": "interp.alignment.experiment_plots",
    "plot_circuit": "interp.circuits.plots",
    "plot_code_edits": "interp.codes.plots",
    "plot_codes": "interp.codes.plots",
    "plot_curves": "interp.report.plots",
    "plot_dictionaries": "interp.dictionaries.plots",
    "plot_disruption": "interp.circuits.null_plots",
    "plot_feature_ablation": "interp.dictionaries.plots",
    "plot_features": "interp.dictionaries.plots",
    "plot_gaps": "interp.report.plots",
    "plot_heads": "interp.attention.plots",
    "plot_inclusion": "interp.circuits.plots",
    "plot_lens": "interp.lenses.plots",
    "plot_matrix": "interp.hypotheses.plots",
    "plot_mediation": "interp.mediation.plots",
    "plot_orders": "interp.orders.plots",
    "plot_patched_heads": "interp.patching.plots",
    "plot_patching": "interp.patching.plots",
    "plot_probes": "interp.probes.plots",
    "plot_rows": "interp.hypotheses.plots",
    "plot_steps": "interp.figures.step_plots",
    "plot_transfer": "interp.circuits.transfer_plots",
    "plot_turns": "interp.turns.plots",
    "plot_twins": "interp.twins.plots",
    "probe": "interp.own.verbs",
    "probe_sentences": "interp.probes.wording",
    "prompt_pairs": "interp.own.texts",
    "prompts": "interp.own.texts",
    "say": "interp.own.runs",
    "show_attention": "interp.attention.view",
    "teach": "interp.own.teaching",
}
"""Where each name is from."""

__all__ = [
    "ablate",
    "align",
    "alignment_sentences",
    "attend",
    "attention_contrast",
    "attention_sentences",
    "attribute",
    "attribute_logits",
    "branch_sentences",
    "check_hypotheses",
    "circuit_found",
    "dictionary_sentences",
    "explore",
    "guess_of",
    "headline_sentence",
    "lens",
    "lens_contrast",
    "lens_sentences",
    "load_hooked",
    "load_hooked_folder",
    "look",
    "matrix_table",
    "null_sentence",
    "open_or_train",
    "open_run",
    "patch",
    "patch_contrast",
    "patch_sentences",
    "planted_words",
    "plot_ablation",
    "plot_alignment",
    "plot_attention",
    "plot_attribution",
    "plot_branches",
    "plot_circuit",
    "plot_code_edits",
    "plot_codes",
    "plot_curves",
    "plot_dictionaries",
    "plot_disruption",
    "plot_feature_ablation",
    "plot_features",
    "plot_gaps",
    "plot_heads",
    "plot_inclusion",
    "plot_lens",
    "plot_matrix",
    "plot_mediation",
    "plot_orders",
    "plot_patched_heads",
    "plot_patching",
    "plot_probes",
    "plot_rows",
    "plot_steps",
    "plot_transfer",
    "plot_turns",
    "plot_twins",
    "probe",
    "probe_sentences",
    "prompt_pairs",
    "prompts",
    "say",
    "show_attention",
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
