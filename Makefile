# `make demo` and `make test` set everything up on a machine with Python 3.11 and run.
PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: demo test lint clean
test: $(READY)
	$(PY) -m ruff check . && $(PY) -m ruff format --check .
	$(PY) -m pytest --cov --cov-report=term --durations=10

$(READY): requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found: install Python 3.11, or name it with make PYTHON=..."; exit 2; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --requirement requirements.txt
	@$(PY) -c "import cv2" 2>/dev/null || { echo "opencv-python finds no libGL here: taking opencv-python-headless, the same build without windows"; \
	  $(PY) -m pip uninstall --quiet --yes opencv-python && $(PY) -m pip install --quiet opencv-python-headless; }
	touch $@

lint: $(READY)
	$(PY) -m ruff check --fix . && $(PY) -m ruff format .

clean:
	rm -rf demo result/demo_*
