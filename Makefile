# `make lab` opens the course, `make test` proves that it works, `make help` lists the rest.
# Written for GNU make 3.81 (macOS) and newer. Everything that is installed lands in .venv; `make clean` takes it away.

VENV := .venv
PY := $(VENV)/bin/python
PIP := -m pip --disable-pip-version-check
FIRST_LESSON := notebooks/00_overview.ipynb
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings
PYTEST := $(PY) -m pytest --nbval-lax --nbval-current-env
NO_NEWS := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}

# The first Python on the PATH that is new enough; `make lab PYTHON=/path/to/python3.12` takes another.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'

# Given a port, Lab takes that one or says that it is taken; without, it takes 8888 or the next free one.
PORT_OPTIONS = $(if $(PORT),--ServerApp.port=$(PORT) --ServerApp.port_retries=0)
BROWSER_OPTION = $(if $(filter no,$(BROWSER)),--no-browser)

.PHONY: help lab lint test page bench notebooks data release grade constraints clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

lab: $(VENV)/.lessons  ## open lesson 00 in JupyterLab; PORT=8899 picks the port, BROWSER=no only prints the address
	@echo "Starting JupyterLab for this computer only; Ctrl-C stops it."
	@export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; exec $(PY) -m jupyterlab \
		--ServerApp.ip=127.0.0.1 --ServerApp.allow_root=True --ServerApp.answer_yes=True --log-level=WARN \
		--ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/$(FIRST_LESSON) \
		$(PORT_OPTIONS) $(BROWSER_OPTION)

lint: $(VENV)/.test  ## check style, layers and types of Python and of the explorers' scripts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(PY) -m mypy
	$(PY) tests/js/node_tools.py

# What measures time runs last and alone; pytest exits with 5 where ARGS picks no such test.
test: lint  ## lint, then unit, property, script, notebook and browser tests; ARGS="-k boxes" picks some
	$(PYTEST) -n 2 --dist loadfile -m "not timing" $(ARGS) tests $(wildcard notebooks/*.ipynb)
	$(PYTEST) -m timing $(ARGS) tests || test $$? -eq 5

page: $(VENV)/.page  ## open a page to drop photographs on; WEIGHTS=runs/bccd answers with a detector of your own
	@echo "Starting the page for this computer only; Ctrl-C stops it."
	@export PATH="$(CURDIR)/$(VENV)/bin:$$PATH" \
		WEIGHTS="$(if $(WEIGHTS),$(if $(filter /%,$(WEIGHTS)),,$(CURDIR)/)$(WEIGHTS))"; \
		exec $(PY) -m voila notebooks/page/photographs.ipynb --Voila.ip=127.0.0.1 \
		$(if $(PORT),--Voila.port=$(PORT) --Voila.port_retries=0) $(BROWSER_OPTION)

bench: $(VENV)/.lessons  ## operators and whole model against torchvision, one table
	$(PY) -m benchmarks

notebooks: $(VENV)/.lessons  ## run every lesson and keep what it shows; LESSON=00_overview picks one
	$(PY) notebooks/execute.py $(LESSON)

data: $(VENV)/.lessons  ## train the shipped detector and its bugs again, from nothing (half an hour); files go to data/
	$(PY) -m frcnn_edu.course.shipped_detector
	$(PY) -m frcnn_edu.course.bug_zoo --out data/bug_zoo.json

release: $(VENV)/.teach  ## for teachers: make the student versions of the assignments; ASSIGNMENT=a5_project picks one
	$(PY) notebooks/assignments/course.py release $(ASSIGNMENT)

grade: $(VENV)/.teach  ## for teachers: grade what was handed in, write feedback and grades.csv
	$(PY) notebooks/assignments/course.py grade $(ASSIGNMENT)

constraints:  ## resolve every extra anew and write constraints.txt; run it with the oldest Python that is to work
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; name one: make $@ PYTHON=/path/to/python3.11"; exit 1; }
	@mkdir -p build && "$(PYTHON)" -m venv --clear build/resolver
	build/resolver/bin/python $(PIP) install --quiet --dry-run --report build/resolved.json '.[lessons,test,teach]'
	@build/resolver/bin/python -c 'import json; found = json.load(open("build/resolved.json"))["install"]; \
		pins = sorted(("%(name)s==%(version)s" % one["metadata"] for one in found if not one["is_direct"]), key=str.lower); \
		print("# What `make lab` and `make test` install. Made by `make constraints`; do not edit by hand.", *pins, sep="\n")' \
		> build/constraints.txt
	@mv build/constraints.txt constraints.txt && rm -r build/resolver build/resolved.json

clean:  ## remove .venv and everything that tools have left
	rm -rf $(VENV) node_modules build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

# A stamp is written when its step has succeeded, so an install that was cut short is taken up again by the next call.
# The first holds the path of the checkout: in a copy, or after a move, the environment is laid anew.
ifneq "$(shell cat $(VENV)/.made 2>/dev/null && $(PY) -c pass 2>&1)" "$(CURDIR)"
.PHONY: $(VENV)/.made
endif

$(VENV)/.made:
	@$(PY) -m pip --version >/dev/null 2>&1 || { \
		test -n "$(PYTHON)" \
			|| { echo "No Python 3.11 or newer found. Install one, or name it: make lab PYTHON=/path/to/python3.12"; exit 1; }; \
		"$(PYTHON)" $(NEW_ENOUGH) \
			|| { echo "The course needs Python 3.11 or newer; $(PYTHON) is not. Name another with PYTHON="; exit 1; }; \
		"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
			|| { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }; \
		echo "Making $(VENV) with $(PYTHON)"; \
		"$(PYTHON)" -m venv --clear $(VENV); }
	@$(PY) $(NEW_ENOUGH) \
		|| { echo "$(VENV) was made with a Python older than 3.11. Remove it (make clean) and call again"; exit 1; }
	@echo "$(CURDIR)" > $@

$(VENV)/.lessons $(VENV)/.test $(VENV)/.page $(VENV)/.teach: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing the course into $(VENV). The first time this takes minutes (torch alone is gigabytes on Linux)."
	$(PY) $(PIP) install --constraint constraints.txt --editable '.[$(patsubst .%,%,$(@F))]'
	@mkdir -p $(LAB_SETTINGS) && echo '$(NO_NEWS)' > $(LAB_SETTINGS)/overrides.json
	@touch $(VENV)/.lessons $@
