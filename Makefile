# Two commands do everything: `make demo` and `make test`. They need Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/alias-toy

.PHONY: demo test check docs nightly gpu notebook notebooks clean

# Environment, install, eight seeds and their null twins, and the report.
demo: $(VENV)/installed
	$(BIN)/iml run alias-toy --seeds 8 --with-null
	$(BIN)/iml report $(DEMO)
	@echo "open $(DEMO)/report.html, or run: make notebook"

test: $(VENV)/installed
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

# Formatting, lint, types, tests: what a change must pass.
check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

# The site, anew: docs/_build/html/index.html. Without network; a warning is an error.
docs: $(VENV)/installed
	rm -rf docs/_build
	$(BIN)/python -m sphinx --jobs auto --fail-on-warning --keep-going docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# Everything, the slow tests and those that need an accelerator included. What the site links to
# elsewhere is asked for where there is a network; a link that is gone is told and ends nothing.
nightly: $(VENV)/installed docs
	-$(BIN)/python -m sphinx --quiet -b linkcheck -d docs/_build/html/.doctrees docs docs/_build/links
	$(BIN)/python -m pytest -q -m ""
	for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench --quick || exit 1; done

# What is to be measured on a GPU, in nine minutes: a JSON and a table in benchmarks/results/.
# make gpu GPU=--smoke tries it on a CPU; GPU_PYTHON=python3 is for a machine without network whose
# Python has the dependencies.
GPU_PYTHON ?= $(BIN)/python
gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),$(VENV)/installed)
	$(GPU_PYTHON) benchmarks/gpu.py $(GPU)

# Executes the notebooks on runs/ and stores what they show, pictures included: needs a Chromium.
notebooks: $(VENV)/installed
	$(BIN)/python -m notebooks.store

notebook: $(VENV)/installed
	$(BIN)/jupyter lab notebooks

# torch comes first: where a CPU wheel of this version is at hand, pip takes it and nothing later
# replaces it with a CUDA build of several gigabytes.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "torch>=2.11,<2.14"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache docs/_build docs/generated
