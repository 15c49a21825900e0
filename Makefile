# `make` lists the targets. Each makes the environment .venv first, where it is not there yet.
VENV   ?= .venv
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
             $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
# where PyTorch comes from: auto, pypi, or the URL of an index (tools/environment.py says more)
TORCH_INDEX ?= auto
# more arguments for pytest or a study, for instance: make test ARGS='-k montecarlo', make study ARGS='--hours 1'
ARGS ?=
# which study: study (the criteria), information (what a row is worth), temperature (200 to 600 K), phase_diagram (learned and direct), finite_size
STUDY ?= study
BIN   = $(VENV)/bin
READY = $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: ready help demo test slow lab docs bench study export constraints clean

help:           ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## learn the free energy of LixCoO2, and write the report
	$(BIN)/alfe run configs/lco.toml
	@echo "alfe in this shell: . $(BIN)/activate"

test: $(READY)  ## every test: the notebooks, the export, the documentation, the processes
	$(BIN)/python -m pytest $(ARGS)

slow: $(READY)  ## the same with the cells and tests that take minutes
	ALFE_TEST_FLAGS=slow $(BIN)/python -m pytest $(ARGS)

ready: $(READY) ## only make the environment

lab: $(READY)   ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab nbs

docs: $(READY)  ## build the documentation, without Quarto, into _site/
	$(BIN)/python tools/docs.py _site

bench: $(READY) ## run the benchmarks
	@for f in benchmarks/[a-z]*.py; do [ -e "$$f" ] || exit 0; echo "== $$f"; $(BIN)/python $$f || exit 1; done

study: $(READY) ## make the tables of a study again, STUDY=study, information, temperature, phase_diagram or finite_size: up to hours
	$(BIN)/python tools/$(STUDY).py $(ARGS)

export: $(READY) ## after editing notebooks: write alfe/, clean the notebooks, write the README and the sidebar
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/python tools/docs.py _site --readme

constraints: $(READY) ## pin the versions that are installed now in constraints.txt
	{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new
	mv constraints.new constraints.txt

clean:          ## remove what can be made again (not the runs)
	rm -rf $(VENV) _site _docs _proc build dist *.egg-info .pytest_cache .hypothesis .quarto
	find alfe nbs tests tools -name __pycache__ -prune -exec rm -rf {} +

$(READY): settings.ini setup.py pyproject.toml constraints.txt tools/environment.py
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or say where it is: make PYTHON=/path/to/python3"; exit 1; }
	@TORCH_INDEX='$(TORCH_INDEX)' $(PYTHON) tools/environment.py $(VENV)
	@touch $@
