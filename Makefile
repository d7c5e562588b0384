# Two commands do everything on a fresh machine: `make demo` and `make test`.
.PHONY: install demo test check soak format bench clean

BIN := .venv/bin
FAST := not sip and not sipp and not slow and not soak
# hundreds of processes are started from this source: let none compile it anew
export PYTHONDONTWRITEBYTECODE :=

# `make check test` runs the fast tests once
TESTS := $(if $(filter check,$(MAKECMDGOALS)),not soak and not ($(FAST)),not soak)

.venv/.demo: pyproject.toml tools/bootstrap.sh
	@tools/bootstrap.sh
	@touch $@

.venv/.dev: pyproject.toml tools/bootstrap.sh
	@tools/bootstrap.sh dev
	@touch $@ .venv/.demo

install: .venv/.dev  ## the package with every extra, in .venv

demo: .venv/.demo  ## place the tutorial's calls over loopback; look into build/demo afterwards
	$(BIN)/sipcore demo --output build/demo

check: .venv/.dev  ## format, lint, types, import rules, fast tests: under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 2 --dist worksteal -m "$(FAST)"

test: .venv/.dev  ## every test, real SIP and RTP over loopback included
	@tools/install-test-tools.sh
	$(BIN)/pytest -q -n 3 --dist worksteal -m "$(TESTS)"

soak: .venv/.dev  ## long floods and many calls; minutes
	@tools/install-test-tools.sh
	$(BIN)/pytest -m soak

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev  ## speed and memory; see benchmarks/README.md
	$(BIN)/python benchmarks/outbound.py --calls 64 --seconds 20 --rounds 3
	$(BIN)/python benchmarks/outbound.py --calls 150 --seconds 20 --rounds 3
	$(BIN)/python benchmarks/bridge.py --rounds 5 --seconds 10
	$(BIN)/python benchmarks/idle.py --workers 8 --seconds 60 --legs 32
	$(BIN)/python benchmarks/http_calls.py
	$(BIN)/python benchmarks/http_listing.py
	$(BIN)/python benchmarks/report.py --output build/bench/figures.md --plot build/bench/deviation.svg

clean:
	rm -rf build .venv .mypy_cache .ruff_cache .hypothesis
