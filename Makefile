# Every target makes what it needs: a virtual environment in .venv, never anything outside this folder.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints/tested.txt
# One more than there are cores: tests wait for processes and servers for a third of their time.
WORKERS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1)))

# Tests start hundreds of processes: each would compile the package anew where the machine says to write no bytecode.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help quickstart test spark slice terraform templates lint format conformance bench bench-setup clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"cloudmlops needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}: run make PYTHON=python3.12")'
	@echo "Creating the environment $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.local: pyproject.toml constraints/tested.txt | $(BIN)/python
	@echo "Installing cloudmlops[local] (about a minute) …"
	@$(PIP) --editable ".[local]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints/tested.txt | $(BIN)/python
	@echo "Installing cloudmlops with its test tools (a minute or two) …"
	@$(PIP) --editable ".[dev]"
	@touch $@ $(VENV)/.local

quickstart: $(VENV)/.local  ## Install, then run the flight-delay project from raw data to a served model
	@$(BIN)/cloudmlops quickstart quickstart

test: $(VENV)/.dev  ## Run all tests but the long ones and those of terraform/ and templates (below ten minutes on two cores)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not conformance" -r sxX --ignore tests/terraform --ignore tests/templates

spark: $(VENV)/.dev  ## Make the environment that the tests of Spark need, in .tools (needs Java 17)
	@$(BIN)/python tools/spark_environment.py

slice: $(VENV)/.dev  ## Run the part of conformance that every CI run includes (some minutes)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "conformance(ci=True)" -r sxX

terraform: $(VENV)/.dev  ## Check terraform/ offline: the real terraform, checkov, tables, and the checks themselves
	@$(BIN)/python -m tools.tfcheck check terraform
	@$(BIN)/python tools/terraform_policies.py
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/terraform

templates: $(VENV)/.dev  ## Draw projects from templates with all answers, and run what they hold (some minutes)
	@$(BIN)/python tools/workflow_checks.py
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/templates

lint: $(VENV)/.dev  ## Check style, types and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev  ## Put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

conformance: $(VENV)/.dev  ## Run what takes long: thousands of cases and kills, other transports, Python 3.12 and 3.13, oldest and newest SDKs
	@$(BIN)/python tools/conformance.py

bench-setup: $(VENV)/.dev  ## Install the peers that the benchmark compares with, each in its own environment
	@$(BIN)/python benchmarks/setup.py

bench: $(VENV)/.dev  ## Measure cloudmlops, peers and floors in one run and print the ratios
	@$(BIN)/python -m benchmarks

clean:  ## Remove the environment and everything that was made here
	rm -rf $(VENV) .peers .tools quickstart .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
