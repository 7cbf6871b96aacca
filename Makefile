# Two commands are enough: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FAULT ?= W01
FOR ?= 60s
# One more than there are cores: many tests wait for what they started.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

# A process that finds no compiled modules compiles them at every start, and the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench incidents dashboards reference lock system clean

demo: $(READY)
	$(BIN)/watchdog demo --fault $(FAULT) --for $(FOR)

test: $(READY) system
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m bench.poll
	$(BIN)/python -m bench.logs
	$(BIN)/python -m bench.notify
	$(BIN)/python -m bench.page
	$(BIN)/python -m bench.race
	$(BIN)/python -m bench.start

# Every way to stop working, and everything normal: docs/incidents.md, made anew (about half an hour).
incidents: $(READY) system
	$(BIN)/python -m tests.incident --write docs/incidents.md

# What Grafana and Prometheus are given, made anew from rules.yaml; the tests hold the files to it.
dashboards: $(READY)
	$(BIN)/watchdog export grafana --out grafana/dashboards
	$(BIN)/watchdog export prometheus --out prometheus/rules
	$(BIN)/watchdog export prometheus --tests --out prometheus/tests
	$(BIN)/watchdog export alertmanager > prometheus/alertmanager-pipeline.yml
	{ printf '%s\n' '# Made by `make dashboards` of prometheus/rules/watchdog.yml.' 'apiVersion: monitoring.coreos.com/v1' \
	  'kind: PrometheusRule' 'metadata:' '  name: pipeline-watchdog' 'spec:'; \
	  sed -n '/^groups:/,$$ { s/^\(.\)/  \1/; p }' prometheus/rules/watchdog.yml; \
	} > deploy/kubernetes/components/prometheus-operator/prometheusrule.yaml

# The reference, made anew from the code: pages, schema, man page and completions; the tests hold them to it.
reference: $(READY)
	$(BIN)/watchdog export reference --out docs/reference
	$(BIN)/watchdog export schema --out .
	$(BIN)/watchdog export man --out deploy/man
	$(BIN)/watchdog --show-completion bash > deploy/completions/watchdog.bash
	$(BIN)/watchdog --show-completion zsh > deploy/completions/_watchdog
	$(BIN)/watchdog --show-completion fish > deploy/completions/watchdog.fish

# What the tests need beside Python: real servers and a compiler. As root they are installed.
system:
	@sh tests/system-packages.sh

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (set PYTHON=…)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Needs uv. Hashes for every platform, no index addresses.
lock:
	uv pip compile --universal --generate-hashes --no-header --no-annotate --all-extras \
	  pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --no-header --no-annotate --constraint requirements.lock \
	  pyproject.toml -o deploy/requirements.lock
	echo hatchling | uv pip compile --universal --generate-hashes --no-header --no-annotate \
	  --constraint requirements.lock - -o deploy/docker/build.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
