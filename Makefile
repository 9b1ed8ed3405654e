# The two commands to know: `make demo` shows all of it at work, `make up` leaves it running.
# Everything is installed into .venv and nothing outside of this folder is changed.

PYTHON ?= python3
TORCH := 2.13.0
# The address of PyTorch's own index of CPU builds, if one of those is wanted: see its install page.
TORCH_INDEX ?=
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
# How many tests run at the same time, of those that do not need the machine for themselves.
JOBS ?= 4
# How many of those that start browsers or all services at once.
ALONE ?= 2
# Threads that wait for each other let others compute meanwhile: several tests train at once.
test: export OMP_WAIT_POLICY = PASSIVE
PIP := $(BIN)/python -m pip --disable-pip-version-check
PACKAGES := contracts services/gateway services/planner services/projector services/gpu-runner cli
PROJECTS := $(PACKAGES:=/pyproject.toml)

# Options of `make demo`. They reach the command through the environment, so that a script may
# hold quotes, dollars and line breaks. Only what stands on make's own command line counts.
given = $(if $(filter command,$(firstword $(origin $(1)))),$(value $(1)))
export DEMO_PHOTOS := $(call given,PHOTOS)
export DEMO_VOICE := $(call given,VOICE)
export DEMO_SCRIPT := $(call given,SCRIPT)
export DEMO_CONSENT := $(call given,CONSENT)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-engines demo up test lint format schemas release-schemas conformance bench bench-jobs bench-live bench-replay bench-start bench-likeness bench-media bench-voice images sbom audit soak-faults soak-simulation clean

help:
	@echo "make demo    run the main job on the sample input, and show where its results are"
	@echo "             PHOTOS=<folder or files> VOICE=<recording> SCRIPT=\"What to say\" use your own"
	@echo "             CONSENT=<myself, a name or nobody> say whose they are, or be asked"
	@echo "make up      start the whole system and leave it running; prints its address"
	@echo "make test    run all tests"
	@echo "make lint    check style, types and the rules of dependency"
	@echo "make format  bring the code into its style"
	@echo "make schemas write what is made from code: schemas, references, dashboards"
	@echo "make release-schemas"
	@echo "             freeze the shapes of the events that this release is the first to have"
	@echo "make conformance"
	@echo "             send the gateway thousands of requests made from its OpenAPI document"
	@echo "make soak-simulation SEEDS=<number>"
	@echo "             explore so many simulated worlds on all processors; goes on where it stopped"
	@echo "make bench   measure speed and memory"
	@echo "make bench-jobs  measure what a job costs besides its work"
	@echo "make bench-live  measure how late 500 clients hear of what happens"
	@echo "make bench-replay"
	@echo "             measure how fast the log is folded and views are rebuilt, of 100,000 events"
	@echo "make bench-likeness  measure how much a LoRA's pictures look like the person"
	@echo "make bench-voice RECORDINGS=<folder>"
	@echo "             measure how like people the matched voices are; the folder has one recording for each"
	@echo "make bench-start  measure how soon the planner is ready on a long log"
	@echo "make bench-media  measure how fast speech and videos are made, and their memory"
	@echo "make bench-lora   measure the training of a LoRA against a plain script"
	@echo "make soak-faults FAULTS=<number>"
	@echo "             kill, freeze and cut off services at random, 10,000 times, and look what is lost"
	@echo "make images  build the images of a deployment, with what they are made of attached to them"
	@echo "make sbom    write what each image is made of, as CycloneDX files in build/sbom"
	@echo "make audit   look for known vulnerabilities in everything that is installed, by name and version"
	@echo "make setup   install into .venv (the others do it when needed)"
	@echo "make setup-engines"
	@echo "             install engines with environments of their own, for their tests"
	@echo "make clean   remove .venv and caches; your data stays"

setup: .venv/.installed

# With what tests need besides.
setup-dev: .venv/.installed-dev

# Engines with environments of their own, for their tests: none of them is needed otherwise.
setup-engines: .venv/.installed
	@$(BIN)/myspinbot engines install --home .engines xtts

demo: .venv/.installed
	@$(BIN)/myspinbot demo \
	  $${DEMO_PHOTOS:+--photos "$$DEMO_PHOTOS"} \
	  $${DEMO_VOICE:+--voice "$$DEMO_VOICE"} \
	  $${DEMO_SCRIPT:+--script "$$DEMO_SCRIPT"} \
	  $${DEMO_CONSENT:+--consent "$$DEMO_CONSENT"}

up: .venv/.installed
	@exec $(BIN)/myspinbot up

test: .venv/.installed-dev
	$(BIN)/pytest -m "not alone" -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations 15
	$(BIN)/pytest -m alone -n $(ALONE) --dist loadfile --no-loadscope-reorder --durations 15

lint: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

schemas: .venv/.installed-dev
	$(BIN)/python contracts/generate.py
	$(BIN)/python -m myspinbot.reference > docs/cli.md
	$(BIN)/python services/gateway/generate.py
	$(BIN)/python services/gpu-runner/generate.py
	$(BIN)/python -m deploy.grafana.dashboards
	$(BIN)/python -m deploy.prometheus.reference

