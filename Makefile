# Two commands set everything up: `make demo` and `make test`. Neither needs root or Docker.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
VENV2 := .venv-duckdb2

# Four processes for two cores, because tests often wait for a broker. They share one Kafka; each has its own browser.
WORKERS := --numprocesses 4 --dist worksteal
# Every test that needs no broker, no browser, no PostgreSQL and no process of its own. tests/conftest.py marks the others.
QUICK := --numprocesses 4 --dist worksteal -m "not broker and not browser and not postgresql and not process and not faults"

# The tests start thousands of processes. Without this each one would compile the code again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo demo-lake demo-site pictures outputs check faults simulate mutants test test-duckdb2 lint kafka bench lock clean

install: $(VENV)/installed

# Hashes ensure that the tested packages are installed. Without build isolation nothing else is downloaded.
$(VENV)/installed: requirements/all.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "matterlog needs Python 3.11 or later. Name one, such as: make PYTHON=python3.12 install")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/all.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install
	$(BIN)/matterlog demo

# The same on DuckLake: a PostgreSQL of its own and a folder for the files. Both are gone when it ends, the extracts stay.
demo-lake: install
	$(BIN)/python -m testbed.lake_demo

# The admin site with the demo's data and an account whose password is generated and printed. Ctrl-C stops it. If port
# 8080 is in use: make demo-site PORT=8081.
demo-site: demo
	@rm -f demo/matterlog.duckdb.accounts*
	@password=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(12))') && \
		echo "$$password" | $(BIN)/matterlog accounts add demo --role administrator --database demo/matterlog.duckdb && \
		echo "Open http://127.0.0.1:$(PORT)/ and sign in as demo with the password $$password" && \
		echo "The Activity report is the last one under Reports. Press Ctrl-C to stop the site."
	$(BIN)/matterlog serve --no-consumer --port $(PORT) --database demo/matterlog.duckdb

# The pictures of docs/guide.md whose pages have changed. With fonts for every script (Debian: fonts-noto-core,
# fonts-noto-cjk), or names of the demo become boxes. ALL=1 takes every picture again.
pictures: install
	$(BIN)/python -m tests.report.web.guide $(if $(ALL),--all)

# What the commands of docs/commands.md print now, where it is not what the document shows. Look at the changes.
outputs: install
	WRITE_OUTPUTS=1 $(BIN)/python -m pytest --numprocesses 0 tests/app/commands/test_commands_shown.py

check: lint
	$(BIN)/python -m pytest $(QUICK)

# The tests that kill processes or make random histories, for up to a night. TESTS="-k kill" runs some of them.
faults: install
	MATTERLOG_TEST_BUDGET=large $(BIN)/python -m pytest $(WORKERS) -m faults --timeout 14400 $(TESTS)

# Simulations of the consumer's core: SEEDS of them from FIRST on. KEEP plays some actions only, as a report names them.
SEEDS ?= 2000
FIRST ?= 0
simulate: install
	$(BIN)/python -m tests.faults.simulator --first $(FIRST) --seeds $(SEEDS) --jobs 2 $(if $(KEEP),--keep $(KEEP))

test: install
	$(BIN)/python -m pytest $(WORKERS)

# The same tests on DuckDB 2, for which there is no DuckLake: those with a lake are skipped.
test-duckdb2: $(VENV2)/installed
	$(VENV2)/bin/python -m pytest $(WORKERS)

$(VENV2)/installed: requirements/all.lock requirements/duckdb2.lock pyproject.toml
	$(PYTHON) -m venv $(VENV2)
	$(VENV2)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/all.lock
	$(VENV2)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(VENV2)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements/duckdb2.lock
	@touch $@

# Plants each fault of tests/mutants/ in a copy of the code. The test that the fault names must fail.
mutants: install
	$(BIN)/python -m tests.mutants

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Runs a real Apache Kafka on 127.0.0.1:9092 in the foreground. Ctrl-C stops it.
kafka: install
	$(BIN)/python -m testbed.apache_kafka --port 9092

bench: install
	$(BIN)/python -m benchmarks

# Needs uv. Writes the pins from pyproject.toml again: all packages, then those that a service needs at run time, with a
# database file or on a lake.
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --extra site pyproject.toml
lock:
	$(UV_COMPILE) --extra lake --group dev --group build --constraints requirements/constraints.txt \
		--output-file requirements/all.lock
	$(UV_COMPILE) --extra lake --constraints requirements/all.lock --output-file requirements/service.lock

clean:
	rm -rf $(VENV) $(VENV2) demo .mypy_cache .ruff_cache .pytest_cache
