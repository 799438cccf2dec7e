# `make` lists what there is. Each target sets up what it needs.
.DEFAULT_GOAL := help
.ONESHELL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON_IN_VENV := .venv/bin/python
CHECKOV_VERSION := 3.3.30

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use
.PHONY: demo
demo: setup-runtime ## one last-frame job from start to finish (VIDEO=path or URL)
	@$(PYTHON_IN_VENV) scripts/demo.py $(if $(VIDEO),--video "$(VIDEO)")

.PHONY: run
run: setup-runtime ## the suite in the foreground at http://127.0.0.1:8000
	@LASTFRAME_SHOW_KEY=1 exec $(PYTHON_IN_VENV) -m services

##@ Check
.PHONY: test
test: setup-test ## all tests, with real Envoy, mongod, redis, rabbitmq and S3 (TESTS=path or -k to choose)
	@$(PYTHON_IN_VENV) -m pytest $(or $(TESTS),-n 2 --dist loadfile)

.PHONY: check
check: setup-dev ## format, lint, types, import direction, protos, docs, manifests
	@scripts/check.sh

.PHONY: format
format: setup-dev ## rewrite the code in the house's format
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

.PHONY: bench
bench: setup-test ## measurements against named peers; see bench/README.md
	@cat bench/README.md

##@ Make
.PHONY: protos
protos: setup-test ## regenerate the stubs beside the protos
	@$(PYTHON_IN_VENV) scripts/generate_protos.py

.PHONY: reference
reference: setup-test ## regenerate docs/reference from the protos, settings, errors and results
	@$(PYTHON_IN_VENV) -m scripts.reference

.PHONY: docs
docs: setup-dev ## the documentation as a site, into site/; every link checked
	@$(PYTHON_IN_VENV) scripts/build_docs.py

.PHONY: lock
lock: setup-dev ## resolve requirements/*.in again, with hashes
	@for level in runtime test dev; do
	@	.venv/bin/uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	@		-q --upgrade requirements/$$level.in -o requirements/$$level.txt
	@done
	@for files in assets test-assets; do
	@	.venv/bin/uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	@		-q --upgrade --no-deps requirements/$$files.in -o requirements/$$files.txt
	@done

.PHONY: stubs
stubs: setup-test ## a wheel of nothing but protos and stubs, into dist/
	@$(PYTHON_IN_VENV) scripts/build_stubs.py

##@ Prove
.PHONY: faults
faults: setup-test ## kill and freeze every part at random while jobs run; nothing may be lost or done twice
	@$(PYTHON_IN_VENV) -m tests.faults.run $(ARGS)

.PHONY: fuzz
fuzz: setup-test ## 20,000 mutated media through every kind of job, seeded
	@$(PYTHON_IN_VENV) -m tests.fuzz $(ARGS)

.PHONY: soak
soak: setup-test ## 2,000 jobs of all kinds at 64 in flight, one in ten bad
	@$(PYTHON_IN_VENV) -m bench.soak $(ARGS)

.PHONY: manifests
manifests: setup-dev ## the checks of deploy/k8s that need no cluster
	@$(PYTHON_IN_VENV) -m deploy.checks $(ARGS)

.PHONY: checkov
checkov: ## the one rung of `make manifests` that is not in requirements/dev.txt (500 MB), into build/tools
	@test -x build/tools/checkov/bin/checkov && exit
	@python3 -m venv build/tools/checkov
	@build/tools/checkov/bin/pip install --quiet --disable-pip-version-check checkov==$(CHECKOV_VERSION)

##@ Production
.PHONY: stack
stack: setup-test ## real rabbitmq-server, mongod, redis-server and an S3 server in the foreground
	@exec $(PYTHON_IN_VENV) -m deploy.stack

.PHONY: run-production
run-production: setup-test ## every service and role as its own process behind Envoy, on the servers of `make stack`
	@test -f .stack/env || { echo "run 'make stack' in another terminal first"; exit 1; }
	@set -a; . .stack/env; set +a
	@exec $(PYTHON_IN_VENV) -m services.production

.PHONY: dead-letters
dead-letters: setup-runtime ## list the poison tasks (ARGS=--requeue runs them again)
	@if [ -f .stack/env ]; then set -a; . .stack/env; set +a; fi
	@$(PYTHON_IN_VENV) -m services.dead_letters $(ARGS)

.PHONY: gpu-check
gpu-check: setup-runtime ## decode and encode on this machine's NVIDIA GPU, against software; says so where there is none
	@$(PYTHON_IN_VENV) -m scripts.gpu_check $(if $(wildcard ../shared/media),--media ../shared/media)

.PHONY: image
image: ## build the container image, with docker or without an engine
	@sh deploy/image/build.sh

.PHONY: image-test
image-test: setup-test ## run the image as a pod would, with one job through it
	@$(PYTHON_IN_VENV) -m deploy.image.smoke

.PHONY: setup-runtime setup-test setup-dev
setup-runtime setup-test setup-dev: setup-%:
	@scripts/setup.sh $*
