# Short recipes. `make` alone runs everything that CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

check: lint types layers test

# A small shop, real HTTP traffic, the reports, and a check of every number.
demo: $(INSTALLED)
	$(BIN)/otel-usage demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

# Tables of ratios; nothing else should run on the machine.
bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

layers: $(INSTALLED)
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.PHONY: check demo test bench lint types layers format clean
.DEFAULT_GOAL := check
