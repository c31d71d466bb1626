# Interward: every habit is a target. `make help` lists them.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test check fix bench docs clean lock sim mutants fuzz hapi

help: ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-7s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml l1/ground/_many.c l2/records/_runs.c
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

demo: $(STAMP) ## a chain, two hospitals and a follower do the whole job (DEMO="--data DIR --updates N")
	$(BIN)/interward demo $(DEMO)

test: $(STAMP) ## every test
	$(BIN)/python -m pytest -n 3 --dist worksteal $(TEST)

check: $(STAMP) ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(STAMP) ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## measure, and write the tables of docs/explanation/performance.md (BENCH="--runs N --entries N")
	$(BIN)/interward bench --all --runs 3 --updates 300000 --entries 300000 $(BENCH) --json > bench.json
	$(BIN)/python -m client.bench.page docs/explanation/performance.md < bench.json

SEED ?= 1
sim: $(STAMP) ## live one simulated world (SEED=N SIM="--events N --hours H --trace")
	$(BIN)/python -m tests.simulation --seed $(SEED) $(SIM)

mutants: $(STAMP) ## plant bugs in the protocol and show what catches each
	$(BIN)/python -m tests.simulation.mutants

fuzz: $(STAMP) ## mutate what every decoder and the session take (FUZZ="--minutes M --seed S"; atheris where installed)
	$(BIN)/python -m tests.fuzz $(FUZZ)

hapi: ## build HAPI FHIR's server for the tests that ask a real one (Java, Maven)
	mvn -q -B -f tests/hapi/pom.xml package dependency:copy-dependencies

docs: $(STAMP) ## regenerate docs/reference
	$(BIN)/python -m tests.architecture.reference

lock: ## renew requirements.lock from pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra dev --extra hsm --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe -o requirements.lock pyproject.toml

clean: ## remove everything that can be made again
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
