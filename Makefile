# Everything a newcomer or CI runs. `make sweep` and `make test` need nothing but Python >= 3.11.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
IN_WORKERS := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# LOCKED=1 installs the versions of requirements-lock.txt instead of the newest that pyproject.toml allows.
LOCK := $(if $(LOCKED),--constraint requirements-lock.txt)

# Modules are compiled when they are first imported. pip would compile all there are, which takes it most of a minute.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sweep paper test tests-here tests-on-slurm fast lint bench verify-added lock clean

sweep: $(VENV)/.installed
	$(BIN)/python -m harness.sweep +sweep=ablation_refractory

paper: $(VENV)/.installed
	$(BIN)/python -m reports paper

# The tests on SLURM mostly wait for it, so the others run meanwhile.
test: $(VENV)/.installed-dev
	$(MAKE) --jobs 2 tests-here tests-on-slurm

tests-here: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slurm" $(IN_WORKERS)

tests-on-slurm: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slurm

fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow and not slurm" $(IN_WORKERS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.neuron

# What this branch adds, changes or takes away in results/leaderboard: nothing but packs that are as docs/leaderboard.md
# has it, beside those that are there. The list goes through a file, since a pipe would hide that git failed.
BASE ?= origin/main
verify-added: $(VENV)/.installed
	git diff --name-only -z --no-renames $(BASE)...HEAD -- results/leaderboard ':!results/leaderboard/README.md' > $(VENV)/added
	xargs -0 -r $(BIN)/spike-ssm-results verify --beside results/leaderboard < $(VENV)/added

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile $(LOCK) --editable ".[standins]"
	touch $@

$(VENV)/.installed-dev: pyproject.toml requirements-peers.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --no-compile $(LOCK) --editable ".[standins,dev]"
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --requirement requirements-peers.txt
	touch $@

# What is installed, by exact version. Local versions go: torch's 2.13.0+cpu is 2.13.0 to pip, from whichever index.
lock: $(VENV)/.installed-dev
	{ sed -n '/^#/p' requirements-lock.txt; \
	  $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip | sed -e '/ @ /d' -e 's/+[[:alnum:].]*$$//'; } > $(VENV)/lock
	mv $(VENV)/lock requirements-lock.txt

clean:
	rm -rf $(VENV) build dist
