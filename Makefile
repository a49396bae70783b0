# Needs make and Python 3.10 or later; everything else goes into $(VENV).
PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install dev demo test lint docs clean

help:
	@echo "make demo   score a healthy and a damaged object, write demo/report.html"
	@echo "make test   run the tests (PYTEST_ARGS=... goes to pytest)"
	@echo "make lint   ruff and pyright"
	@echo "make docs   the documentation, into site/; a warning is an error"
	@echo "make clean  remove $(VENV), demo/ and site/"

install: $(VENV)/.installed

dev: $(VENV)/.installed-dev

# The stamps are older than pyproject.toml only when it changed: a second call installs nothing.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) -e .
	@touch $@

# One step, not two on top of each other: the tests' PyTorch3D asks for a torch of its own choice.
$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $(VENV)/.installed $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("Python 3.10 or later is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

demo: install
	$(BIN)/pointadplus demo --out demo

# Two processes of one thread each: a file's tests stay together, for they share what took long to make.
test: dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) demo site
