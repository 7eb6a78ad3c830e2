"""Frame in, figure out: what each transplanted part brings, and what Stage 2 changed where.

Colours are those of the subsets, controls are grey. Every interval is over Stage-1 seeds.
"""

import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from data.design import Contrast, Design
from data.errors import InputError
from data.subsets import Mark
from interp.figures.grid_tables import one_checkpoint, summarized, titled, with_run_columns
from interp.figures.palette import FAINT, INK, NULL_COLOR, subset_style
from interp.figures.places import address_words, module_words
from interp.figures.room import PAGE, make_room, name_ticks
from interp.figures.seed_marks import FEWEST, add_seeds, mean_hover, seeds_words, shown_halves
from interp.figures.theme import style_figure
from interp.transplants.summary import summarize_transplants
from training.designs import design_of
from training.metrics import find_metric
from training.statistics import t_interval

SHIFT, ASIDE = 0.22, 0.13
"""How far the two subsets lie from the middle of a part, and controls from them, of its width."""
ROW_HEIGHT = 190  # pixels
LEVELS = {"recipient": ("dot", "without a transplant"), "donor_value": ("dash", "with all parts")}
WITHOUT = "all but the part"
LEGEND = {
    WITHOUT: {
        "mode": "markers",
        "marker": {"color": FAINT, "size": 8, "symbol": "x-thin-open"},
    },
    "control: a random change as large": {
        "mode": "markers",
        "marker": {"color": NULL_COLOR, "size": 8, "symbol": "circle-open"},
    },
    **{
        words: {"mode": "lines", "line": {"color": FAINT, "dash": dash, "width": 1.2}}
        for dash, words in LEVELS.values()
    },
}
"""What is the same of every subset has one entry in the legend."""
PART_WORDS = {
    "mlp": "MLP",
    "mlps": "MLPs",
    "alias_rows": "alias rows",
    "final_norm": "final norm",
}
"""Parts whose words are not their names."""
ONE_DONOR = {"from_stage": 0, "from_step": 0, "to_stage": 0, "donor": ""}
"""What stands for the donor's place where it is of no run."""


def plot_transplants(
    summary: pd.DataFrame, rows: pd.DataFrame | None = None, *, metric: str = "exact_match"
) -> go.Figure:
    """Both compared subsets with each part of the donor, asked and recited, and their gap.

    Filled with the part alone, crosses with all but the part; random changes in grey.

    Args:
        summary: Rows of a `transplants_summary` of one run, recipient and donor, or what
            `transplant_weights` returns.
        rows: Of `transplants`, to show each seed's own value where seeds are few.
        metric: `exact_match` or `answer_log_prob`.

    Raises:
        InputError: several runs, recipients or donors, or nothing of the compared subsets.
    """
    summary = summarized(summary, summarize_transplants, **ONE_DONOR)
    cells = summary.loc[(summary["metric"] == metric) & (summary["contrast"] == "recipient")]
    design = design_of(summary)
    main = design.main
    compared, recited_names = main.names, tuple(f"{name} recited" for name in main.names)
    cells = cells.loc[cells["subset"].isin([*compared, main.gap, *recited_names])]
    one_checkpoint(cells)
    places = ["run_id", "stage", "step", "from_stage", "from_step", "donor"]
    donors = cells[places].drop_duplicates()
    if len(donors) > 1:
        raise InputError("the table has several runs or donors; choose the rows of one")
    parts = ordered_parts(cells["part"])
    # Tables made before definitions were recited have no third panel, activations none to show.
    recited = set(recited_names) <= set(cells["subset"])
    panels = {compared: 1, (main.gap,): 2} | ({recited_names: 3} if recited else {})
    figure = make_subplots(rows=len(panels), shared_xaxes=True, vertical_spacing=0.06)
    is_drawn = {WITHOUT: "without" in cells and bool(cells["without"].notna().any())}
    for name, look in LEGEND.items():
        if is_drawn.get(name, True):
            figure.add_scatter(x=[None], y=[None], name=name, **look)
    for (subset, shift), row in (
        (each, row)
        for subsets, row in panels.items()
        for each in zip(subsets, (-SHIFT, SHIFT) if len(subsets) > 1 else (0.0,), strict=True)
    ):
        if subset not in set(cells["subset"]):
            continue
        of_subset = cells.loc[cells["subset"] == subset].set_index("part").reindex(parts)
        style = _style(subset, design)
        _add_dots(figure, of_subset, subset, style, shift=shift, row=row)
        _add_levels(figure, of_subset, subset, style, row=row)
        if rows is not None:
            own = _own_values(rows.merge(donors), subset, metric, main)
            x = [parts.index(part) + shift for part in own["part"]]
            values = own["value"].tolist(), own["seed"].tolist()
            add_seeds(figure, x, *values, color=style.color, row=row)
    n_seeds = int(cells["n_seeds"].to_numpy().max())
    about = f"{seeds_words(n_seeds, with_own=rows is not None)}; "
    about += f"crosses: {WITHOUT}; " if is_drawn[WITHOUT] else ""
    about += "grey: a random change of the part, as large"
    found = find_metric(metric)
    title = titled(f"{direction_words(cells)}, {found.words}", cells)
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    words = [part_words(part) for part in parts]
    figure.update_xaxes(
        **name_ticks(list(range(len(parts))), words, width=PAGE - 100),
        range=[-0.6, len(parts) - 0.4],
    )
    figure.update_xaxes(title="part of the donor", row=len(panels))
    unit = f"<br>({found.unit})"
    figure.update_yaxes(title=f"{found.heading.removesuffix(' (nats)')}{unit}", row=1)
    figure.update_yaxes(title=f"gap {main.words}{unit}", zeroline=True, row=2)
    if recited:
        figure.update_yaxes(title=f"recited{unit}", row=3)
    make_room(figure, inside=ROW_HEIGHT * len(panels))
    return figure


