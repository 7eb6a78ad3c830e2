"""Of every test, doctests included: what checks types must be there when the first is checked."""

import tests.type_checks  # noqa: F401  (named in pyproject.toml, where nothing imports it)
