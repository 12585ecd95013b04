# dreamline: `make demo` shows it, `make test` checks it. Everything goes into .venv and .dreamline here.

PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.13.0
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

export DREAMLINE_HOME ?= $(CURDIR)/.dreamline

.PHONY: help demo dashboard test faults lint fix docs clean

help:
	@echo "make demo       run a first campaign: plans, makes and writes its images"
	@echo "make dashboard  review them in a browser"
	@echo "make test       lint, types and tests"
	@echo "make faults     kill, cut, lose and double everything on three stacks; prints the table"
	@echo "make fix        format, and mend what the linter can"
	@echo "make docs       write the generated parts of docs/ again"
	@echo "make clean      remove .venv, .dreamline and caches"

demo: $(VENV)/.ready
	$(BIN)/dreamline demo

dashboard: $(VENV)/.ready
	$(BIN)/dreamline dashboard

# Tests of processes, servers and pages have the machine to themselves.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/unit
	$(BIN)/python -m pytest tests/integration tests/acceptance

# Needs redis-server and rabbitmq-server; FAULTS_SEED=… repeats a run. About a quarter of an hour.
faults: $(VENV)/.ready-dev
	CI=true FAULTS=all FAULTS_REPORT=$(DREAMLINE_HOME)/faults $(BIN)/python -m pytest tests/acceptance/faults

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.ready-dev
	$(BIN)/python -m docs.generate

clean:
	rm -rf $(VENV) .dreamline .mypy_cache .ruff_cache .pytest_cache .hypothesis

# torch goes in first and by itself: asked for by another package it would bring gigabytes of CUDA along.
# Its CPU build comes from a folder of wheels that pip knows, else from PyTorch's index where there is no
# NVIDIA driver, else as PyPI has it.
$(VENV)/.torch:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: say make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "dreamline wants Python 3.11 to 3.13: say make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing torch $(TORCH) ..."
	@$(PIP) install --no-deps 'torch==$(TORCH)+cpu' 2>/dev/null || \
		{ ! command -v nvidia-smi >/dev/null && $(PIP) install --no-deps 'torch==$(TORCH)' \
			--index-url https://download.pytorch.org/whl/cpu 2>/dev/null; } || \
		$(PIP) install --no-deps 'torch==$(TORCH)'
	@touch $@

$(VENV)/.ready: $(VENV)/.torch pyproject.toml constraints.txt
	@echo "Installing dreamline ..."
	@$(PIP) install -e '.[all]' -c constraints.txt
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(PIP) install -e '.[all,dev]' -c constraints.txt
	@touch $@
