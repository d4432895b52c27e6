# Two commands: `make demo` runs the main job on real input, `make test` checks everything.
SHELL := /bin/bash
PYTHON ?= python3

.PHONY: demo test fast fmt reference lock bench clean

demo: .venv/ready           ## a small real system, Mainstay on it, the first budgets, the page
	.venv/bin/mainstay demo $(DEMO)

test: .venv/ready-dev       ## lint, types, import contracts, every test
	tools/apt-for-tests.sh
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m pytest -n 3 --dist worksteal -m "not alone"
	.venv/bin/python -m pytest -m alone

fast: .venv/ready-dev       ## the tests that need no outer program
	.venv/bin/python -m pytest -n 2 -m "not server"

bench: .venv/ready-dev      ## the headline figures, each beside its rival
	for f in bench/*.py; do echo "== $$f"; .venv/bin/python $$f || exit 1; done

fmt: .venv/ready-dev
	.venv/bin/ruff check --fix .

reference: .venv/ready-dev  ## renew docs/reference from the code
	.venv/bin/python tools/reference.py

lock:                       ## renew the pinned dependencies
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra all pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra all --group dev pyproject.toml -o requirements-dev.lock

.venv/ready: requirements.lock pyproject.toml tools/setup.sh
	tools/setup.sh "$(PYTHON)" requirements.lock
	touch $@

.venv/ready-dev: requirements-dev.lock pyproject.toml tools/setup.sh
	tools/setup.sh "$(PYTHON)" requirements-dev.lock
	touch $@ .venv/ready

clean:
	rm -rf .venv .mypy_cache .ruff_cache build dist
