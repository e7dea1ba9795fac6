# Ombud. `make help` lists the targets. Needs Python 3.11+ (with venv), git and make; uses uv when it is there.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
ARGS   ?=
.DEFAULT_GOAL := help
# Every command, and every process that a test starts, would otherwise compile all of Ombud anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup run story test lint format types contracts check docs crash kill-points bench close-kills bench-billing rotation dns scan peers campaign-scale lock peppol clean

help:  ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

# The lock holds hashes and no addresses: it installs from whatever index this machine is set up for, and nothing else.
$(STAMP): requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

setup: $(STAMP)  ## make .venv with everything in it

run: $(STAMP)  ## play the whole story on this machine (ARGS="--once --json" ends by itself)
	@$(BIN)/ombud demo $(ARGS)

story: $(STAMP)  ## play the notice of 2024 day by day, from the first letter to the day after the stop (ARGS="--json")
	@$(BIN)/ombud demo --story $(ARGS)

test: $(STAMP)  ## run the tests on SQLite and PostgreSQL (ARGS="-k queue" for some)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(STAMP)  ## put the code in the house's form
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

types: $(STAMP)
	@$(BIN)/mypy

contracts: $(STAMP)
	@$(BIN)/lint-imports

check: lint types contracts  ## lint, types and import contracts

lock: $(STAMP)  ## make requirements.lock anew (needs uv)
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	  --extra postgres --extra pdf --extra sandbox --group dev pyproject.toml -o requirements.lock

docs: $(STAMP)  ## make the generated pages of docs/ anew
	@$(BIN)/python -m ombud.docs write

crash: $(STAMP)  ## kill the service 200 times under load on each database and count what was lost (ARGS="--control": the judge must find built-in faults)
	@$(BIN)/python -m trials.crash $(ARGS)

kill-points: $(STAMP)  ## kill the service at each of its writes; needs strace (ARGS="--most 60": so many of each flow, evenly spread)
	@$(BIN)/python -m trials.crash --kill-points $(ARGS)

bench: $(STAMP)  ## measure Ombud beside the mail servers that are installed (ARGS="--quick" for a slice; trials/bench/install-peers.sh)
	@$(BIN)/python -m trials.bench $(ARGS)

rotation: $(STAMP)  ## change keys under load and count the mails that fail verification (ARGS="--control": the judge must find faults)
	@$(BIN)/python -m trials.rotation $(ARGS)

dns: $(STAMP)  ## the figures of the DNS diagnosis: every finding on its zone, the SPF suite, scripted faults, what watching costs
	@$(BIN)/python -m trials.dns $(ARGS)

scan: $(STAMP)  ## look at 10 000 domains of known make, and measure it
	@$(BIN)/python -m trials.scan $(ARGS)

peers: $(STAMP)  ## let real mail programs talk to the SMTP door, rightly and wrongly (ARGS="--only swaks,curl")
	@$(BIN)/python -m trials.peers $(ARGS)

peppol: $(STAMP)  ## let OpenPEPPOL's rules judge generated invoices (PEPPOL_RULES=PEPPOL-EN16931-UBL.sch)
	@$(BIN)/python -m trials.peppol --rules "$(PEPPOL_RULES)" $(ARGS)

campaign-scale: $(STAMP)  ## run a generated campaign of 5 000 customers and 10 million messages for 60 days (ARGS="--customers 200" for a slice)
	@$(BIN)/python -m trials.campaign $(ARGS)

close-kills: $(STAMP)  ## kill the close of a month 1000 times on each database: exactly one invoice basis each (ARGS="--kills 50")
	@$(BIN)/python -m trials.close $(ARGS)

bench-billing: $(STAMP)  ## measure the preview of a month with ten million metered e-mails of 5000 customers
	@$(BIN)/python -m trials.close --bench $(ARGS)

clean:  ## take away what was made
	@rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .hypothesis
