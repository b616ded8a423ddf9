# What people and workflows call; the work is in harness/ and tools/. `make` alone prints the targets.
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
# `make setup TORCH=cpu`: PyTorch's own CPU-only wheels instead of PyPI's (which bring CUDA).
# TORCH=none: no PyTorch at all, which is enough to check and to lint.
TORCH ?= default
BUILDER ?= docker
ENV ?= local
BASE ?= origin/main
FROM ?= staging
TO ?= production

# What a caller says in these, a workflow above all, is text: $(value) does not expand it, and the
# recipes read it from the environment. `make ENV='$(shell …)'` names an environment that is not there.
GIVEN := ALL ENV BASE COMMIT CONTEXT DB DIGEST FROM GROUP KEY LAG ONLY PUSH REAL REPORT ROOT SBOM SEEN SET SOURCE_STATE TO TORCH UPGRADE
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
# `look` and SEEN are the old names of source-state and SOURCE_STATE; they work until 2027-03-01.
override SOURCE_STATE := $(or $(value SOURCE_STATE),$(value SEEN))
export $(GIVEN)
ifneq ($(filter-out auto cpu default none,$(TORCH)),)
$(error TORCH is default, cpu, auto or none)
endif

VENV := .venv
IMAGE := apps/torchserve/image
# The Java libraries that run before those in TorchServe's JAR, where the launcher looks for them.
# `make MAVEN_MIRROR=https://…` fetches them from another Maven repository than Maven Central.
JARS := $(VENV)/bin/python -m harness.jars
JARS_LOCK := $(IMAGE)/jars.lock
HARNESS := $(VENV)/bin/harness
SETUP := $(VENV)/.setup-$(TORCH)

##@ Run
.PHONY: demo
demo: $(SETUP) ## models → snapshot → real TorchServe → load test → report, on this machine
	$(HARNESS) demo

.PHONY: serve
serve: $(SETUP) ## the real TorchServe with ENV's settings on this machine, until Ctrl-C
	$(HARNESS) serve --env "$$ENV" $${GROUP:+--group "$$GROUP"}

.PHONY: models
models: $(SETUP) ## the model archives, those that changed
	$(HARNESS) models build

.PHONY: image-base gate-base
image-base: FILE := $(IMAGE)/Containerfile
image-base: ## has the serving image's base a digest?
gate-base: FILE := infra/canary/image/Containerfile
gate-base: ## has the base of gate and shadow a digest?
image-base gate-base:
	@! grep --quiet '^FROM .*UNSET' $(FILE) || { exec >&2; \
	  echo '$(FILE): the base image has no digest yet. Write there what this says:'; \
	  sed -n "s|^FROM \(.*\)@sha256:UNSET.*|  docker buildx imagetools inspect \1 --format '{{.Manifest.Digest}}'|p" \
	    $(FILE); exit 1; }

.PHONY: image
image: image-base ## the serving image (of SET), as `torchserve`, with docker (or BUILDER=podman)
	folder=$${SET:+apps/torchserve/sets/$$SET}; folder=$${folder:-$(IMAGE)}; \
	python=$$(cat "$$folder/.python-version" 2>/dev/null || true); \
	$(BUILDER) build $(addprefix --build-arg ,HTTPS_PROXY MAVEN_MIRROR NO_PROXY) \
	  --build-arg "REQUIREMENTS=$$folder/requirements.txt" \
	  $${python:+--build-arg "PYTHON=python$$python"} \
	  $${REQUESTS_CA_BUNDLE:+--secret "id=ca_bundle,src=$$REQUESTS_CA_BUNDLE"} \
	  --file $(IMAGE)/Containerfile --tag "torchserve$${SET:+-$$SET}" .

.PHONY: gate-samples
gate-samples: $(SETUP) ## what the image of gate and shadow knows of the models
	$(HARNESS) models build
	$(HARNESS) canary samples

.PHONY: gate-image
gate-image: gate-base gate-samples ## the image of gate and shadow, as `harness`, with docker (or BUILDER=podman)
	$(BUILDER) build $(addprefix --build-arg ,HTTPS_PROXY NO_PROXY) \
	  $${REQUESTS_CA_BUNDLE:+--secret "id=ca_bundle,src=$$REQUESTS_CA_BUNDLE"} \
	  --file infra/canary/image/Containerfile --tag harness .

.PHONY: image-sets
image-sets: $(SETUP) ## the image sets to build again since BASE, for a workflow's matrix
	$(HARNESS) sets list --matrix --changed-since "$$BASE" >> "$${GITHUB_OUTPUT:-/dev/stdout}"

