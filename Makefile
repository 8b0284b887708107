# `make lab` opens the course, `make test` proves that it works, `make help` lists the rest.
# Written for GNU make 3.81 (macOS) and newer. Everything that is installed lands in .venv; `make clean` takes it away.

unexport PYTHONDONTWRITEBYTECODE # or each of the processes that tests start compiles the package again

VENV := .venv
PY := $(VENV)/bin/python
PIP := -m pip --disable-pip-version-check
PYTEST := $(PY) -m pytest --nbval-lax --nbval-current-env
KEEPING := FRCNN_EDU_MADE="$(CURDIR)/build/tests"
UNLESS_SLOW := $(if $(filter yes,$(SLOW)),, and not slow)

# uv installs, the one on the PATH or one that pip fetches into .venv, in a fraction of pip's time; where it cannot (it does
# not read pip's settings, such as another index), pip does. Both take the versions in constraints.txt.
UV = $(shell command -v uv 2>/dev/null || command -v $(VENV)/bin/uv 2>/dev/null)
INSTALL = $(if $(UV),"$(UV)" pip install --python $(PY),$(PY) $(PIP) install)

# uv leaves compiling to the first start: JupyterLab is compiled while torch is fetched, so that it opens sooner then.
AHEAD = $(if $(UV),! $(INSTALL) --quiet --constraint constraints.txt jupyterlab || { $(PY) -m compileall -qq $(VENV)/lib & },:)

# The sizes of the pinned wheels, summed.
ifeq "$(shell uname -s)" "Linux"
SIZE := 3.2 GB, of which 3.0 GB are torch for NVIDIA GPUs; with the smaller torch of README.md (GPU and CPU), 0.4 GB
else
SIZE := 0.3 GB
endif

# The first Python on the PATH that is new enough; `make lab PYTHON=/path/to/python3.12` takes another.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'

OPENING = $(if $(PORT),--port $(PORT)) $(if $(filter no,$(BROWSER)),--no-browser)

.PHONY: help lab lint test page site bench notebooks data release grade constraints clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

lab: $(VENV)/.lessons  ## open the lessons in JupyterLab; PORT=8899 picks the port, BROWSER=no only prints the address
	@exec $(PY) -m frcnn_edu lab $(OPENING)

lint: $(VENV)/.test  ## check style, layers and types of Python and of the explorers' scripts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(PY) -m mypy --num-workers 2
	$(PY) tests/js/node_tools.py

# Those marked `slow` are of what few changes touch: grading, exports, the site, the wheel, real trainings. So are those
# that measure time, which run last and alone; pytest exits with 5 where ARGS picks no such test.
test: lint  ## lint, then unit, script, notebook and browser tests; ARGS="-k boxes" picks some, SLOW=yes takes the slow ones too
	@rm -rf build/tests
	$(KEEPING) $(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m "not timing$(UNLESS_SLOW)" $(ARGS) tests $(wildcard notebooks/*.ipynb)
ifdef UNLESS_SLOW
	@echo "The slow tests were left out; make test SLOW=yes runs them too, as .ci/run does."
else
	$(KEEPING) $(PYTEST) -m timing $(ARGS) $$(grep -lr --include='test_*.py' mark.timing tests) || test $$? -eq 5
endif

page: $(VENV)/.page  ## open a page to drop photographs on; WEIGHTS=runs/bccd answers with a detector of your own
	@exec $(PY) -m frcnn_edu page $(OPENING) $(if $(WEIGHTS),--weights "$(WEIGHTS)")

site: $(VENV)/.site  ## write the course as pages that need no Python, into build/site
	@$(PY) tests/js/node_tools.py install
	@exec $(PY) -m frcnn_edu site

bench: $(VENV)/.lessons  ## operators and whole model against torchvision, one table
	$(PY) -m benchmarks

notebooks: $(VENV)/.lessons  ## run every lesson and keep what it shows; LESSON=00_overview picks one
	$(PY) notebooks/execute.py $(LESSON)

data: $(VENV)/.lessons  ## train the shipped detector, its bugs and the sampling experiment again, from nothing, which takes long; files go to data/
	$(PY) -m frcnn_edu.course.shipped_detector
	$(PY) -m frcnn_edu.course.bug_zoo --out data/bug_zoo.json
	$(PY) -m frcnn_edu.course.sampling_experiment --out data/sampling.json
	$(PY) -m frcnn_edu.course.clinic --out data/clinic.json

release: $(VENV)/.teach  ## for teachers: make the student versions of the assignments; ASSIGNMENT=a5_project picks one
	$(PY) notebooks/assignments/course.py release $(ASSIGNMENT)

grade: $(VENV)/.teach  ## for teachers: grade what was handed in, write feedback and grades.csv
	$(PY) notebooks/assignments/course.py grade $(if $(filter yes,$(UNFENCED)),--unfenced) $(ASSIGNMENT)

# From 4.25 on, jsonschema's checks of addresses take a second to import, in each program of Jupyter.
constraints:  ## resolve every extra anew and write constraints.txt; run it with the oldest Python that is to work
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; name one: make $@ PYTHON=/path/to/python3.11"; exit 1; }
	@mkdir -p build && "$(PYTHON)" -m venv --clear build/resolver
	build/resolver/bin/python $(PIP) install --quiet --dry-run --report build/resolved.json '.[lessons,test,teach]' 'jsonschema<4.25'
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
		"$(PYTHON)" -m venv --clear $(VENV); \
		$(if $(UV),,$(PY) $(PIP) install --quiet uv || echo "uv could not be fetched; pip installs instead, which takes longer."); }
	@$(PY) $(NEW_ENOUGH) \
		|| { echo "$(VENV) was made with a Python older than 3.11. Remove it (make clean) and call again"; exit 1; }
	@echo "$(CURDIR)" > $@

$(VENV)/.lessons $(VENV)/.test $(VENV)/.page $(VENV)/.site $(VENV)/.teach: $(VENV)/.made pyproject.toml constraints.txt
	@if $(PY) -c 'import sys; from importlib.util import find_spec; sys.exit(not find_spec("torch"))'; \
		then echo "Installing into $(VENV) what is missing there; torch is there already."; \
		else echo "Installing the course into $(VENV). About to fetch $(SIZE)."; \
		echo "If this is interrupted, call it again: what $(if $(UV),uv,pip) has put into its cache is not fetched again."; \
		$(AHEAD); fi
	@wanted="--constraint constraints.txt --editable .[$(patsubst .%,%,$(@F))]"; \
		$(INSTALL) $$wanted || { echo "Trying once more with pip"; $(PY) $(PIP) install $$wanted; }
	@touch $(VENV)/.lessons $@
