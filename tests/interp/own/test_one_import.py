"""One import for all of it, also of a pretrained model."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import interp
from data.errors import InputError

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "models" / "tinystories-656k"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the pretrained model is not here")


def test_names_are_functions_after_every_submodule_was_imported():
    for found in pkgutil.walk_packages(interp.__path__, "interp."):
        importlib.import_module(found.name)

    assert len(interp.__all__) >= 12
    for name in interp.__all__:
        assert callable(getattr(interp, name)), name
        assert getattr(interp, name).__name__ == name
        assert name not in {found.name for found in pkgutil.iter_modules(interp.__path__)}


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
