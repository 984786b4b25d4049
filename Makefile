# Everything runs from .venv, which is made on first use and again when what it holds changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "graphctx needs Python 3.11 or newer, but '$(PYTHON)' is $$(if command -v $(PYTHON) >/dev/null; then $(PYTHON) -V 2>&1; else echo missing; fi)." >&2; \
	echo "Name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1; }

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.dev-stamp: pyproject.toml constraints.txt
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.bench-stamp: $(VENV)/.dev-stamp
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[bench]'
	@touch $@

.PHONY: venv
venv: $(VENV)/.dev-stamp ## Make .venv with everything that development needs

.PHONY: demo
demo: $(VENV)/.dev-stamp ## Trace, specialize, run and export a model, step by step
	$(BIN)/graphctx demo

.PHONY: test
# One thread of BLAS for each of the processes, which would fight for the cores otherwise.
test: $(VENV)/.dev-stamp ## Run the tests
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n auto -q

.PHONY: lint
lint: $(VENV)/.dev-stamp ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: types
types: $(VENV)/.dev-stamp ## Check types
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/.dev-stamp ## Fix what can be fixed, and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: bench
bench: $(VENV)/.bench-stamp ## Run the benchmarks, side by side with the peers
	$(BIN)/python -m benchmarks

.PHONY: keras-fixtures
keras-fixtures: $(VENV)/.bench-stamp ## Record anew what Keras and PyTorch compute
	KERAS_BACKEND=numpy $(BIN)/python -m tests.nn.parity.record
	$(BIN)/python -m tests.weights_fixtures.record
	$(BIN)/python -m tests.samples.hugging_face

.PHONY: lock
lock: ## Write constraints.txt anew, with the newest versions there are
	@$(CHECK_PYTHON)
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(PYTHON) -m venv "$$tmp/venv"; \
	"$$tmp/venv/bin/python" -m pip install -q '.[dev,bench]'; \
	{ \
		echo "# Exact versions of all that .[dev] and .[bench] install. Written by 'make lock': do not edit."; \
		"$$tmp/venv/bin/python" -c 'import sys; print("# Resolved on CPython %d.%d, %s." % (*sys.version_info[:2], sys.platform))'; \
		"$$tmp/venv/bin/python" -m pip freeze --exclude graphctx | sed "s/+cpu$$//"; \
	} > "$$tmp/constraints.txt"; \
	cp "$$tmp/constraints.txt" constraints.txt

.PHONY: clean
clean: ## Remove .venv and everything else that is made
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
