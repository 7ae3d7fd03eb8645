# Two commands for a bare machine with Python >= 3.11:  make demo   and   make test
# Every target sets up its own virtual environment. Overridable: PYTHON, VENV, TORCH.
#   make demo TORCH="torch>=2.6 --index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
VENV   ?= .venv
TORCH  ?=
PYTEST ?= -q
BIN    := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help venv demo demo-quick test test-all golden check format bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo        install, then run the main job on procedural rooms -> runs/demo/report.html"
	@echo "make demo-quick  the same path in a minute"
	@echo "make test        the test suite (no slow tests)      make test-all  with the slow tests"
	@echo "make golden      every official number found under MASKFIELD_SHARED (default ../shared)"
	@echo "make check       format, lint, types, layers, spelling"
	@echo "make bench       the speed benchmarks (benchmarks/results/*.json)"
	@echo "make venv        only the virtual environment, with the developers' tools"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "maskfield needs Python >= 3.11; say PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "python's venv module is missing; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

# torch first, so that no later requirement can bring another build of it
$(VENV)/.torch: $(VENV)/.made constraints.txt
	$(BIN)/python -m pip install -q $(if $(TORCH),$(TORCH),-r constraints.txt)
	@touch $@

$(VENV)/.base: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install -q $(if $(TORCH),,-c constraints.txt) -e ".[video,image]"
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install -q $(if $(TORCH),,-c constraints.txt) -e ".[dev]"
	@touch $@

venv: $(VENV)/.dev

demo: $(VENV)/.base
	$(BIN)/maskfield demo nerf-mae --out runs/demo

demo-quick: $(VENV)/.base
	$(BIN)/maskfield demo nerf-mae --quick --out runs/demo-quick

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST) -m "not slow"

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST)

golden: $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST) tests/golden --golden-root $${MASKFIELD_SHARED:-../shared}/golden --golden-allow-missing

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/codespell src tests docs examples benchmarks README.md CHANGELOG.md CONTRIBUTING.md

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
