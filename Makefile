# Everything a person or CI calls. `make` alone lists the targets.
# The virtual environment is made on demand: no target needs a manual step before it.

SHELL := bash
.SHELLFLAGS := -eo pipefail -c
PYTHON ?=
BIN := .venv/bin
# The packages without input and output, under `mypy --strict`; keep in step with `pure` in .importlinter.
PURE := parley agents orchestrator strategies arbitrage
SHELLS := venues freqtrade_bridge backtest runtime api tools $(wildcard benchmarks)

.DEFAULT_GOAL := help
.PHONY: help setup run test check format bench bench-round bench-orders bench-data bench-shipper bench-api bench-backtest bench-desk bench-book bench-kill paper-hour fuzz-freqtrade hostile chaos chaos-mutants chaos-long chaos-full long

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make or update .venv (quick when nothing changed)
	@PYTHON="$(PYTHON)" tools/setup.sh

run: setup ## start everything: exchange, database, Ray with an actor per agent, desk, shipper, API on 127.0.0.1:8000
	@$(BIN)/parley up

test: setup ## all suites in their short form, each with a printed time budget (SUITE="unit kill" for some)
	@$(BIN)/python -m tools.run_suites $(SUITE)

check: setup ## lint, format, types, import contracts, sizes, migrations, architecture tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet . || { echo "check: run 'make format'" >&2; exit 1; }
	$(BIN)/mypy --strict --no-warn-unused-configs --cache-dir .mypy_cache/strict $(PURE)
	$(BIN)/mypy --cache-dir .mypy_cache/normal $(SHELLS)
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m tools.check_sizes
	$(BIN)/python -m tools.check_migrations
	$(BIN)/python -m pytest -q tests/architecture

format: setup ## format the code and sort the imports
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

bench: bench-round bench-orders bench-data bench-shipper bench-api bench-backtest bench-desk bench-book bench-kill ## all benchmarks

bench-round: setup ## time of a negotiation round
	@$(BIN)/python -m benchmarks.bench_round

bench-orders: setup ## from a market event to the order at the exchange, over real sockets, and the checks before it
	@$(BIN)/python -m benchmarks.bench_orders

bench-data: setup ## importing and scanning market data, against pyarrow and pandas
	@$(BIN)/python -m benchmarks.bench_data

bench-api: setup ## requests of the API beside a running desk
	@$(BIN)/python -m benchmarks.bench_api

bench-shipper: setup ## how fast journals reach PostgreSQL
	@$(BIN)/python -m benchmarks.bench_shipper

bench-desk: setup ## a year of ten pairs with three freqtrade strategies at the desk, and a recorded crash (ONLY=year)
	@$(BIN)/python -m benchmarks.bench_desk $(addprefix --only ,$(ONLY))

bench-backtest: setup ## our backtest beside freqtrade's, same strategies and data (ONLY="loop memory", QUICK=1, VECTORBT=PYTHON)
	@$(BIN)/python -m benchmarks.backtest_vs_freqtrade $(addprefix --only ,$(ONLY)) $(if $(QUICK),--quick) $(if $(VECTORBT),--vectorbt-python $(VECTORBT))

bench-book: setup ## changes of order book levels per second on the recorded books, beside ccxt's book
	@$(BIN)/python -m benchmarks.bench_book

bench-kill: setup ## the kill switch, and a killed gateway that its spare follows (ONLY=switch or spare, SAVE=1)
	@$(BIN)/python -m benchmarks.bench_kill $(addprefix --only ,$(ONLY)) $(if $(SAVE),--save)

paper-hour: setup ## an hour of paper by the clock with injected divergences, each of which must be attributed
	@$(BIN)/python -m benchmarks.paper_hour --save

fuzz-freqtrade: setup ## random backtests against the installed freqtrade up to N=1000 a level, going on where the last run ended
	@$(BIN)/python -m tests.differential.fuzz --results benchmarks/results/fuzz_freqtrade.json --kept var/differential --cases $(or $(N),1000) --seed $(or $(SEED),1) $(if $(LEVEL),--level $(LEVEL))

hostile: setup ## half an hour of live trading at an exchange with every hostility there is (VENUE=binance)
	@$(BIN)/python -m benchmarks.hostile_half_hour --venue $(or $(VENUE),binance) --save

chaos: setup ## kill desk and gateway for SECONDS=180 on the way of orders; a stand-alone program judges
	@$(BIN)/python -m tests.chaos.campaign --seconds $(or $(SECONDS),180) $(if $(SEED),--seed $(SEED)) --keep var/chaos

chaos-mutants: setup ## gateways that break the protocol: each must be caught within 300 kills
	@$(BIN)/python -m tests.chaos.campaign --mutants --results benchmarks/results/chaos.json

chaos-long: setup ## the campaign up to N=10000 kills in all, going on where the last run ended
	@$(BIN)/python -m tests.chaos.campaign --kills $(or $(N),10000) --results benchmarks/results/chaos.json --keep var/chaos

chaos-full: setup ## the same of everything that make run starts, up to N=500 kills, going on where the last run ended
	@$(BIN)/python -m tests.chaos.full --kills $(or $(N),500) --results benchmarks/results/chaos.json --keep var/chaos

long: setup $(if $(SUITE),,chaos-long chaos-mutants chaos-full) ## the campaigns of kills, then the tests marked `long` and many examples (SUITE=)
	@PARLEY_HYPOTHESIS_PROFILE=long $(BIN)/python -m tools.run_suites --long $(SUITE)
