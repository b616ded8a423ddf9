# Every recipe is one call. `make` alone prints the targets.
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
ENV ?= local
# `make setup TORCH=cpu`: PyTorch's own CPU-only wheels instead of PyPI's (which bring CUDA).
TORCH ?= default
UV_VERSION := 0.13.9
VENV := .venv
HARNESS := $(VENV)/bin/harness
SETUP := $(VENV)/.setup-$(TORCH)

##@ Run
.PHONY: demo
demo: $(SETUP) ## models → snapshot → real TorchServe → load test → report, on this machine
	$(HARNESS) demo

.PHONY: serve
serve: $(SETUP) ## the real TorchServe with ENV's settings on this machine, until Ctrl-C
	$(HARNESS) serve --env $(ENV)

.PHONY: loadtest
loadtest: $(SETUP) ## the profile in clusters/ENV/loadtest.yaml against the live endpoint
	$(HARNESS) loadtest --env $(ENV)

##@ Cluster
.PHONY: cluster
cluster: $(SETUP) ## Kubernetes and Flux on this machine, syncing this working tree
	$(HARNESS) cluster up

.PHONY: cluster-down
cluster-down: $(SETUP) ## take it away: processes, ports and files
	$(HARNESS) cluster down

.PHONY: smoke
smoke: $(SETUP) ## live checks of ENV's installation: of KUBECONFIG's cluster, or the local one
	$(HARNESS) smoke --env $(ENV)

.PHONY: e2e
e2e: $(SETUP) ## what Kubernetes and Flux do with this repository, watched
	$(HARNESS) cluster tools
	mkdir -p build/e2e
	$(VENV)/bin/python -m pytest tests/e2e --e2e --durations=10 --junitxml=build/e2e/junit.xml

##@ Check
.PHONY: check
check: $(SETUP) ## render every environment and judge it
	$(HARNESS) check

.PHONY: test
test: $(SETUP) lint types ## lint, types, unit and integration tests; JUnit under build/
	$(HARNESS) tools
	mkdir -p build/test
	$(VENV)/bin/coverage erase
	@# What fails is asked once more, alone, and both answers are shown: a busy machine is no fault.
	$(VENV)/bin/coverage run -m pytest --junitxml=build/test/junit.xml \
	  || $(VENV)/bin/coverage run -m pytest --last-failed --junitxml=build/test/again.junit.xml
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

.PHONY: lint
lint: $(SETUP) ## ruff, format and import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

.PHONY: types
types: $(SETUP) ## mypy --strict on harness/
	$(VENV)/bin/mypy

.PHONY: bench
bench: $(SETUP) ## every measured claim, as ratios within one run
	$(VENV)/bin/python -m bench

##@ Write tracked files
.PHONY: fmt
fmt: $(SETUP) ## format and fix what can be fixed
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: snapshot
snapshot: $(SETUP) ## config.properties and model-files.yaml of ENV
	$(HARNESS) snapshot --env $(ENV)

.PHONY: generate
generate: $(SETUP) ## the chart's schema, README and version
	$(HARNESS) generate

.PHONY: lock
lock: $(SETUP) ## models/lock.yaml from what is built, and each snapshot that it changes
	$(HARNESS) models build
	$(HARNESS) models lock
	$(HARNESS) snapshot

COMPILE := $(VENV)/bin/uv pip compile --generate-hashes --no-emit-index-url --no-header --quiet
IMAGE := apps/torchserve/image
.PHONY: requirements
requirements: $(SETUP) ## resolve pyproject.toml again: requirements.lock, and the image's from it
	$(COMPILE) pyproject.toml --group dev --universal --python-version 3.11 --upgrade \
	  --output-file requirements.lock
	$(COMPILE) $(IMAGE)/requirements.in --constraint requirements.lock --python-version 3.13 \
	  --python-platform x86_64-manylinux_2_28 --no-annotate --output-file $(IMAGE)/requirements.txt

##@ Set up
.PHONY: setup
setup: $(SETUP) ## the virtual environment, exactly as locked

$(SETUP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12" >&2; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	test -x $(VENV)/bin/uv || $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
ifeq ($(TORCH),default)
	$(VENV)/bin/uv pip install --no-deps --require-hashes --compile-bytecode --requirement requirements.lock
else
	grep -vE '^(torch|torchvision|triton)==|^cuda-|^nvidia-[^m]' requirements.lock | grep -vE '^ +--hash|^ +#' \
	  | sed 's/ *\\$$//' > $(VENV)/requirements.txt
	$(VENV)/bin/uv pip install --no-deps --compile-bytecode --requirement $(VENV)/requirements.txt
	grep -oE '^(torch|torchvision)==[^ ]+' requirements.lock > $(VENV)/torch.txt
	$(VENV)/bin/uv pip install --torch-backend $(TORCH) --requirement $(VENV)/torch.txt
endif
	$(VENV)/bin/uv pip install --quiet --no-deps --editable .
	rm -f $(VENV)/.setup-*; touch $@

.PHONY: clean
clean: ## remove build/ (the models are built again next time)
	rm -rf build

.PHONY: help
help: ## this text
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z][a-z-]*:.*## / {printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
