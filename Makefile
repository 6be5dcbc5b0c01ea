# Everything a clean clone needs: `make demo`, `make test`. Set-up happens once, in .venv.
#
#   make PYTHON=python3.12 test      another interpreter (3.11 or newer)
#   make test ARGS="-k krum"         further arguments for pytest
#   FEDSEC_DATA=/path make test      a folder of data sets; without it the tests that need one are skipped

PYTHON ?= python3
JOBS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The stamp is newer than all it was made from: a second run installs nothing.
READY := $(VENV)/ready
DESCRIPTIONS := pyproject.toml constraints.txt plugins/requirements.txt tests/components/pyproject.toml \
                $(wildcard plugins/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types format docs bench reproduce matrix gan durable clean

help:
	@echo "make demo     run the quickstart scenario and say where its report is"
	@echo "make test     check style and types, run all tests"
	@echo "make lint     check style only          make types    check types only"
	@echo "make bench    time it beside a plain loop   make reproduce  measure docs/results again"
	@echo "make matrix   attacks x defences on two data sets; goes on where it was stopped"
	@echo "make gan      a federated GAN under attack, FedDetect; goes on where it was stopped"
	@echo "make durable  backdoors after their attacker has left; goes on where it was stopped"
	@echo "make docs     write the reference pages from the code"
	@echo "make format   put the code into shape   make clean    remove what make and the tests left"

install: $(READY)

$(READY): $(DESCRIPTIONS)
	@$(PYTHON) -c 'import sys; sys.exit("fedsec needs Python 3.11 or newer, $(PYTHON) is %d.%d: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --requirement constraints.txt
	$(PIP) install --constraint constraints.txt --no-build-isolation \
	    --editable '.[dev]' --requirement plugins/requirements.txt --editable tests/components
	touch $@

demo: $(READY)
	$(BIN)/fedsec run fedsec-basics:quickstart

test: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(JOBS) --dist worksteal $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	$(BIN)/python docs/generate.py

bench: $(READY)
	$(BIN)/python benchmarks $(ARGS)

reproduce: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python docs/results/reproduce.py

matrix: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python docs/results/matrix $(ARGS)

gan: $(READY)
	$(BIN)/python docs/results/feddetect $(ARGS)

durable: $(READY)
	$(BIN)/python docs/results/durable $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find fedsec_core plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +
