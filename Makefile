# Two commands for a new checkout: `make demo` sets up and runs the main job, `make test` sets up and passes the tests.
# Both work in .venv and take the versions of constraints.txt, torch among them: plain torch would be another build.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test docs lint bench audit minimum wheel fuzz clean

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

# The tests with the lowest version that setup.cfg allows of every dependency, those of the extras EXTRAS among them. ALSO
# names what else to install, in any version: EXTRAS='cpu video' ALSO='torch onnx pytest hypothesis' TESTS=tests/video.
MINIMUM := .cache/minimum
EXTRAS ?= test
minimum:
	$(PYTHON) -m venv --clear $(MINIMUM)
	$(MINIMUM)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(MINIMUM)/bin/uv pip compile --quiet --resolution lowest-direct --python $(MINIMUM)/bin/python \
		--output-file $(MINIMUM)/lowest.txt $(EXTRAS:%=--extra %) setup.cfg
	$(MINIMUM)/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement $(MINIMUM)/lowest.txt --editable . $(ALSO)
	$(MINIMUM)/bin/python -m pytest $(TESTS)

# The same commit gives the same bytes: dates in the wheel are the commit's.
wheel: | $(VENV)/bin/python
	rm -rf build
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

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
