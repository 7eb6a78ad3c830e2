"""Heads, MLPs and routes of attention taken away from a person's own prompts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from data.errors import InputError
from data.tokens import TokenizedRow
from interp.hooked.addresses import OwnTokenRole, TokenRole
from interp.hooked.model import HookedModel
from interp.interventions.base import answer_table, parse_place, place_tokens
from interp.interventions.knock_outs import KnockOut, Route
from interp.interventions.plots import plot_ablation
from interp.own.ablating import ablate
from interp.own.texts import prompts


def test_ablate(model: HookedModel, rows: Sequence[TokenizedRow]):
    table = ablate(model, rows)
    figure: Any = plot_ablation(table)

    assert set(table["intervention"]) == {"zero", "mean", "resample", "knock_out"}
    assert np.abs(table["effect"].to_numpy()).max() > 0
    assert "one model" in figure.layout.title.text
    assert "hero → last prompt token, all layers" in figure.layout.xaxis.categoryarray
    with pytest.raises(InputError, match="no other to resample from"):
        ablate(model, rows[:1])
    with pytest.raises(InputError, match="no rows to answer"):
        ablate(model, [])
    assert len(ablate(model, rows[:1], kinds=["zero"], layers=[0]))


def test_routes_start_at_own_roles(model: HookedModel, rows: Sequence[TokenizedRow]):
    table = ablate(model, rows, kinds=["zero"], layers=[1])
    route = Route("hero", TokenRole.PROMPT_LAST)
    answered = [
        answer_table(model, rows, cut)["answer_log_prob"].mean()
        for cut in ([], [KnockOut(model=model, route=route, layers=(1,))])
    ]

    cut = table.query("route == 'hero->prompt_last' and metric == 'answer_log_prob'")
    assert cut["layer"].tolist() == [1, -1]
    assert cut["effect"].to_numpy() == pytest.approx(answered[1] - answered[0], abs=1e-6)
    assert not np.allclose(cut["control"], cut["effect"])


def test_routes_that_are_named(model: HookedModel, rows: Sequence[TokenizedRow]):
    table = ablate(model, rows, kinds=["zero"], routes=["hero_last -> prompt_last"])

    assert set(table["route"]) == {"", "hero_last->prompt_last"}
    assert set(ablate(model, rows, kinds=["zero"], routes=[])["route"]) == {""}


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("villain->prompt_last", "no place 'villain'; choose one of .*hero_first, hero_last.*hero"),
        ("heroo->prompt_last", r"no place 'heroo'; did you mean hero"),
        ("hero", "no route 'hero'; write two places"),
        ("prompt_last->hero_first", "prompt_last comes after hero_first"),
    ],
)
def test_no_such_route(model: HookedModel, rows: Sequence[TokenizedRow], route: str, words: str):
    with pytest.raises(InputError, match=words) as refused:
        ablate(model, rows, routes=[route])

    assert "\n" not in str(refused.value)


def test_a_role_beside_which_nothing_is_seen_has_no_route_unless_named(model: HookedModel):
    rows = prompts(model, ["w0 w1"], answers="w2", roles={"all_of_it": "w0 w1"})

    assert set(ablate(model, rows, kinds=["zero"])["route"]) == {""}
    with pytest.raises(InputError, match="there is no control"):
        ablate(model, rows, kinds=["zero"], routes=["all_of_it->prompt_last"])


def test_places_are_own_roles_and_their_ends(rows: Sequence[TokenizedRow]):
    places = [parse_place(text, rows) for text in ("hero", "hero_first", "hero_last", "TAG")]

    assert [list(place_tokens(rows[1], place)) for place in places[:3]] == [[1, 2], [1], [2]]
    assert isinstance(places[1], OwnTokenRole)
    assert places[3] == "tag"


def test_no_such_layer(model: HookedModel, rows: Sequence[TokenizedRow]):
    with pytest.raises(InputError, match="no layer 2 in a model of 2; choose from 0 to 1"):
        ablate(model, rows, layers=[2])
