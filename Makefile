# The commands of the README. Everything happens in .venv, with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# Two files of tests or notebooks at a time, each on one thread; the larger the machine, the more, up to four.
TOGETHER := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# One folder of caches for tests and demo: set REID_LAB_HOME to move it.

.PHONY: demo test lint lab notebooks student instructor slides site site-browser pages browser proof everywhere bench clean

demo: .venv/ready
	$(BIN)/python -m reid_lab demo

test: .venv/ready lint
	$(BIN)/python -m pytest $(TOGETHER) -p no:nbval
	$(BIN)/python -m pytest $(TOGETHER) --nbval notebooks

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: .venv/ready
	$(BIN)/jupyter lab --ip=127.0.0.1 --notebook-dir=notebooks

notebooks: .venv/ready
	$(BIN)/python notebooks/run.py

# What students get: no result before it is predicted, no solutions. Leaves runs/student.
student: .venv/ready
	$(BIN)/python notebooks/student.py

# What graders get: solutions and keys, as a course for nbgrader. Leaves runs/instructor.
instructor: .venv/ready
	$(BIN)/python notebooks/student.py --instructor

# Headings, pictures, predictions and outcomes of every notebook, for a projector. Leaves runs/slides.
slides: .venv/ready
	$(BIN)/python notebooks/slides.py

# The course as a web site: notebooks, results, reference, search. Leaves runs/site/html.
site: .venv/site
	$(BIN)/python site/build.py

# Every page of that site in a real browser. Needs Chromium or Chrome on PATH, and is skipped without.
site-browser: site .venv/browser
	$(BIN)/python site/in_browser.py

# Every notebook in JupyterLab in a real browser. Needs Chromium or Chrome on PATH, and is skipped without.
browser: .venv/browser
	$(BIN)/python notebooks/in_browser.py

# Bugs, planted one at a time in a copy of the package: which notebook and which test notices? Takes two hours.
proof: .venv/ready
	$(BIN)/python tests/proof/plant.py
	$(BIN)/python tests/proof/plant_devices.py

# Tests and notebooks as older processors would run them, with one thread and with two. Takes hours; goes on where it was.
everywhere: .venv/ready
	$(BIN)/python tests/everywhere.py

bench: .venv/ready
	for file in benchmarks/[a-z]*.py; do $(BIN)/python $$file || exit 1; done

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[course,dev,faiss,export,tensorboard]' --constraint constraints.txt
	touch .venv/ready

.venv/browser: .venv/ready
	$(BIN)/python -m pip install --quiet --editable '.[browser]' --constraint constraints.txt
	touch .venv/browser

# Tests of that site and of the page of `reid-lab app`, which `make test` skips: they need what nothing else does.
pages: .venv/site .venv/app .venv/browser
	$(BIN)/python -m pytest -p no:nbval tests/site tests/app

.venv/app: .venv/ready
	$(BIN)/python -m pip install --quiet --editable '.[app]' --constraint constraints.txt
	touch .venv/app

.venv/site: .venv/ready
	$(BIN)/python -m pip install --quiet --editable '.[site]' --constraint constraints.txt
	touch .venv/site

clean:
	rm -rf .venv runs .pytest_cache .ruff_cache .mypy_cache
