"""One import for all of it, also of a pretrained model."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from transformers import PreTrainedModel

import interp
from data.errors import InputError
from data.pairs import PromptPair
from data.tokens import TokenizedRow
from interp.attention.view import plot_pattern
from interp.hooked.model import HookedModel


@dataclass
class Inputs:
    """What verbs are called with."""

    model: HookedModel
    plain: PreTrainedModel
    rows: list[TokenizedRow]
    many: list[TokenizedRow]
    pairs: list[PromptPair]


@pytest.fixture(scope="module")
def inputs(
    model: HookedModel,
    plain: PreTrainedModel,
    rows: list[TokenizedRow],
    pairs: list[PromptPair],
) -> Inputs:
    many = interp.prompts(
        model, [f"w{n} w36" for n in range(20)], answers="w35", roles={"hero": (0, 2)}
    )
    return Inputs(model=model, plain=plain, rows=rows, many=many, pairs=pairs)


REAL = Path(__file__).parents[3].parent / "shared" / "data" / "models" / "tinystories-656k"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the pretrained model is not here")


def test_names_are_functions_after_every_submodule_was_imported():
    for found in pkgutil.walk_packages(interp.__path__, "interp."):
        importlib.import_module(found.name)

    assert len(interp.__all__) >= 12
    for name in interp.__all__:
        function = getattr(interp, name)
        assert inspect.isfunction(function), name
        assert name not in {found.name for found in pkgutil.iter_modules(interp.__path__)}
        needed = inspect.signature(function).parameters.values()
        if any(
            each.default is each.empty and each.kind is not each.VAR_POSITIONAL for each in needed
        ):
            with pytest.raises(TypeError, match="missing"):
                function()


VERBS: dict[str, Callable[[Inputs], pd.DataFrame]] = {
    "lens": lambda i: interp.lens(i.model, i.rows),
    "probe": lambda i: interp.probe(i.model, i.many, [n % 2 for n in range(20)], n_permutations=9),
    "patch": lambda i: interp.patch(i.model, i.pairs),
    "attend": lambda i: interp.attend(i.model, i.rows[0]),
    "attribute": lambda i: interp.attribute(i.model, i.rows),
    "ablate": lambda i: interp.ablate(i.model, i.rows),
    "align": lambda i: interp.align(i.plain, i.rows, i.rows),
}
PLOTS = {
    "ablate": "plot_ablation",
    "align": "plot_alignment",
    "attend": "plot_attention",
    "attribute": "plot_attribution",
    "lens": "plot_lens",
    "patch": "plot_patching",
    "probe": "plot_probes",
}
"""Of each verb the function that plots its table."""


@pytest.mark.parametrize("verb", VERBS)
def test_every_table_has_its_figure(verb: str, inputs: Inputs):
    table = VERBS[verb](inputs)
    figure = getattr(interp, PLOTS[verb])(table)

    assert len(figure.data) > 0
    assert "prompts" in figure.to_json() or verb in ("attend", "align", "probe")
    assert not re.search(r"\bnan\b|\balias", str(figure.layout.title.text))


def test_verbs_and_plots_are_all_there():
    assert set(PLOTS) == set(VERBS)
    assert set(PLOTS) | set(PLOTS.values()) <= set(interp.__all__)


@pytest.mark.parametrize("verb", ["lens", "probe", "patch", "attend", "ablate"])
def test_no_such_layer(verb: str, inputs: Inputs):
    given = {"patch": inputs.pairs, "probe": inputs.many}.get(verb, inputs.rows)
    labels = ([n % 2 for n in range(20)],) if verb == "probe" else ()

    with pytest.raises(InputError, match="no layer 2 in a model of 2; choose from 0 to 1"):
        getattr(interp, verb)(inputs.model, given, *labels, layers=[2])


@pytest.mark.parametrize("verb", ["lens", "probe", "patch"])
def test_no_such_role(verb: str, inputs: Inputs):
    given = {"patch": inputs.pairs, "probe": inputs.many}.get(verb, inputs.rows)
    labels = ([n % 2 for n in range(20)],) if verb == "probe" else ()

    with pytest.raises(InputError, match="no role 'heroo_last'; did you mean hero_last") as said:
        getattr(interp, verb)(inputs.model, given, *labels, roles=["heroo_last"])
    assert "\n" not in str(said.value)


def test_no_such_head(inputs: Inputs):
    with pytest.raises(
        InputError, match="no head 4 at z of layer 0, which has 4; choose from 0 to 3"
    ):
        plot_pattern(inputs.model, inputs.rows[0], layer=0, head=4)


def test_import_is_quick_and_brings_no_torch_along():
    code = "import sys, interp; print(sorted({'torch', 'pandas', 'plotly'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_what_is_not_there_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'prob'"):
        _ = interp.prob  # pyright: ignore[reportAttributeAccessIssue]


@needs_real
def test_a_pretrained_model_from_its_folder():
    model = interp.load_hooked_folder(REAL)
    names = ["Lily", "Tim", "Mia", "Ben"]
    texts = [f"Once upon a time, {name} had a dog. The dog" for name in names]
    rows = interp.prompts(model, texts, answers="was", roles={"who": names})

    for table in (interp.lens(model, rows), interp.attend(model, rows)):
        assert len(table)
    found = [row.row.rendered.text[slice(*row.row.rendered.spans["who"])] for row in rows]
    assert found == names
    assert len(interp.ablate(model, rows, layers=[0]))
    with pytest.raises(InputError, match="differ first at token"):
        interp.prompt_pairs(
            model,
            ["Lily has a red ball. It is"],
            ["Lily has a wonderful ball. It is"],
            answers=["big"],
            corrupted_answers=["small"],
        )