def plot_weight_differences(table: pd.DataFrame) -> go.Figure:
    """By module: how much Stage 2 changed, and how far definitions of either tag change the same.

    Args:
        table: Rows of a `weight_differences` table of one run and checkpoint, or what
            `measure_changes` returns.

    Raises:
        InputError: several runs or checkpoints.
    """
    table = with_run_columns(table)
    one_checkpoint(table)
    if len(set(table["run_id"])) > 1:
        raise InputError("the table holds several runs; choose the rows of one run_id")
    modules = list(dict.fromkeys(table["module"]))
    design = design_of(table)
    # Of two models of one's own nothing is known but their difference, which is all that is drawn.
    lower = subset_style(design.main.lower.name if design.contrasts else "", design)
    one, other = design.main.short_names if design.contrasts else ("one", "the other")
    series = {
        "relative_norm": ("change of Stage 2 over the weights", INK, "circle", 0.0, 1),
        "cosine_other_tag": (f"half of {one} with half of {other}", lower.color, lower.symbol,
                             SHIFT, 2),
        "cosine_same_tag": ("control: two halves of one tag", NULL_COLOR, "circle", -SHIFT, 2),
    }  # fmt: skip
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.05)
    for column, (name, color, symbol, shift, row) in series.items():
        if column not in table.columns:  # of two models alone only their difference is known
            continue
        of_modules = [table.loc[table["module"] == module, column].to_numpy() for module in modules]
        means = np.array([values.mean() for values in of_modules])
        high = np.array([t_interval(values)[1] for values in of_modules])
        places = [modules.index(module) + shift for module in table["module"]]
        own = table[column].tolist(), table["seed"].tolist()
        add_seeds(figure, places, *own, color=color, row=row, group=column)
        figure.add_scatter(
            x=[place + shift for place in range(len(modules))],
            y=means,
            error_y={
                "array": np.nan_to_num(high - means) * (table["seed"].nunique() >= FEWEST),
                "thickness": 1.4,
                "width": 3,
            },
            text=list(map(part_words, modules)),
            name=name,
            mode="markers",
            marker={"color": color, "symbol": symbol, "size": 9},
            hovertemplate=mean_hover("%{text}: ", map(len, of_modules)),
            row=row,
            col=1,
        )
    about = seeds_words(len(set(table["seed"])))
    title = titled("What Stage 2 changes, by module", table)
    style_figure(figure, title=title, height=ROW_HEIGHT, about=about)
    words = list(map(part_words, modules))
    figure.update_xaxes(
        **name_ticks(list(range(len(modules))), words, width=PAGE - 100),
        range=[-0.6, len(modules) - 0.4],
    )
    figure.update_xaxes(title="module", row=2)
    figure.update_yaxes(title="relative norm<br>of the change", rangemode="tozero", row=1)
    figure.update_yaxes(title="cosine of<br>two changes", zeroline=True, row=2)
    make_room(figure, inside=2 * ROW_HEIGHT)
    return figure