.PHONY: loadtest
loadtest: $(SETUP) ## the profile in clusters/ENV/loadtest.yaml against the live endpoint
	$(HARNESS) loadtest run --env "$$ENV"

##@ Cluster
.PHONY: cluster
cluster: $(SETUP) ## Kubernetes and Flux on this machine, syncing this working tree (REAL=1: real pods, as root)
	$(HARNESS) cluster up $(if $(filter-out 0 no,$(value REAL)),--real)

.PHONY: cluster-down
cluster-down: $(SETUP) ## take it away: processes, ports and files
	$(HARNESS) cluster down

.PHONY: drift
drift: $(SETUP) ## does every cluster that KUBECONFIG knows run what BASE says?
	$(HARNESS) status --all --against "$$BASE"

.PHONY: event
event: $(SETUP) ## is FLUX_EVENT what Flux announces of a sync of ENV?
	$(HARNESS) event --env "$$ENV"

.PHONY: smoke
smoke: $(SETUP) ## live checks of ENV's installation: of KUBECONFIG's cluster, or the local one
	$(HARNESS) smoke --env "$$ENV"

.PHONY: e2e
e2e: $(SETUP) ## what Kubernetes and Flux do with this repository, watched (CONTEXT=kind-kind: there; ALL=1: in every variation)
	@# What programs share is compiled once: the API server's own code, Kubernetes' client.
	TOOLS_CACHE=keep $(HARNESS) tools api-validator
	TOOLS_CACHE=keep $(HARNESS) tools --cluster
	$(HARNESS) tools prometheus-operator promtool prometheus alertmanager amtool
	mkdir -p build/e2e
	@# Scenarios wait for Flux more than they work: three files at once keep two cores busy.
	$(VENV)/bin/python -m pytest tests/e2e --e2e -m "not load" $${CONTEXT:+"--context=$$CONTEXT"} $${LAG:+"--lag=$$LAG"} $(if $(filter-out 0 no,$(value ALL)),--all) \
	  -n $(if $(value CONTEXT),0,3) --dist loadfile --no-loadscope-reorder \
	  --durations=10 --junitxml=build/e2e/junit.xml

.PHONY: jaeger
jaeger: $(SETUP) ## Jaeger, without which e2e skips the scenarios of traces (minutes)
	$(HARNESS) tools jaeger

.PHONY: e2e-load
e2e-load: $(SETUP) ## the long scenarios under load, alone on the machine (ONLY=expression picks some)
	mkdir -p build/e2e-load
	$(VENV)/bin/python -m pytest tests/e2e --e2e -m load $${ONLY:+-k "$$ONLY"} \
	  --durations=10 --junitxml=build/e2e-load/junit.xml

##@ Check
.PHONY: check
check: $(SETUP) ## render every environment and judge it
	$(HARNESS) check

.PHONY: review
review: $(SETUP) ## check, and what changes since BASE, as a pull request's comment under build/
	$(HARNESS) check --since "$$BASE"

.PHONY: diff
diff: $(SETUP) ## what changes in ENV since BASE, rendered, the dangerous first
	$(HARNESS) diff --env "$$ENV" --from "$$BASE"

.PHONY: api-validator
api-validator: $(SETUP) ## the API server's own code, which check asks once it is built (minutes)
	$(HARNESS) tools api-validator

.PHONY: test
test: $(SETUP) lint types api-validator ## lint, types, unit and integration tests; JUnit under build/
	$(HARNESS) tools
	$(HARNESS) tools trivy-match promtool
	mkdir -p build/test
	@# Tests that judge latencies or start TorchServe need the machine for themselves; the rest share it.
	@# Half of their time is one file of checks: it is shared out by its tests, not given to one process.
	status=0; \
	$(VENV)/bin/python -m pytest -m "not alone and not torchserve" -n auto --dist worksteal \
	  --junitxml=build/test/junit.xml || status=$$?; \
	$(VENV)/bin/python -m pytest -m "alone or torchserve" \
	  --junitxml=build/test/junit-alone.xml || status=$$?; \
	exit $$status

.PHONY: coverage
coverage: $(SETUP) ## lines that tests reach which share the machine; they take twice the time
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m pytest -m "not alone and not torchserve" -n auto --dist worksteal
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

.PHONY: audit
audit: $(SETUP) ## known holes of an image's files (ROOT, SBOM of Trivy's) by Trivy's database (DB)
	$(HARNESS) audit $${SET:+--set "$$SET"} $${ROOT:+--root "$$ROOT"} $${SBOM:+--sbom "$$SBOM"} $${DB:+--db "$$DB"}