release-schemas: .venv/.installed-dev
	$(BIN)/python contracts/release.py

conformance: .venv/.installed-dev
	CONFORMANCE_EXAMPLES=300 $(BIN)/pytest --timeout 3600 services/gateway/tests/test_gateway_conformance.py

SEEDS ?= 1000000
soak-simulation: .venv/.installed-dev
	@$(BIN)/python -m tests.simulation --soak $(SEEDS) --state build/soak-simulation.json

bench: .venv/.installed-dev
	@$(BIN)/python -m tests.load.main_job

# PEERS names a folder of scripts that measure other systems, VENVS the one with their environments.
bench-jobs: .venv/.installed-dev
	@$(BIN)/python -m tests.load.jobs $(if $(PEERS),--peers "$(PEERS)" --venvs "$(VENVS)")

bench-live: .venv/.installed-dev
	@$(BIN)/python -m tests.load.live

bench-start: .venv/.installed-dev
	@$(BIN)/python -m tests.load.planner_start

bench-likeness: .venv/.installed-dev
	@$(BIN)/python -m tests.load.likeness

# What was done is kept, so that it goes on where it was stopped.
soak-faults: .venv/.installed-dev
	@mkdir -p build
	@$(BIN)/python -u -m tests.faults.soak --faults $(or $(FAULTS),10000) --kept build/soak-faults.json

# No recordings of people are shipped.
bench-voice: .venv/.installed-dev
	@test -n "$(RECORDINGS)" || { echo "Say where recordings are: make bench-voice RECORDINGS=<folder>"; exit 1; }
	@$(BIN)/python -m tests.load.voice "$(RECORDINGS)"

bench-lora: .venv/.installed-dev
	@$(BIN)/python -m tests.load.lora

bench-media: .venv/.installed-dev
	@$(BIN)/python -m tests.load.media

bench-replay: .venv/.installed-dev
	@$(BIN)/python -m tests.load.replay

# Attestations need the containerd image store or a buildx builder of one's own: see the
# documentation of docker buildx about attestations. They list Debian's packages too.
images:
	MYSPINBOT_REVISION=$$(git rev-parse HEAD) MYSPINBOT_CREATED=$$(git log -1 --format=%cI) \
	  docker compose --profile tools build --sbom true --provenance true

IMAGES := gateway planner projector runner cli

# Of the runner all but PyTorch, which no lock holds: the attestation of its image names it.
sbom: .venv-sbom/.installed
	@mkdir -p build/sbom
	@for image in $(IMAGES); do \
	  .venv-sbom/bin/cyclonedx-py requirements requirements/$$image.txt --validate \
	    --output-reproducible --of JSON -o build/sbom/$$image.cdx.json || exit 1; \
	done
	@ls -l build/sbom

# In an environment of its own, as it would change what tests find installed.
.venv-sbom/.installed: requirements/sbom.txt
	@$(PYTHON) -m venv .venv-sbom
	@.venv-sbom/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r requirements/sbom.txt
	@touch $@

LOCKS := $(wildcard requirements/*.txt plugins/*/requirements.txt)

# Every lock, what the tools of tests and builds need included, and PyTorch, which is in none. What
# could not be looked up is a failure too, as it would pass for safe.
audit: .venv-audit/.installed
	@mkdir -p build
	@echo "torch==$(TORCH)" > build/torch.txt
	@failed=; for lock in build/torch.txt $(filter-out requirements/overrides.txt,$(LOCKS)); do \
	  echo "$$lock"; \
	  .venv-audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r $$lock || failed=1; \
	done; test -z "$$failed"

.venv-audit/.installed: requirements/audit.txt
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r $<
	@touch $@

clean:
	rm -rf .venv .venv-sbom .venv-audit .engines .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.venv/.python:
	@command -v $(PYTHON) > /dev/null || { \
	  echo "There is no $(PYTHON). Install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "Python's venv module is missing. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making .venv with $$($(PYTHON) -V)."
	@$(PYTHON) -m venv .venv
	@touch $@

# PyTorch comes first and unlocked, as each machine needs a build of its own; the lock then sets
# the versions of what it brought along.
.venv/.torch: | .venv/.python
	@echo "Installing PyTorch $(TORCH): 0.2 GB to download and 0.8 GB on disk as a CPU build, about 3 GB"
	@echo "and 7 GB with CUDA. TORCH_INDEX=<address of its CPU builds> asks for the former."
	@$(PIP) install --quiet $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") "torch==$(TORCH)"
	@touch $@

.venv/.installed: requirements/all.txt $(PROJECTS) | .venv/.torch
	@echo "Installing the locked requirements: about 0.75 GB to download and 2.1 GB on disk."
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements/all.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES))
	@$(BIN)/python -m compileall -q $(addsuffix /src,$(PACKAGES))
	@echo "Installed: $$(du -sh .venv | cut -f1) in .venv."
	@touch $@

.venv/.installed-dev: requirements/dev.txt .venv/.installed
	@echo "Installing the tools for tests: about 0.15 GB to download and 0.4 GB on disk."
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@touch $@
