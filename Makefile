# make demo   the product at work, on this machine          make test    the whole suite, with real servers
# make setup  .venv with all that serving needs             make check   ruff, mypy and the quick tests
# make bench  speed beside other programs, a line each      make clean   removes what these have made
# make chaos  kills, power cuts, failing disks and hostile senders against the receiver, many of them
SHELL := /bin/bash
PYTHON_BIN := .venv/bin/python
# Two files of tests at once: most of them wait for servers. A file stays in one process, so that it shares its own.
AT_ONCE = -n $(or $(WORKERS),2) --dist loadfile

.PHONY: help setup demo test check bench chaos clean
.NOTPARALLEL:

help:
	@sed -n 's/^# //p' $(firstword $(MAKEFILE_LIST))

setup:
	@bash config/setup/environment.sh serve

# DEMO_EXIT=1 ends by itself; DEMO_DATA=DIR sends a folder of your own files as well.
demo: setup
	@.venv/bin/triage-gateway demo $(if $(filter-out 0 no,$(DEMO_EXIT)),--exit) $(if $(DEMO_DATA),--data "$(DEMO_DATA)")

# PYTEST=... passes arguments on, e.g. make test PYTEST=tests/unit; TOOLS=no installs no Debian packages;
# WORKERS=1 runs one test after the other, as do PYTEST=-x and a debugger best.
test:
	@bash config/setup/tools.sh
	@bash config/setup/environment.sh test
	@$(PYTHON_BIN) -m pytest -rs $(AT_ONCE) $(PYTEST)

check:
	@bash config/setup/environment.sh test
	@$(PYTHON_BIN) -m ruff check .
	@$(PYTHON_BIN) -m mypy
	@$(PYTHON_BIN) -m pytest -q -m "not slow and not peer" $(AT_ONCE) $(PYTEST)

bench: setup
	@$(PYTHON_BIN) -m tests.bench $(BENCH)

bench-%: setup
	@$(PYTHON_BIN) -m tests.bench $*

# SEED=7 KILLS=500 CUTS=200 CONNECTS=50000 REQUESTS=3000 MEGABYTES=4000 choose; what is left out is as here.
ifndef SEED
SEED := $(shell echo $$RANDOM)
endif
chaos:
	@bash config/setup/tools.sh
	@bash config/setup/environment.sh test
	@echo "SEED=$(SEED)"
	@CHAOS_SEED=$(SEED) CHAOS_RECEIVER_KILLS=$(or $(KILLS),200) CHAOS_POWER_CUTS=$(or $(CUTS),100) \
	  HOSTILE_CONNECTS=$(or $(CONNECTS),10000) HOSTILE_REQUESTS=$(or $(REQUESTS),300) \
	  STOW_MEGABYTES=$(or $(MEGABYTES),2000) \
	  $(PYTHON_BIN) -m pytest -rs $(wildcard tests/peers/test_receiver_*.py) tests/peers/test_stow_stream.py $(PYTEST)

clean:
	rm -rf .venv .tools .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis build dist *.egg-info
	rm -f adapters/dicom/transport/_alike.*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
