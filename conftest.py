"""Of every test, doctests included: what checks types must be there when the first is checked."""

import jaxtyping

from tests.type_checks import light_jaxtyped  # `checked` is named in pyproject.toml

jaxtyping.jaxtyped = light_jaxtyped  # before the first module that it decorates is imported
