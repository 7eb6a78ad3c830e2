"""Frame in, figure out: does what a definition is like go along with what becomes of it?"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.grid_tables import titled
from interp.figures.palette import INK, NULL_COLOR, subset_style, transparent
from interp.figures.room import make_room
from interp.figures.theme import style_figure
from interp.mediation.summary import ALIGNMENT, COEFFICIENT, OUTCOME, PREDICTORS
from training.columns import RUN_COLUMNS
from training.designs import design_of

HEIGHT = 360  # pixels
AXES = {
    ALIGNMENT: "own questions' cosine<br>before Stage 2 (minus mean)",
    COEFFICIENT: "own code's coefficient<br>(minus mean)",
}


def plot_mediation(table: pd.DataFrame) -> go.Figure:
    """A dot for each definition, its seed's and tag's mean taken out; beside it the same shuffled.

    Args:
        table: Rows of a `mediation` table of one run.
    """
    shown = [
        name for name in PREDICTORS if name in table and not table[name].isna().to_numpy().all()
    ]
    groups, design = ["seed", "subset"], design_of(table)
    aliases = table.groupby([*RUN_COLUMNS, "subset", "alias"], sort=True)
    rows = aliases.agg(dict.fromkeys([*shown, OUTCOME], "mean")).reset_index()
    means = rows.groupby(groups)[[*shown, OUTCOME]].transform("mean")
    rows[[*shown, OUTCOME]] -= means
    titles = [f"{words}" for name in shown for words in (name, f"control: {name} shuffled")]
    figure = make_subplots(
        cols=2 * len(shown), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.03
    )
    rng = np.random.default_rng(0)
    for place, name in enumerate(shown):
        shuffled = rows.groupby(groups)[name].transform(lambda each: rng.permutation(each))
        for col, x in enumerate((rows[name], shuffled), start=2 * place + 1):
            known = rows.assign(x=x).loc[x.notna()]
            _add_panel(figure, known, design, is_control=col % 2 == 0, col=col)
        figure.update_xaxes(title=AXES[name], col=2 * place + 1)
        figure.update_xaxes(title=AXES[name], col=2 * place + 2)
    n_seeds = rows["seed"].nunique()
    about = (
        f"a dot for each of {len(rows)} definitions of n = {n_seeds} seeds, the mean of its seed "
        "and tag taken out; line: mean slope over seeds"
    )
    title = titled("What becomes of each definition", table)
    style_figure(figure, title=title, height=HEIGHT, about=about)
    figure.update_layout(legend={"itemsizing": "constant"})
    figure.update_yaxes(title="answers at the end<br>(log-probability, nats)", col=1)
    figure.update_yaxes(zeroline=True)
    make_room(figure, inside=HEIGHT)
    return figure


def _add_panel(
    figure: go.Figure, rows: pd.DataFrame, design: object, *, is_control: bool, col: int
) -> None:
    for subset, own in rows.groupby("subset", sort=True):
        mark = subset_style(str(subset), design)  # pyright: ignore[reportArgumentType]
        color = NULL_COLOR if is_control else mark.color
        figure.add_scattergl(
            x=own["x"], y=own[OUTCOME], mode="markers", name=str(subset), legendgroup=str(subset),
            showlegend=col == 1, text=own["alias"] + ", seed " + own["seed"].astype(str),
            marker={"color": transparent(color, 0.35), "size": 4, "symbol": mark.symbol},
            hovertemplate="%{text}: %{x:+.3f}, %{y:+.2f}<extra></extra>", row=1, col=col,
        )  # fmt: skip
    slopes = [
        float(x @ own[OUTCOME].to_numpy() / (x @ x))
        for _, own in rows.groupby("seed")
        if (x := own["x"].to_numpy()).any()
    ]
    if not slopes:
        return
    ends = np.array([rows["x"].min(), rows["x"].max()])
    figure.add_scatter(
        x=ends, y=np.mean(slopes) * ends, mode="lines", line={"color": INK, "width": 1.5},
        hoverinfo="skip", showlegend=False, row=1, col=col,
    )  # fmt: skip
