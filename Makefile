# make demo   corpus, training, evaluation, picture   -> runs/demo/
# make test   lint, types, tests, every notebook
# make quick  the tests that need no corpus, voices, films, run or browser: about a minute on two cores
# make fuzz kill    2,700 broken inputs; every command killed at random moments -> benchmarks/fuzz.md, kills.md
# make mutation     small changes of the code, and whether the tests notice -> benchmarks/mutation*.md
# make lab    JupyterLab on notebook 00
# make slides site student    three views of the notebooks -> build/
# make grade FOLDER=handed-in   run students' notebooks, collect the verdicts of the self-checks -> a table, grades.csv
# make live     the page where the networks look and listen -> build/live/ (needs npm); `dsel live` opens it
# make docs     every generated piece of README.md, docs/ and benchmarks/README.md; the Colab link, first cell and slides of every notebook
# make pictures   the figures of docs/results.md (needs Chromium)
# make hero     the moving picture of README.md
# make stills   a picture of every figure into the notebooks, for GitHub: after a notebook has been run (needs Chromium)
# make browser colab    every notebook in JupyterLab, as deck and as page; a bare notebook with Colab's versions
# make lowest newest   the tests with the lowest versions that pyproject.toml allows; with the newest there are
# make package   wheel and sdist -> build/dist/; the wheel is installed alone and tried
# make reference pages   the reference of the package; the whole site, as it is published -> build/
# make lock   uv.lock: the exact version of every dependency, for `uv sync`
# make licences  the licence of every installed dependency
# Each builds .venv by itself; a bare Python 3.10 or newer is enough.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
COMMA := ,
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# uv does not read pip's list of local wheel folders.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: demo test quick lint pytest fuzz kill mutation nbval lab slides site student grade live site-live site-slides docs pictures hero stamp stills browser colab clean \
  lowest newest package reference pages licences lock

demo: $(VENV)/.demo
	$(BIN)/python -m dsel demo --out runs/demo

test: lint pytest nbval

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy

# Which lines of dsel the tests run is printed at the end. sys.monitoring, from Python 3.12 on, costs nearly nothing.
pytest: $(VENV)/.test
	export COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")'); \
	OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest tests -m "not slow" -n 2 --dist loadgroup; status=$$?; \
	$(BIN)/python -m coverage combine -q; $(BIN)/python -m coverage report; exit $$status

quick: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m "not slow and not heavy and not browser" -n 2 --dist loadgroup

fuzz: $(VENV)/.test
	PYTHONPATH=.:tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz.run

kill: $(VENV)/.test
	PYTHONPATH=.:tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz.kills
	$(BIN)/python benchmarks/kill.py

mutation: $(VENV)/.test
	$(BIN)/python benchmarks/mutation.py
	$(BIN)/python benchmarks/mutation_code.py

nbval: $(VENV)/.test
	DSEL_TIER=fast OMP_NUM_THREADS=1 $(BIN)/python -m pytest notebooks --nbval-lax --nbval-current-env --nbval-cell-timeout=300 \
	  -n 2 --dist loadfile --durations=20

lab: $(VENV)/.lab
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_start_here.ipynb

slides site student: $(VENV)/.test
	$(BIN)/python tools/views.py $@

grade: $(VENV)/.test
	$(BIN)/python tools/grade.py "$(FOLDER)"

live: $(VENV)/.test
	$(BIN)/python tools/live.py

site: site-live site-slides
site-live: $(VENV)/.test
	$(BIN)/python tools/live.py --out build/site/live --optional
site-slides: $(VENV)/.test
	$(BIN)/python tools/views.py slides --out build/site/slides

docs: $(VENV)/.test
	$(BIN)/python tools/docs.py

pictures: $(VENV)/.test
	$(BIN)/python tools/verdict_page.py

hero: $(VENV)/.test
	$(BIN)/python tools/hero.py

stamp: $(VENV)/.uv
	$(BIN)/python tools/stamp.py

stills: $(VENV)/.test
	$(BIN)/python tools/stills.py

browser: $(VENV)/.test
	DSEL_BROWSER=all OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/notebooks/test_browser.py -x

colab: $(VENV)/.test
	$(BIN)/python -m pytest tests/notebooks/test_colab.py -m slow

# Installs in a folder of its own, so that .venv stays as it is. $(1): what uv is told.
define alone
	rm -rf build/$@
	$(PYTHON) -m venv build/$@
	$(subst $(VENV),build/$@,$(BIN))/python -m pip install -q uv
	$(subst $(VENV),build/$@,$(BIN))/uv pip install -q --python $(subst $(VENV),build/$@,$(BIN))/python $(1) -e '.[speech,faces,lab,views,test]'
endef

lowest:
	$(call alone,--resolution lowest-direct)
	OMP_NUM_THREADS=1 $(subst $(VENV),build/$@,$(BIN))/python -m pytest tests -m "not slow and not browser" -n 2 --dist loadgroup

newest:
	$(call alone,--upgrade)
	OMP_NUM_THREADS=1 $(subst $(VENV),build/$@,$(BIN))/python -m pytest tests -m "not slow and not browser" -n 2 --dist loadgroup
	DSEL_TIER=fast OMP_NUM_THREADS=1 $(subst $(VENV),build/$@,$(BIN))/python -m pytest notebooks --nbval-lax --nbval-current-env \
	  --nbval-cell-timeout=300 -n 2 --dist loadfile

package: $(VENV)/.uv
	rm -rf build/dist build/lib build/bdist*
	$(BIN)/uv build -q --out-dir build/dist
	$(BIN)/python tools/try_wheel.py build/dist

reference: $(VENV)/.reference
	$(BIN)/python tools/reference.py

pages: site reference
	rm -rf build/pages
	cp -r build/site build/pages
	cp -r build/reference build/pages/reference
	$(BIN)/python tools/views.py site --out build/pages  # now its first page links the reference, too

licences: $(VENV)/.reference
	$(BIN)/pip-licenses --python $(BIN)/python --order license

lock: $(VENV)/.uv
	$(BIN)/python tools/lock.py

$(VENV)/.uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv
	touch $@

define install
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[$(1)]'
	touch $@
endef

$(VENV)/.demo: $(VENV)/.uv pyproject.toml constraints.txt
	$(call install,speech$(COMMA)faces)

$(VENV)/.test: $(VENV)/.uv pyproject.toml constraints.txt
	$(call install,speech$(COMMA)faces$(COMMA)lab$(COMMA)views$(COMMA)export$(COMMA)test)
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps sphinx-revealjs==3.2.1  # reveal.js in a wheel; Sphinx is not needed
	touch $@

$(VENV)/.reference: $(VENV)/.test
	$(call install,speech$(COMMA)faces$(COMMA)lab$(COMMA)views$(COMMA)test$(COMMA)reference)

$(VENV)/.lab: $(VENV)/.uv pyproject.toml constraints.txt
	$(call install,speech$(COMMA)faces$(COMMA)lab)



clean:
	rm -rf $(VENV) runs build
