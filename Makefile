# What a person and the CI run. `make` alone lists it.

PYTHON ?= python3
PIP_ARGS ?=
PYTEST_ARGS ?=
TEST_WORKERS ?= 2
PROJECT ?= digits-demo
PORT ?= 8400

BIN := .venv/bin
# Two workers with one thread each keep two cores busy; more threads would only push each other aside.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test test-full test-armv7 check docs serve clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/^([a-z0-9-]+):.*## /  make \1	/' | expand -t 20
	@echo
	@echo '  PYTHON=python3.12       the Python that .venv is made with (3.11 or newer)'
	@echo '  PIP_ARGS="…"            more options for pip, for example the package index of the CPU build of PyTorch'
	@echo '  PYTEST_ARGS="-k name"   more options for pytest'
	@echo '  TEST_WORKERS=2          test files that run side by side'
	@echo '  PROJECT=digits-demo     project that make serve serves'
	@echo '  PORT=8400               port of make serve; 0 takes a free one'

demo: .venv/.ready ## from nothing to a proven bundle, on digits that come with a package
	$(BIN)/darkroom quickstart digits-demo

test: .venv/.ready ## the tests, without the slow ones
	$(PYTEST) $(PYTEST_ARGS)

test-full: .venv/.ready ## all tests
	$(PYTEST) -m "slow or not slow" $(PYTEST_ARGS)

test-armv7: .venv/.ready ## those on 32-bit ARM, as root on Debian; they build what they need from the network
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or not slow" tests/export/test_armv7.py $(PYTEST_ARGS)

check: .venv/.ready ## format, lint, types, arrows between rooms, generated files fresh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python scripts/messages.py --check
	$(BIN)/python scripts/reference.py --check

docs: .venv/.ready ## writes the message table and the reference pages anew
	$(BIN)/python scripts/messages.py
	$(BIN)/python scripts/reference.py

serve: .venv/.ready ## serve the demo project over HTTP (make it first: make demo)
	@test -f $(PROJECT)/darkroom.toml || { \
	  echo 'There is no project in $(PROJECT). Make the demo first: make demo. Or name yours: make serve PROJECT=folder' >&2; exit 1; }
	$(BIN)/darkroom serve --project $(PROJECT) --port $(PORT)

clean: ## removes .venv and what the demo made
	rm -rf .venv digits-demo

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'Darkroom needs Python 3.11 or newer; $(PYTHON) is not. Name another one: make PYTHON=python3.12 …' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo '$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv .venv 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[all,dev]"
	@touch $@
