# Two commands for a machine that has only python3 and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint install results study clean

demo: install
	$(BIN)/bench run --method glia,linear_probe --protocol cross --preset demo
	$(BIN)/bench table cross
	$(BIN)/bench report

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

test-all: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,ray]"
	touch $@

# The study's first table from nothing, about nine hours on two cores. What was made before is not made again.
study: install
	$(BIN)/bench tune full_finetune,adapter,lora,vpt,loda,glia --preset study --jobs auto
	$(BIN)/bench tune linear_probe --preset study -d study --jobs auto
	$(BIN)/bench run --preset study -p strategies --recipe tuned --jobs auto
	$(BIN)/bench run --preset study -p strategies -m ridge --jobs auto
	$(BIN)/bench run --preset study -p strategies -m mean,distortion_oracle,ridge_cnn,brisque,niqe,ilniqe,rali_noalign --seeds 1
	$(BIN)/bench table strategies --preset study
	$(BIN)/bench report

# The committed tables, made from the committed records and from nothing else.
results: install
	$(BIN)/python -m bench.report.reference --tables
	$(BIN)/python -m benchmarks.trial_table
	$(BIN)/python -m benchmarks.trial_rates

clean:
	rm -rf $(VENV) build *.egg-info
