# Everything a newcomer needs is  make demo  and  make test; both make the same .venv first.
# Wants a Python of 3.11 or newer with its venv module; PYTHON=... picks one by name.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if $$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)

# WHEEL=dist/pixlog-....whl  makes the suite test that wheel, in an environment of its own, instead of the source tree.
WHEEL ?=
VENV ?= $(if $(WHEEL),.venv-wheel,.venv)
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet install
STAMP = $(VENV)/.installed$(if $(WHEEL),-$(notdir $(WHEEL)))

FIGURES = build/fault-figures.jsonl
# The suite as it is run for every change ends after forty minutes whatever hangs; what follows takes longer.
HOURS = --timeout=7200 --session-timeout=1000000 -o faulthandler_timeout=7300

EXTRAS_demo := all,demo
EXTRAS_test := all,demo,test
EXTRAS_lint := all,demo,test,lint
EXTRAS_bench := all,bench

.PHONY: help demo test environment lint faults guarantees fuzz soak reference oracle bench clean print-python

help:
	@echo 'make demo        train a small model in two processes, log its images, show what was saved'
	@echo '                 (VIEW=1 opens the run in a browser meanwhile)'
	@echo 'make test        run the whole suite (ARGS="-k name" for a part of it)'
	@echo 'make lint        ruff check, ruff format --check, mypy --strict'
	@echo 'make fuzz        hold a million hostile conversations with the daemon (about a quarter of an hour)'
	@echo 'make faults      kill, stop, interrupt and starve everything as often as the guarantees say (some hours),'
	@echo '                 write docs/guarantees-figures.md (make guarantees: only the page;'
	@echo '                 PART=tests/faults/test_forks.py: add the figures of a part)'
	@echo 'make soak        log a million images from four processes and see that nothing grows (about half an hour)'
	@echo 'make reference   write config/pixlogd.toml and docs/configuration.md anew from the settings'
	@echo 'make bench       measure everything beside other loggers, write docs/benchmarks.md (SHORT=1: see that it runs)'
	@echo 'make oracle      compare the contract "wandb" with wandb 0.18.0, write docs/wandb-parity.md (TORCH=1: with torch)'
	@echo 'Each makes its environment in $(VENV) first.'

demo: $(STAMP)-demo
	$(BIN)/python examples/train_digits.py $(if $(VIEW),--view) $(ARGS)

# One stream, and nothing of our own behind it: the closing line is pytest's.
test: environment
	@PIXLOG_TEST_WHEEL='$(if $(WHEEL),$(abspath $(WHEEL)))' $(BIN)/python -P -m pytest $(ARGS) 2>&1

environment: $(STAMP)-test

lint: $(STAMP)-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: environment
	PIXLOG_FAULT_REPEATS=full $(BIN)/python -P -m pytest tests/fuzz -s $(HOURS) $(ARGS)

# A test that fails does not keep the figures of the others from the page, and a part of the tests (PART, ARGS) adds to
# them.
faults: environment
	@mkdir -p build $(if $(PART)$(ARGS),,&& rm -f $(FIGURES))
	PIXLOG_FAULT_REPEATS=full PIXLOG_FAULT_FIGURES=$(FIGURES) \
		$(BIN)/python -P -m pytest $(or $(PART),tests/faults tests/fuzz) $(HOURS) $(ARGS); \
		status=$$?; $(BIN)/python tests/faults/report.py $(FIGURES) && exit $$status

guarantees: environment
	$(BIN)/python tests/faults/report.py $(FIGURES)

soak: environment
	PIXLOG_FAULT_REPEATS=full $(BIN)/python -P -m pytest tests/faults/test_soak.py -s $(HOURS) $(ARGS)

reference: environment
	$(BIN)/python tests/support/reference_pages.py

# wandb 0.18.0 wants older packages than pixlog's tests run with, hence an environment of its own.  Of torchvision only
# the plain Python code of image grids is used, which needs none of its compiled dependencies.
oracle: environment
	@test -x .venv-oracle/bin/python || $(PYTHON) -m venv .venv-oracle
	@echo 'Installing wandb 0.18.0 into .venv-oracle ...'
	@.venv-oracle/bin/python -m pip --disable-pip-version-check --quiet install '.[oracle]'
	@$(if $(TORCH),.venv-oracle/bin/python -m pip --disable-pip-version-check --quiet install torch==2.13.0)
	@$(if $(TORCH),.venv-oracle/bin/python -m pip --disable-pip-version-check --quiet install --no-deps torchvision==0.28.0)
	PIXLOG_TEST_ORACLE=.venv-oracle/bin/python $(BIN)/python tests/support/parity_page.py

# About ten minutes on two idle processors; other loggers get environments of their own, .venv-bench-*.
bench: $(STAMP)-bench
	$(BIN)/python benchmarks/run.py $(if $(SHORT),--short) $(ARGS)

$(VENV)/bin/python:
	@test -n '$(PYTHON)' || { echo 'pixlog needs Python 3.11 or newer with venv and pip (Debian: python3-venv); set PYTHON=...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The C sources are compiled when the source tree is installed (PIXLOG_BUILD_NATIVE=0: not at all).
SOURCES = $(if $(WHEEL),$(WHEEL),hatch_build.py $(wildcard daemon/pixlogd/*/*.[ch] client/pixlog/*/*.[ch]))

# Pip takes a wheel of a version that is installed already for the same wheel, hence the first of the two lines.
$(STAMP)-%: pyproject.toml $(SOURCES) | $(VENV)/bin/python
	@echo 'Installing $(or $(WHEEL),the source tree) with [$(EXTRAS_$*)] into $(VENV) ...'
	@$(if $(WHEEL),$(PIP) --force-reinstall --no-deps '$(WHEEL)')
	@$(PIP) $(if $(WHEEL),'$(WHEEL)[$(EXTRAS_$*)]',-e '.[$(EXTRAS_$*)]')
	@touch $@

print-python:
	@echo '$(PYTHON)'

# Without the stamps the next make installs the source tree again, and compiles.
clean:
	rm -rf dist build .venv-wheel $(VENV)/.installed-* daemon/pixlogd/encode/libpng_rows.so client/pixlog/sending/libstreamcopy.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
