# All the set-up, for a machine with Python and make and nothing else: `make table1`, `make test`.
# The environment is made again only where pyproject.toml or constraints.txt changed.

VENV ?= .venv
# The first of these that runs (a version manager may have a name on the path that does not run).
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3,$(shell $(p) -c 'print("$(p)")' 2>/dev/null)))
ARGS ?=
JOBS ?= 2

BIN := $(VENV)/bin
INSTALL := $(BIN)/uv pip install --python $(BIN)/python -c constraints.txt
CORE := $(VENV)/.core-installed
DEV := $(VENV)/.dev-installed
MMSEG := $(VENV)/.mmseg-installed

.PHONY: help venv dev table1 test lint format clean

help:  ## these lines
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16
	@echo "Variables: PYTHON (now: $(PYTHON)), VENV ($(VENV)), JOBS ($(JOBS) test processes), ARGS (passed on)"

venv: $(CORE)  ## the environment that trains, scores and reports
dev: $(DEV)  ## the same with the tools of a day's work

table1: $(CORE)  ## train, score and print three rows of Table 1 on the built-in suite (15 minutes on 2 cores)
	$(BIN)/spadebench run table1 --suite toyscapes --methods spade,pix2pixhdpp,pix2pixhd $(ARGS)

test: $(MMSEG)  ## all tests; ARGS="tests/metrics -k void" for some
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

lint: $(DEV)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment; records and data stay
	rm -rf $(VENV)

$(BIN)/uv:
	@test -n "$(PYTHON)" || { echo "spadebench needs Python 3.11 or newer, and no python3 was found: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "spadebench needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "uv>=0.5"

$(CORE): pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e .
	@touch $@

# The tests start many processes, each of which would compile torch's Python anew where byte code is not kept.
$(DEV): $(CORE)
	$(INSTALL) --compile-bytecode -e ".[efficientnet,dev]"
	@touch $@

# mmcv is compiled once, and is left out with a line that says why where there is no compiler.
$(MMSEG): $(DEV) scripts/install_mmseg.py
	$(BIN)/python scripts/install_mmseg.py --stamp $@
