# Every target makes the environment it needs in .venv; a fresh machine needs Python 3.11 or newer with venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BUF    := @bufbuild/buf@1.75.0
GRPC_JS := @grpc/grpc-js@1.14.7

SOURCES := $(shell find client server cluster proto -type f -not -path '*/__pycache__/*' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help venv demo test unit docker-test wheel lint format proto bench bench-raft bench-scale clean simulate \
	mutants campaign interop fuzz

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14

venv: $(STAMP)  ## Make .venv with everything that development needs

$(STAMP): pyproject.toml
	@$(PYTHON) scripts/check_machine.py
	@test -x $(BIN)/python || { echo "== making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "== installing into $(VENV) (the first time a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[server,dev]'
	@touch $@

demo: $(STAMP)  ## Three nodes, three agents, one memory that survives the leader
	@$(BIN)/memraft demo

test: unit wheel  ## The whole suite, then the built wheel in a fresh environment

unit: $(STAMP)  ## The whole suite against the sources, in two processes: WORKERS=0 for one
	$(BIN)/python -m pytest --numprocesses $(or $(WORKERS),2) --dist loadfile

simulate: $(STAMP)  ## Raft and the machine in simulated bad times: SECONDS=600 SEED=1
	@$(BIN)/python -m tests.simulation --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1)

mutants: $(STAMP)  ## Plant each bug of tests/mutants in a copy; the simulation has to find it
	@$(BIN)/python scripts/mutants.py

campaign: $(STAMP)  ## Kill, pause, cut off and damage real nodes under load, as root: ROUNDS=3 FAULTS=ring,kill-all
	@$(BIN)/python -m tests.acceptance.campaign $(if $(FAULTS),--faults $(FAULTS)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(NODES),--nodes $(NODES)) $(if $(SEED),--seed $(SEED))

interop: $(STAMP)  ## Stock gRPC clients, curl and Node.js against either serving engine
	@scripts/install_grpc_js.sh $(GRPC_JS)
	$(BIN)/python -m pytest -q -rs tests/interop

fuzz: $(STAMP)  ## Bytes that nobody meant to send, against our HTTP/2: SECONDS=60 SEED=1
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1)

wheel: $(STAMP) build/wheel-checked  ## Build the wheel and try it in a fresh environment

build/wheel-checked: pyproject.toml scripts/check_wheel.py README.md $(SOURCES)
	@mkdir -p build
	$(BIN)/python scripts/check_wheel.py
	@touch $@

docker-test: $(STAMP)  ## docker-compose.yml under load and faults; skipped where no Docker engine answers
	$(BIN)/python -m pytest -m docker -s -rs tests/docker

lint: $(STAMP)  ## Generated code, style, types, import contracts, the wire contract's style
	$(BIN)/python scripts/generate_proto.py --check
	$(BIN)/python scripts/generate_sync.py --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file pyproject.toml tests/typing scripts
	$(BIN)/lint-imports --no-logo --no-cache
	@scripts/lint_proto.sh $(BUF)

format: $(STAMP)  ## Put the sources into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: $(STAMP)  ## Regenerate the Python stubs from the .proto files
	$(BIN)/python scripts/generate_proto.py

bench: $(STAMP)  ## Redis, etcd and this service under the same loads: ROUNDS=5 SECONDS=0.5 ENGINE=lean QUICK=1
	@scripts/install_bench_tools.sh
	@$(BIN)/python -m benchmarks.service $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(ENGINE),--engine $(ENGINE)) $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

bench-scale: $(STAMP)  ## Throughput and CPU against shards, nodes, value size and records: ENGINE=lean QUICK=1
	@$(BIN)/python -m benchmarks.scale $(if $(ONLY),--only $(ONLY)) $(if $(ENGINE),--engine $(ENGINE)) \
		$(if $(VISITS),--visits $(VISITS)) $(if $(QUICK),--quick)

bench-raft: $(STAMP)  ## This consensus and PySyncObj: the same loads, the same kills (some 10 min)
	@$(BIN)/python -m benchmarks.raft_comparison --seconds $(or $(SECONDS),5) --kills $(or $(KILLS),10)

clean:  ## Remove the environment, caches and build artefacts
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
