# `make .venv` installs what the lock pins, in its own virtual environment; every other target needs it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow simulations study-test cluster-test fuzz lint calibration discrepancy notebooks lock clean

.venv: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: .venv  ## synthetic scenes -> tars -> cache -> probes -> report
	$(BIN)/foresight demo --out demo

test: .venv  ## the tests, on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow and not study and not simulation and not cluster"

slow: .venv  ## tests that take long by nature
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

simulations: .venv  ## the slow tests that draw, kill or interleave, many times more often; pages of numbers
	$(BIN)/python -m pytest -n auto --dist worksteal -m simulation

study-test: .venv  ## studies on planted caches, from twenty seeds each: the right verdict in all
	$(BIN)/python -m pytest -n auto --dist worksteal -m "study or slow" tests/probes/studies

cluster-test: .venv  ## work on a Ray cluster of two nodes, while workers and nodes die, come and hang
	$(BIN)/python -m pytest -m "cluster or slow" tests/pipelines/launchers

fuzz: .venv  ## damaged and hostile inputs alone, four times as many, with what became of them, and their sum
	FORESIGHT_FUZZ=all $(BIN)/python -m pytest -s tests/cache/fuzz tests/probes/fuzz

lint: .venv  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

calibration: .venv  ## every probe on planted caches, and the table of it for the release; hours
	$(BIN)/foresight calibrate --out calibration
	$(BIN)/python -m pipelines.calibration_release calibration

# MODEL and LPIPS name a folder of weights each, where there is no network.
discrepancy: .venv  ## the first probes of the studies, one thing changed at a time, and the table of it in the documentation
	$(BIN)/foresight discrepancy --out discrepancy $(if $(MODEL),--model $(MODEL)) $(if $(LPIPS),--lpips-weights $(LPIPS))
	$(BIN)/python -m pipelines.discrepancy_release discrepancy

notebooks: .venv  ## run the notebooks of docs/notebooks and keep what they show
	$(BIN)/python -m tests.support.notebooks

lock:  ## compile the lock anew; needs uv
	uv pip compile --universal --python-version 3.11 --extra dev --no-emit-index-url --no-emit-find-links \
		--no-annotate --no-header pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv demo calibration discrepancy build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