.PHONY: lint
lint: $(SETUP) actions ## ruff, format, import contracts, workflows
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

.PHONY: actions
actions: $(SETUP) ## actionlint and zizmor over .github/workflows
	$(HARNESS) tools actionlint
	build/tools/bin/actionlint
	$(VENV)/bin/zizmor --offline --quiet --pedantic .github

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
	$(HARNESS) snapshot write --env "$$ENV" $${GROUP:+--group "$$GROUP"}

.PHONY: instance-types
instance-types: $(SETUP) ## records EC2's instance types, from the list that moto ships
	$(VENV)/bin/python -m harness.policy.recorded.record_instances

.PHONY: chart-records
chart-records: $(SETUP) ## records which values the third-party charts take that `harness tools` has fetched
	$(VENV)/bin/python -m harness.policy.recorded.record_charts

.PHONY: pictures
pictures: $(SETUP) ## the pictures of dashboards and of a trace in docs/images, from load tests
	$(HARNESS) tools prometheus jaeger
	PICTURES=docs/images $(VENV)/bin/python -m pytest tests/e2e/test_{dashboards,traces}.py --e2e -x

.PHONY: generate
generate: $(SETUP) ## the chart's schema, README and version; the dashboards' JSON
	$(HARNESS) generate

.PHONY: lock
lock: $(SETUP) ## models/lock.yaml from what is built, and each snapshot that it changes
	$(HARNESS) models build
	$(HARNESS) models lock
	$(HARNESS) snapshot write --all

.PHONY: requirements
requirements: $(SETUP) ## requirements.lock, the image's, uv, Go; pins stay but UPGRADE's (names, or all)
	$(HARNESS) requirements $${UPGRADE:+--upgrade "$$UPGRADE"}

.PHONY: jars
jars: $(SETUP) ## the hashes that jars.lock lacks, and the Java libraries that it pins
	$(JARS) lock $(JARS_LOCK)
	$(JARS) fetch $(JARS_LOCK) $(VENV)/share/torchserve/jars

##@ Release
.PHONY: models-push
models-push: $(SETUP) ## what models/lock.yaml names, into the bucket of ENV
	$(HARNESS) models push --env "$$ENV"

.PHONY: image-pin
image-pin: $(SETUP) ## let every environment run the image (of SET) with this DIGEST
	$(HARNESS) image pin "$$DIGEST" $${SET:+--set "$$SET"}

.PHONY: gate-pin
gate-pin: $(SETUP) ## let gate and shadow run the image with this DIGEST
	$(HARNESS) canary pin "$$DIGEST"

.PHONY: evidence
evidence: $(SETUP) ## sign the REPORT about ENV with the KEY, and keep it where promotions look
	$(HARNESS) release evidence "$$REPORT" --env "$$ENV" --key "$$KEY"

.PHONY: release-copy
release-copy: $(SETUP) ## the archives and the image of a release, from FROM to TO
	$(HARNESS) release copy --from "$$FROM" --to "$$TO" --commit "$$COMMIT" \
	  $${SOURCE_STATE:+--source-state "$$SOURCE_STATE"}

.PHONY: source-state look
source-state: $(SETUP) ## save what FROM's cluster runs to SOURCE_STATE, for a promotion from elsewhere
	$(HARNESS) release observe --from "$$FROM" --to "$$TO" --save-state "$$SOURCE_STATE"
look: source-state

.PHONY: promote
promote: $(SETUP) ## point TO at the commit that FROM proved, on a branch (PUSH=yes pushes it)
	$(HARNESS) release promote --from "$$FROM" --to "$$TO" --commit "$$COMMIT" \
	  $${SOURCE_STATE:+--source-state "$$SOURCE_STATE"} $${KEY:+--key "$$KEY"} $(if $(filter-out 0 no,$(value PUSH)),--push)

.PHONY: release-notes
release-notes: $(SETUP) ## what the last move of TO's pointer changed, under build/
	$(HARNESS) release notes --env "$$TO"

##@ Set up
.PHONY: setup
setup: $(SETUP) ## the virtual environment, exactly as locked

$(SETUP): requirements.lock pyproject.toml tools/setup.sh tools/uv.txt $(JARS_LOCK)
	tools/setup.sh $(PYTHON) $(VENV) $(TORCH)

.PHONY: clean
clean: ## remove build/ (the models are built again next time)
	rm -rf build

.PHONY: help
help: ## this text
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z][a-z-]*:.*## / {printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
