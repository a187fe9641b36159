# Two commands for a new checkout: `make demo` sets up and runs the main job, `make test` sets up and passes the tests.
# Both work in .venv and take the versions of constraints.txt, torch among them: plain torch would be another build.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test docs lint bench audit fuzz clean

demo: $(VENV)/demo.stamp
	$(BIN)/flowxfer demo --force

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest

docs: $(VENV)/docs.stamp
	$(BIN)/zensical build --strict --clean

bench: $(VENV)/test.stamp
	$(BIN)/python -m pytest tests/benchmarks/calls.py --benchmark-columns=median,iqr,min,max,rounds

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# --strict: what the advisories do not know is a failure, for otherwise silence would look like safety.
audit: | $(VENV)/bin/python
	$(PIP) pip-audit
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

# Inputs that coverage leads to; FUZZ_SECONDS for each parser. What fails lies in findings/.
FUZZ_SECONDS ?= 60
fuzz: $(VENV)/test.stamp
	$(PIP) atheris
	$(BIN)/python -m tests.hardening.guided --seconds $(FUZZ_SECONDS)

clean:
	rm -rf $(VENV) .cache build dist demo site *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: setup.cfg constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[cpu]'
	touch $@

$(VENV)/test.stamp: setup.cfg constraints.txt | $(VENV)/bin/python
	$(PIP) torch
	$(PIP) --editable '.[test]'
	touch $@

$(VENV)/docs.stamp: setup.cfg constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[docs]'
	touch $@

$(VENV)/lint.stamp: $(VENV)/test.stamp
	$(PIP) --editable '.[dev]'
	touch $@
