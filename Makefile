# Everything one does with a checkout of Gestore. `make` alone explains it.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check
# More words for pytest or the benchmarks: make test ARGS="-k walk -x"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test coverage check bench docs format clean
.DELETE_ON_ERROR:

help:  ## say what can be made (this)
	@echo "Gestore: make TARGET [PYTHON=python3.12] [ARGS=...]"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12
	@echo
	@echo "The first run makes $(VENV) with $(PYTHON), which must be Python 3.11 or newer."
	@echo "GESTORE_TEST_DATABASE=postgresql or mariadb runs the tests on that database."

demo: $(VENV)/.gestore  ## a book out of the demo library, into another, deleted, brought back
	@$(BIN)/python demo/tour.py

test: $(VENV)/.gestore-dev  ## run the tests on SQLite
	$(BIN)/python -m pytest -n auto $(ARGS)

# Twice as long as the tests alone.
coverage: $(VENV)/.gestore-dev  ## the same, and report branch coverage
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered $(ARGS)

check: $(VENV)/.gestore-dev  ## lint, formatting, types, who imports whom
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

docs: $(VENV)/.venv  ## check that every link in the documentation leads somewhere
	@$(BIN)/python .ci/check_links.py

bench: $(VENV)/.gestore-dev  ## time a tenant's way beside hand-written SQL and Django's own
	@$(BIN)/python -m benchmarks $(ARGS)

format: $(VENV)/.gestore-dev  ## format the code and mend what ruff can mend
	$(BIN)/python -m ruff check --fix-only
	$(BIN)/python -m ruff format

clean:  ## remove the environments, caches and build results
	rm -rf $(VENV) .venvs build dist .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find src tests demo benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The environment is made once; what is in it follows pyproject.toml. The stamps say how far it got, so a
# run that broke off is taken up again rather than believed.

$(VENV)/.venv:
	@command -v $(PYTHON) >/dev/null || { \
		echo "There is no $(PYTHON) here: say which Python (3.11 or newer) to use" \
			"with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Gestore needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -n 1);" \
			"say which one to use with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv module" \
			"(on Debian and Ubuntu the package python3-venv)." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.gestore: $(VENV)/.venv pyproject.toml
	@echo "Installing Gestore into $(VENV) ..."
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.gestore-dev: $(VENV)/.venv pyproject.toml
	@echo "Installing Gestore and its development tools into $(VENV) ..."
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $(VENV)/.gestore $@
