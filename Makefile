# The verbs of the project; CI calls the same ones. Needs Python 3.11+ and Node 20+, nothing else.
.DEFAULT_GOAL := help
.PHONY: help setup demo run cli cli-tenants plan-size cli-reference prose test unit integration e2e page-test screenshots scenarios restore-check check audit bench size simulation soak faults attack fuzz histories moves engines conformance conformance-graph blind mutants trace openapi openapi-check clean runtime-check moves-stack

PYTHON ?= $(shell local/find-python.sh)
VENV := .venv
BIN := $(VENV)/bin
# Compiled modules are kept whatever the shell says: every worker of every stack imports the same ones.
unexport PYTHONDONTWRITEBYTECODE
MEMBERS ?= 2000
SCALE ?= 4
SEED ?= 1
PACKAGE_VERSION ?= 3.13
PACKAGE_PYTHON ?= $(shell local/find-python.sh $(PACKAGE_VERSION))

help:
	@echo "make demo    start everything on this machine, license a group (MEMBERS=$(MEMBERS) SCALE=$(SCALE) SEED=$(SEED))"
	@echo "make run     keep the stack up; prints endpoints and one JSON line"
	@echo "make cli     build the wheel of the command line into .local/cli; make setup installs it into $(VENV)"
	@echo "make test    install what is needed; unit tests, each adapter against its emulator, a journey of each kind"
	@echo "make unit    the unit tests alone"
	@echo "make page-test  the tests of the page; fails without Chromium, where make test skips them"
	@echo "make screenshots  a picture of every view, light, dark and on a phone (SCREENSHOTS_OPTIONS=--docs renews those of the documents)"
	@echo "make scenarios  the rest: kills, races, faults that last, hostile and made-up input, a short simulation"
	@echo "make check   formatter, linter, types, import rules, Bicep, shell, English, API description"
	@echo "make prose   long sentences and words to avoid (PROSE_OPTIONS=--list shows all)"
	@echo "make runtime-check  run the app in Azure's own Python runtime; needs Python 3.13"
	@echo "make audit   known vulnerabilities of what is deployed; needs the internet"
	@echo "make package build the deployment package (PACKAGE_PYTHON=$(PACKAGE_PYTHON)); make package-check runs it in Azure's runtime"
	@echo "make bench   measure, side by side with what one would otherwise write"
	@echo "make size    groups of growing size: time, requests, rows, memory (SIZE_OPTIONS='--sizes 1000,5000,20000')"
	@echo "make simulation  seeded histories of faults, kills, doubles and delays in one process"
	@echo "make soak    thousands of changes of membership: notifications alone, delta alone, every fault"
	@echo "make faults  everything that can break, broken for a while while work is under way"
	@echo "make attack  everything that an attacker can try, with or without a role (ATTACK_OPTIONS='--load --runs 3' measures under load)"
	@echo "make mutants  small errors in the license rules that a unit test must notice (MODULE=plan; some minutes each)"
	@echo "make conformance  the queue tests that azure-servicebus ships, against the emulator (some ten minutes)"
	@echo "make conformance-graph  the simulated tenant against the recordings of first-contact runs"
	@echo "make blind   random switches of the simulated tenant, which the first-contact check must identify"
	@echo "make cli-tenants  a thousand random tenants: a plan of the command line is what happens (CLI_TENANTS, CLI_SEED)"
	@echo "make plan-size  files of 200 groups with 100,000 members, planned twice (PLAN_SIZE_OPTIONS='--groups 20 --members 10000')"
	@echo "make fuzz    thousands of requests made from the API's description"
	@echo "make histories  thousands of random histories of HR's statements (HISTORIES_OPTIONS=--hypothesis-seed=1)"
	@echo "make moves   random moves between native and direct licensing, and a kill at every write (MOVES, MOVES_SEED)"
	@echo "make engines  the same random histories under the direct and the native engine, which end equal (ENGINES, ENGINES_SEED)"
	@echo "make moves-stack  a group moves there and back on the stack, native licensing late, workers killed (MEMBERS, SEED, KILLS)"
	@echo "make trace   modules that a message passes through, and returns (TRACE_OPTIONS='--path' or '--counts')"
	@echo "make openapi-check  the API's description by the recommended rules of Redocly CLI and Spectral"
	@echo "make openapi  write the API's description to docs/openapi.json"
	@echo "make restore-check  lose the tables, restore them from an old file, and see that no license changes"
	@echo "make clean   remove what was installed and written"

setup: $(VENV)/.installed local/node_modules/.installed

$(VENV)/.installed: requirements.in requirements-dev.txt cli/pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed (looked for python3, python3.11 to python3.13)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages, which takes a few minutes ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable ./cli
	@touch $@

