# `make demo` and `make test` set everything up on a machine with Python 3.11 to 3.13 and run.
# The newest that is there and can make an environment: a version manager has a name for each, some
# of which do not start, and Debian's lacks ensurepip.
PYTHON ?= $(shell for version in 3.13 3.12 3.11; do \
  python$$version -c "import ensurepip, venv" 2>/dev/null && echo python$$version && break; done)
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev

COMPOSITE := --root demo --index demo/index/composite_apex.csv
HIDING := --root demo_hiding --index demo_hiding/index/composite_apex.csv

.PHONY: demo demo-3d demo-glasses demo-motion drawn bench test lint clean
demo: drawn
	$(PY) train_me_loso.py --root demo --index demo/index/smic_apex.csv --experiment demo_smic \
	  --preset demo
	$(PY) get_result_log.py --html

# The composite of all three corpora: 2D, 3D and both, on views of the free head. The dual network's
# training loss needs about a dozen epochs to come down; all three get as many.
demo-3d: drawn
	$(PY) reconstruct_3d.py $(COMPOSITE) --out demo/views --backend anny
	for streams in 2d 3d dual; do \
	  $(PY) train_me_loso_composite_dual_3d.py $(COMPOSITE) --root3d demo/views --streams $$streams \
	    --neighbour-views apex --experiment demo_$$streams --preset demo --image-size 128 --epochs 12 \
	    --save-weights || exit; done
	$(PY) get_result_log.py --html

# Glasses that hide the brows and the eyes: who gains by 3D, and by what the views show; three seeds.
# About an hour on two cores.
demo-glasses: $(READY)
	$(PY) prepare_data.py demo --out demo_hiding --glasses hiding
	$(call indexed,demo_hiding)
	$(PY) reconstruct_3d.py $(HIDING) --out demo_hiding/views --backend anny --views motion
	for way in "2d" "3d" "3d --views-show motion" "dual" "dual --views-show motion"; do \
	  $(PY) train_me_loso_composite_dual_3d.py $(HIDING) --root3d demo_hiding/views --streams $$way \
	    --neighbour-views apex --experiment "hiding_$$(echo $$way | tr -cs 'a-z0-9\n' _)" --preset demo \
	    --image-size 97 --epochs 12 --seeds 3 || exit; done
	$(PY) get_result_log.py --html

# Motion from onset to apex, read by networks that learned from synthetic faces, adapted more and more.
demo-motion: drawn
	$(PY) train_me_loso_composite_dual_3d.py $(COMPOSITE) --streams motion --adapt none
	$(PY) train_me_loso_composite_dual_3d.py $(COMPOSITE) --streams motion --weights none
	$(PY) train_me_loso_composite_dual_3d.py $(COMPOSITE) --streams motion --motion-net lean --adapt head
	$(PY) train_me_loso_composite_dual_3d.py $(COMPOSITE) --streams motion --motion-net lean --adapt all
	$(PY) get_result_log.py --html

drawn: $(READY)
	$(PY) prepare_data.py demo --out demo
	$(call indexed,demo)

# The indexes of a drawn set.
define indexed
$(PY) smic_processing.py --root $(1) --annotation $(1)/SMIC/SMIC-HS-E_annotation.xlsx --out $(1)/index/smic_apex.csv --plots $(1)/apex_plots
$(PY) prepare_data.py smic --root $(1) --annotation $(1)/SMIC/SMIC-HS-E_annotation.xlsx --out $(1)/index
$(PY) prepare_data.py casme2 --root $(1) --annotation $(1)/CASME2/CASME2-coding-20140508.xlsx --out $(1)/index
$(PY) prepare_data.py samm --root $(1) --annotation $(1)/SAMM/SAMM_Micro_FACS_Codes_v2.xlsx --out $(1)/index
$(PY) prepare_data.py composite --out $(1)/index
endef

# How fast things are, beside the plain way: one table, about seven minutes.
bench: drawn
	$(PY) reconstruct_3d.py $(COMPOSITE) --out demo/views --backend anny
	$(PY) -m benchmarks --demo demo

test: $(READY_DEV)
	$(PY) -m ruff check . && $(PY) -m ruff format --check .
	$(PY) -m pytest --cov --cov-report=term --durations=10

define install
$(PY) -m pip install --quiet --requirement $(1)
@$(PY) -c "import cv2" 2>/dev/null || { echo "opencv-python finds no libGL here: taking opencv-python-headless, the same release without windows"; \
  $(PY) -m pip uninstall --quiet --yes opencv-python && \
  $(PY) -m pip install --quiet --force-reinstall --no-deps opencv-python-headless; }
endef

$(READY): requirements.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "error: $(or $(PYTHON),python3.11 to 3.13) not found: install Python 3.11, 3.12 or 3.13, or name it with make PYTHON=..."; exit 2; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(call install,requirements.txt)
	touch $@

$(READY_DEV): requirements-dev.txt $(READY)
	$(call install,requirements-dev.txt)
	touch $@

lint: $(READY_DEV)
	$(PY) -m ruff check --fix . && $(PY) -m ruff format .
	$(PY) -m mypy

clean:
	rm -rf demo demo_hiding result/demo_* result/hiding_* result/motion_cache result/face_cache
