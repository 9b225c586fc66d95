# Each target makes .venv and installs what it needs on first use; after that it needs no network.
#   PYTHON    interpreter of .venv, 3.10 or newer     make test PYTHON=python3.12
#   WORKERS   processes that share the tests; 0 = none, for a debugger     make test WORKERS=0
#   PIP_ARGS  options for pip, such as another index   make demo PIP_ARGS=...
#   TORCH_INDEX  PyTorch's package index for CPUs (pytorch.org, "Get started"), where pip's own has
#                only the build with gigabytes of CUDA     make test TORCH_INDEX=https://...
PYTHON ?= python3
PIP_ARGS ?=
TORCH_INDEX ?=
WORKERS ?= 2

VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)

# Two pips must not work on one environment at a time.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test lint types format bench clean distclean

# .venv has its own ROS; a sourced one would shine through.
unexport PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
# Keep DDS off the network.
demo test bench: export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
# Processes that share the cores must not start a thread for each core.
test: export OMP_NUM_THREADS := 1

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(VENV)/.ros $(VENV)/.onnxruntime $(VENV)/.simulation ## simulated sensors through the real nodes; results in out/demo
	$(VENV)/bin/depth_ros demo -o out/demo

test: $(VENV)/.ros $(VENV)/.test $(VENV)/.networks ## all tests; make test ARGS='-k name' for some
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.lint ## ruff: rules and format
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.lint ## mypy, strict on everything without ROS
	$(RUN) -m mypy

format: $(VENV)/.lint ## apply ruff
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(VENV)/.ros $(VENV)/.networks ## the measurements that the README quotes
	$(RUN) benchmarks/pipeline.py
	$(RUN) benchmarks/convert.py
	$(RUN) benchmarks/bpnet.py

clean: ## remove what was built and measured; .venv stays
	rm -rf build install log out *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and .venv too
	rm -rf $(VENV)

# One stamp per extra of setup.py; a change of the packaging installs again.
$(VENV)/.%: setup.py setup.cfg pyproject.toml | $(VENV)/.made
	$(PIP) --editable '.[$*]'
	@touch $@

# PyTorch first and by itself, for what comes after would bring its build with CUDA along. Where it
# cannot be had, tests of networks are skipped, and the next call tries again.
TORCH := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX) torch==2.13.0,torch==2.13.0+cpu)
TENSORRT_RTX := tensorrt-rtx-cu13==1.7.1.116
$(VENV)/.networks: setup.py setup.cfg pyproject.toml | $(VENV)/.made
	@if $(PIP) --retries 1 $(TORCH); then \
	  $(PIP) --editable '.[export,openvino,train,nyu]' || exit 1; \
	  $(PIP) $(TENSORRT_RTX) || echo 'No TensorRT-RTX for this machine: its tests are skipped.'; \
	  touch $@; \
	else \
	  echo 'No CPU build of PyTorch here: tests of networks are skipped. See TORCH_INDEX.'; \
	fi

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "depth_ros needs Python 3.10 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1);" \
	    "name another one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
