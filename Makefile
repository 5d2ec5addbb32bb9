# make run    a running graph on this machine, with demo data on the first start
# make test   the whole suite, on a PostgreSQL that it starts itself
# make check  format, lint, types, import contracts
# make debian-graph   a real graph of 98 thousand records, into the account "debian" (examples/debian-graph)
# make setup  the virtual environment, from the lock file (the others call it when needed)
# make lock   the lock file anew, after a change of pyproject.toml (needs uv)

SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.relata-installed
CODE := schema resolvers engine storage server tests $(wildcard bench)

.PHONY: run test check format debian-graph setup lock clean

# Set-up is a stamp file: done once for each state of the lock file. `exec`, so that signals reach the server itself.
run: $(STAMP)
	@exec $(BIN)/relata serve --demo

# Files in the order of tests/conftest.py: the longest first, so that no core waits for another's last one. Bytecode is
# written: some hundred processes are started, and each would compile all of it again.
test: $(STAMP)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: $(STAMP)
	@$(BIN)/ruff check --fix-only $(CODE)
	@$(BIN)/ruff format $(CODE)

debian-graph: $(STAMP)
	@RELATA="$(BIN)/relata" sh examples/debian-graph/load.sh

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock deploy/setup.sh
	@PYTHON="$(PYTHON)" sh deploy/setup.sh "$(VENV)"
	@touch "$(STAMP)"

# The second file is the part of the first that an image without a database of its own carries, with its build back end.
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --no-header

lock:
	@echo "hatchling==1.33.0" | $(COMPILE) --all-extras pyproject.toml - -o requirements.lock
	@echo "hatchling==1.33.0" | $(COMPILE) --constraint requirements.lock pyproject.toml - -o deploy/requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
