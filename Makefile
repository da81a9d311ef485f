# One set-up for everything: each target makes .venv first when it is missing or pyproject.toml has changed.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# Every process of the tests would compile dlexp anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup train evaluate test test-fast test-exhaustive bench gallery reference check lint types layers format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

# A minute of compiling is left out: an eighth of the 20,000 files is ever imported, and compiled then.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dlexp needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: .venv/installed ## make .venv and install everything in it

train: setup ## train; ARGS="model=resnet18 optim=adamw" chooses what
	$(BIN)/dlexp train $(ARGS)

evaluate: setup ## evaluate a run; ARGS="outputs/latest --split val" chooses which
	$(BIN)/dlexp evaluate $(ARGS)

test: setup ## run every test, of the large products and the generated inputs a part
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not exhaustive' $(ARGS)

test-fast: setup ## run the tests that take less than ten seconds each
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not exhaustive' $(ARGS)

test-exhaustive: setup ## run every test with every combination and every generated input, each night and before a release
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: lint types layers test ## everything that CI runs: style, types, layers, tests

bench: setup ## dlexp against its limits, minutes; ARGS="--rows a --rounds 9" chooses (see benchmarks/README.md)
	mkdir -p outputs/bench
	$(BIN)/python -m benchmarks.training.train_speed --rounds 3 --json outputs/bench/train_speed.json --markdown outputs/bench/train_speed.md $(ARGS)
	$(BIN)/python -m benchmarks.commands.tune --rounds 1 --trials 20 --jobs-trials 0
	$(BIN)/python -m benchmarks.data.streamed --rounds 3 --count 1000
	$(BIN)/python -m benchmarks.commands.first_step --rounds 3
	$(BIN)/python -m benchmarks.commands.cli --rounds 5

gallery: setup ## make the pictures of the README anew, minutes; GALLERY_BROWSER names a browser for the page's picture
	$(BIN)/python docs/gallery.py

reference: setup ## write docs/reference/keys.md from conf/
	$(BIN)/python docs/reference/generate.py
	$(BIN)/python docs/reference/findings_page.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

format: setup ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and what tools have cached
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist *.egg-info
