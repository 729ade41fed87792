# make run: the app · make test: everything CI runs · make setup: only the environment
# make soak: ten minutes of conversations by voice, which is not part of make test
# GPU=1           also what only a CUDA GPU uses (requirements-gpu.txt)
# TORCH_INDEX=URL where to take torch from, e.g. https://download.pytorch.org/whl/cpu: without CUDA, some GB less
PYTHON ?= python3
VENV ?= .venv
GPU ?= $(if $(wildcard $(VENV)/.installed-gpu),1)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_FLAGS := -q --prefer-binary -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
STAMP := $(VENV)/.installed$(if $(GPU),-gpu)

.PHONY: run setup setup-dev test lint soak clean

run: setup
	$(BIN)/python app.py serve

setup: $(STAMP)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "Parley needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	       "Install one and name it: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(STAMP): requirements.txt requirements-nodeps.txt requirements-gpu.txt constraints.txt | $(BIN)/python
	@echo "Installing what Parley needs into $(VENV); the first time takes a few minutes." >&2
	$(PIP) install -q --upgrade pip
ifneq ($(GPU),)
	$(PIP) uninstall -q -y faiss-cpu
	grep -v '^faiss-cpu' requirements.txt > $(VENV)/requirements.txt
	$(PIP) install $(PIP_FLAGS) -r $(VENV)/requirements.txt -r requirements-gpu.txt
else
	$(PIP) install $(PIP_FLAGS) -r requirements.txt
endif
	$(PIP) install $(PIP_FLAGS) --no-deps -r requirements-nodeps.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(STAMP)
	$(PIP) install $(PIP_FLAGS) -r requirements-dev.txt
	touch $@

setup-dev: $(VENV)/.installed-dev

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --ignore tests/browser
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m "not alone" tests/browser
	$(BIN)/pytest -m alone tests/browser

soak: setup-dev
	$(BIN)/python scripts/soak.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