def ordered_parts(parts: pd.Series) -> list[str]:
    """Each part once: baselines, large parts, layers, heads, unions, activations."""
    large = ("none", "all", "embeddings", "alias_rows", "unembedding", "blocks", "attention",
             "mlps", "norms", "final_norm")  # fmt: skip
    kinds = ("block.", "attention.", "mlp.", "head.")

    def place(name: str) -> tuple[int, int, list[int | str]]:
        pieces: list[int | str] = [int(p) if p.isdigit() else p for p in name.split(".")]
        if name in large:
            return 0, large.index(name), pieces
        if "@" in name or "+" in name:
            return 2, 0, [name]
        return 1, [name.startswith(kind) for kind in kinds].index(True), pieces

    return sorted(set(parts), key=place)


def part_words(part: str) -> str:
    """What a part is called: of a layer, of the model, several, or an activation.

    >>> [part_words(part) for part in ("head.1.3", "mlp.0", "block.2", "alias_rows")]
    ['layer 1, head 3', 'layer 0, MLP', 'layer 2, block', 'alias rows']
    >>> part_words("mlps+norms"), part_words("z.0.1@alias_last")
    ('MLPs and norms', 'layer 0, head 1 at the last alias token')
    """
    if "+" in part:
        return " and ".join(map(part_words, part.split("+")))
    found = re.fullmatch(r"(block|attention|mlp|head)\.(\d+)(?:\.(\d+))?", part)
    if not found:
        return PART_WORDS.get(part) or module_words(address_words(part))
    kind, layer, head = found.groups()
    return f"layer {layer}, {PART_WORDS.get(kind, kind)}" + ("" if head is None else f" {head}")


def direction_words(cells: pd.DataFrame) -> str:
    """What was moved where: `Parts of Stage 2 (step 200) into Stage 1 (step 1200)`."""
    first = cells.iloc[0]
    if not first["run_id"]:
        return "Parts of one model in another"
    donor = {"same": "", "null": " of the null twin"}.get(first["donor"], f" of {first['donor']}")
    return (
        f"Parts of Stage {first['from_stage']} (step {first['from_step']}){donor} "
        f"in Stage {first['to_stage']} (step {first['step']})"
    )


def _add_dots(
    figure: go.Figure, cells: pd.DataFrame, subset: str, style: Mark, *, shift: float, row: int
) -> None:
    """Means with intervals, the control's hollow and grey beside them."""
    color, symbol = style.color, style.symbol
    looks = {
        "control": (", random change", NULL_COLOR, f"{symbol}-open", ASIDE),
        "value": ("", color, symbol, 0.0),
        "without": (", all but the part", color, "x-thin-open", -ASIDE),
    }
    for level, (what, ink, mark, sideways) in looks.items():
        if level not in cells or cells[level].isna().to_numpy().all():
            continue
        name = subset.replace("-", " − ") + what
        means, high = cells[level], cells[f"{level}_high"]
        figure.add_scatter(
            x=[place + shift + sideways for place in range(len(cells))],
            y=means,
            error_y={
                "array": shown_halves(means, high, cells["n_seeds"]),
                "thickness": 1.4,
                "width": 3,
            },
            text=[part_words(str(part)) for part in cells.index],
            name=name,
            showlegend=level == "value" and row != 3,
            mode="markers",
            marker={"color": ink, "symbol": mark, "size": 8},
            hovertemplate=mean_hover("%{text}: ", cells["n_seeds"]),
            row=row,
            col=1,
        )


def _style(subset: str, design: Design) -> Mark:
    """A subset's, whether its aliases are asked about or recited; the gap's is ink."""
    name = subset.removesuffix(" recited")
    return subset_style(name, design) if name in design.names else Mark(color=INK, symbol="diamond")


def _own_values(rows: pd.DataFrame, subset: str, metric: str, main: Contrast) -> pd.DataFrame:
    """Columns `part seed value` of one donor and subset; the gap's are paired within seeds."""
    sides = [
        rows.loc[rows["subset"] == name].set_index(["part", "seed"])[metric]
        for name in (main.names if subset == main.gap else (subset,))
    ]
    values = sides[0] - sides[1] if subset == main.gap else sides[0]
    return values.rename("value").reset_index()


def _add_levels(
    figure: go.Figure, cells: pd.DataFrame, subset: str, style: Mark, *, row: int
) -> None:
    """Where the recipient and the donor stand by themselves."""
    is_gap = "-" in subset
    for level, (dash, words) in LEVELS.items():
        figure.add_scatter(
            x=[-0.6, len(cells) - 0.4],
            y=[cells[level].iloc[0]] * 2,
            mode="lines",
            line={
                "color": FAINT if is_gap else style.color,
                "dash": dash,
                "width": 1.2,
            },
            name=f"{subset.replace('-', ' − ')} {words}",
            showlegend=False,
            hovertemplate="%{y:.3f}",
            row=row,
            col=1,
        )