local/node_modules/.installed: local/package.json local/package-lock.json
	@command -v npm >/dev/null || { echo "Node 20 or newer with npm is needed for Azurite; npm was not found"; exit 1; }
	@node -e 'if (+process.versions.node.split(".")[0] < 20) { console.log("Node 20 or newer is needed for Azurite, found " + process.version); process.exit(1) }'
	@echo "Installing Azurite ..."
	@cd local && npm ci --silent --no-audit --no-fund
	@touch $@

demo: setup
	@$(BIN)/python -m local.demo --members $(MEMBERS) --scale $(SCALE) --seed $(SEED)

run: setup
	@$(BIN)/python -m local.run $(RUN_OPTIONS)

# The command line is a package of its own: uv tool install ./cli, or pipx install ./cli.
cli: setup
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir .local/cli ./cli
	@ls .local/cli/*.whl

# Files are shared out among processes, since most of their time is waiting: for stacks to start, locks, pauses. Those
# that take longest come first. COVERAGE=1 measures lines of shared/ and functions/, by the unit tests only: in stacks,
# whose processes are killed, it would take longer than it tells.
SPREAD := --dist loadfile --no-loadscope-reorder
COVER := $(if $(COVERAGE),--cov=shared --cov=functions --cov-report=term:skip-covered)

test: unit
	$(BIN)/python -m pytest -n 4 $(SPREAD) tests/e2e tests/integration

unit: setup
	$(BIN)/python -m pytest -n 2 $(COVER) tests/unit

integration: setup
	$(BIN)/python -m pytest -n 4 $(SPREAD) tests/integration

e2e: setup
	$(BIN)/python -m pytest -n 4 $(SPREAD) tests/e2e

page-test: setup
	REQUIRE_BROWSER=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/e2e/test_page*.py

# Pictures of every view in .local/screenshots; needs Chromium.
screenshots: setup
	$(BIN)/python -m tests.screenshots $(SCREENSHOTS_OPTIONS)

# A restore is rehearsed against Azurite. Part of make integration too.
restore-check: setup
	$(BIN)/python -m pytest tests/integration/test_restore.py

# What a change of behavior breaks rarely and badly; beside make test it is the rest of what CI runs.
scenarios: setup
	$(BIN)/python -m pytest -n 4 $(SPREAD) tests/scenarios/stack tests/scenarios

check: setup openapi-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m infra.check
	$(BIN)/shellcheck infra/scripts/*.sh
	$(BIN)/python -m tests.prose

# English: long sentences and words to avoid, by tests/prose/words.json.
prose: setup
	@$(BIN)/python -m tests.prose $(PROSE_OPTIONS)

# What is deployed, against the vulnerabilities that PyPI knows. Strict: what could not be looked up is no pass.
audit: .venvaudit/.installed
	.venvaudit/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements.txt

.venvaudit/.installed:
	@test -n "$(PYTHON)" && $(PYTHON) -m venv .venvaudit
	@.venvaudit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@touch $@

# After a change of the API; a test holds the file to what the app serves.
openapi: setup
	$(BIN)/python -m functions.web.contract > docs/openapi.json

# After a change of the commands; a test compares the file.
cli-reference: setup
	@$(BIN)/python -m seatkeeper.reference > docs/reference/cli.md

# The description of the API, by the recommended rules of two checkers. Their packages are apart from those of the stack,
# so that make setup stays short.
openapi-check: tests/openapi/node_modules/.installed
	@cd tests/openapi && REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --no-install redocly lint --config redocly.yaml ../../docs/openapi.json
	@cd tests/openapi && npx --no-install spectral lint --fail-severity=warn --ruleset spectral.yaml ../../docs/openapi.json

tests/openapi/node_modules/.installed: tests/openapi/package.json tests/openapi/package-lock.json
	@echo "Installing Redocly CLI and Spectral ..."
	@cd tests/openapi && npm ci --silent --no-audit --no-fund
	@touch $@

bench: setup
	$(BIN)/python -m tests.bench $(BENCH_OPTIONS)

size: setup
	$(BIN)/python -m tests.size $(SIZE_OPTIONS)

simulation: setup
	$(BIN)/python -m tests.simulation $(SIMULATION_OPTIONS)

# Thousands of requests made from the API's description; make scenarios makes some hundreds.
fuzz: setup
	FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),150) $(BIN)/python -m pytest -n 2 tests/scenarios/test_api_fuzz.py

# Random histories of HR's statements; make scenarios runs some that are the same each time. They have no time limit.
histories: setup
	HR_EXAMPLES=$(or $(HR_EXAMPLES),2000) $(BIN)/python -m pytest -n 0 --timeout=0 tests/scenarios/test_hr_oracle.py $(HISTORIES_OPTIONS)

# Random moves of groups between native and direct licensing; make scenarios plays a few with fixed seeds.
moves: setup
	MOVES=$(or $(MOVES),200) MOVES_SEED=$(or $(MOVES_SEED),1) $(BIN)/python -m pytest -n 2 --timeout=0 tests/scenarios/test_moves.py

# The same random histories with the direct and the native engine; make scenarios plays 20 with fixed seeds.
engines: setup
	ENGINES=$(or $(ENGINES),1000) ENGINES_SEED=$(or $(ENGINES_SEED),1) $(BIN)/python -m pytest -n 2 --timeout=0 tests/scenarios/test_engines.py

# On the whole stack, judged from the tenant's own log. MEMBERS=60000 takes hours; make scenarios plays 60 members.
moves-stack: setup
	$(BIN)/python -m tests.move_stack --members $(if $(filter file,$(origin MEMBERS)),500,$(MEMBERS)) --seed $(SEED) --kills $(or $(KILLS),20) $(MOVES_STACK_OPTIONS)

# Random tenants against the command line: a plan is what happens, or it is rejected. make scenarios plays 50.
cli-tenants: setup
	CLI_TENANTS=$(or $(CLI_TENANTS),1000) CLI_SEED=$(or $(CLI_SEED),1000) $(BIN)/python -m pytest -n 2 tests/scenarios/test_cli_tenants.py

# Files of many groups against a stack of its own: the same bytes twice, the right number of licenses, and the time.
plan-size: setup
	$(BIN)/python -m tests.plan_size $(PLAN_SIZE_OPTIONS)

conformance: setup
	$(BIN)/python -m tests.conformance $(CONFORMANCE_OPTIONS)

conformance-graph: setup
	$(BIN)/python -m tests.graph_conformance $(CONFORMANCE_GRAPH_OPTIONS)

# The check does not know the drawn positions. make scenarios plays 20 draws; --draws 500 takes about 25 minutes.
blind: setup
	$(BIN)/python -m tests.blind $(BLIND_OPTIONS)

# Takes some minutes for each module; a run that was stopped continues where it was.
mutants: setup
	$(BIN)/python -m tests.mutants $(MODULE) $(MUTANTS_OPTIONS)

faults: setup
	$(BIN)/python -m tests.faults $(FAULTS_OPTIONS)

soak: setup
	$(BIN)/python -m tests.soak $(SOAK_OPTIONS)

attack: setup
	$(BIN)/python -m tests.attack $(ATTACK_OPTIONS)

# How far a value travels through the code; run before and after a change of structure.
trace: setup
	@$(BIN)/python -m tests.trace $(TRACE_OPTIONS)

# Azure's own Python runtime, which exists for Python 3.13 and newer only.
runtime-check: .venv313/.installed
	.venv313/bin/python -m pytest -p no:cacheprovider --confcutdir=tests/runtime tests/runtime

.venv313/.installed: requirements.in
	@PYTHON313="$$(local/find-python.sh 3.13)"; test -n "$$PYTHON313" || { echo "No Python 3.13 that runs was found (PYTHON313, python3.13, pyenv)"; exit 1; }; \
	"$$PYTHON313" -m venv .venv313 && \
	.venv313/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.in azure-functions-runtime==1.3.0 pytest==9.2.0 pytest-asyncio==1.5.0 pytest-timeout==2.4.0
	@touch $@

# What is deployed, for the Python that builds it: .local/package/app.zip.
.PHONY: package package-check lock
package:
	@test -n "$(PACKAGE_PYTHON)" || { echo "No Python $(PACKAGE_VERSION) that runs was found, the version that the app will have; give PACKAGE_PYTHON"; exit 1; }
	@$(PACKAGE_PYTHON) -m infra.package .local/package

# The package unpacked in an empty folder, in Azure's own Python runtime; the environment has no package of the app's.
package-check: .venvpackage/.installed local/node_modules/.installed
	rm -rf .local/unpacked && mkdir -p .local/unpacked
	@$(PACKAGE_PYTHON) -m zipfile -e .local/package/app.zip .local/unpacked
	cd .local/unpacked && APP_FOLDER="$$PWD" PYTHONPATH="$$PWD:$$PWD/.python_packages/lib/site-packages" PYTHONDONTWRITEBYTECODE=1 \
	  ../../.venvpackage/bin/pytest -p no:cacheprovider --import-mode=importlib --confcutdir=../../tests/runtime ../../tests/runtime

.venvpackage/.installed:
	@test -n "$(PACKAGE_PYTHON)" && $(PACKAGE_PYTHON) -m venv .venvpackage
	@.venvpackage/bin/python -m pip install --quiet --disable-pip-version-check azure-functions-runtime==1.3.0 pytest==9.2.0 pytest-asyncio==1.5.0 pytest-timeout==2.4.0
	@touch $@

# After a change of requirements.in; needs uv, for nothing else.
lock:
	@{ sed -n '/^#/p;/^#/!q' requirements.txt; uv pip compile requirements.in --universal --python-version 3.11 --generate-hashes --no-header --quiet; } > .requirements.txt
	@mv .requirements.txt requirements.txt

clean:
	rm -rf $(VENV) .venv313 .venvpackage .venvaudit local/node_modules .local bench-results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
