"""The report's section about attention, where the run folder has its tables."""

from interp.attention.plots import plot_attention_contrast, plot_heads
from interp.attention.wording import found
from interp.figures.answer_first import Part, section_html
from interp.figures.grid_tables import last_checkpoints, one_checkpoint, table_of
from interp.figures.markup import Html
from interp.figures.settings_note import settings_words
from training.runs.run import Run

NOTES = (
    "Heads of different seeds cannot be matched. All heads: a layer's heads together (the mean, of "
    "logits the sum). #1, #2 …: its heads from strongest to weakest, ranked in each cell and seed "
    "on half of the aliases and measured on the other half. A column is source → destination: the "
    "destination attends to the source; the answer follows the last prompt token. Part of the "
    "answer's logit: what a head moves from the source, through the unembedding alone, above the "
    "mean logit of the vocabulary; every: from all tokens. ▲ and ▼: above or below the control "
    "after correction over all cells of the table. Random tokens fill the context at most, which "
    "may be longer than any text the model was trained on. Attention says where a head looks, not "
    "that it is needed: that takes an intervention."
)


def attention_section(run: Run) -> Html | None:
    """What the heads do at the last checkpoint of each stage that was looked at."""
    tables = [table_of(run, name) for name in ("attention_summary", "attention")]
    summary, table = tables
    if summary is None or table is None:
        return None
    parts, settings = [], settings_words(summary)
    for cells in reversed(last_checkpoints(summary)):
        stage, step = one_checkpoint(cells)
        higher, lower = run.compared_at(stage).names
        if not {higher, lower} <= set(cells["subset"]):
            continue
        rows = table.loc[(table["stage"] == stage) & (table["step"] == step)]
        words = found(rows, cells, compared=(higher, lower))
        figures = {}
        for kind in ("pattern", "direct_logit"):
            name = f"attention-{stage}-{kind.replace('_', '-')}"
            figures[name] = plot_heads(cells, rows, subset=higher, kind=kind)
            contrast = plot_attention_contrast(rows, higher, lower, kind=kind)
            figures[f"{name}-contrast"] = contrast
        heading = f"Stage {stage}, step {step}"
        parts.append(Part(heading=heading, sentences=words, figures=figures, settings=settings))
    if not parts:
        return None
    return section_html("Attention", parts, notes=NOTES)
