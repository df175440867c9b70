# `make help` lists what can be done here. Nothing needs an activated environment.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
# Else Flask's command line reads .env before config.py does, whatever CONFIG_TYPE is, and has a
# traceback for a file that cannot be read. It skips .flaskenv too.
export FLASK_SKIP_DOTENV := 1
export FLASK_APP := application

.PHONY: help run test serve lint bench soak container migrate lock clean

help: ## List these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

# What it starts carries this mark, so that the next run finds what a killed one left.
run: export STOCKPOT_RUN := $(CURDIR)
run: .venv/installed .env ## Start everything in development at http://127.0.0.1:5000 (PORT=… for another)
	@exec $(BIN)/python -m scripts.dev

test: .venv/installed ## Run all tests and measure their coverage
	@scripts/install_browser.sh
	@mkdir -p instance/coverage && rm -f instance/coverage/*
	@exec $(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

serve: .venv/installed ## Serve with the production configuration, which the environment must complete
	@export CONFIG_TYPE=config.ProductionConfig PATH="$(CURDIR)/$(BIN):$$PATH"; $(shell sed -n 's/^web: //p' Procfile)

lint: .venv/installed ## Check style, types and security
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright && $(BIN)/bandit -q -c pyproject.toml -r app application.py celery_worker.py config.py settings.py server.py

bench: .venv/installed ## Measure speed, memory and growth in ten minutes (ARGS="--quick pages" for less)
	@exec $(BIN)/python -m benchmarks $(ARGS)

soak: .venv/installed ## Break everything 20 times with 500 jobs (SOAK_SEED=… repeats the moments of kills)
	@SOAK=1 exec $(BIN)/python -m pytest -n 4 --dist worksteal tests/faults $(ARGS)

container: .venv/installed ## Build the image and do the main job with containers of it (as root; buildah, runc, debootstrap)
	@exec $(BIN)/python -m pytest tests/container/checks.py $(ARGS)

migrate: .venv/installed .env ## Bring the database up to date
	@exec $(BIN)/flask db upgrade

lock: ## Lock the newest allowed versions of all packages, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv; install it and run this again." >&2; exit 1; }
	@UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.txt
	@UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	@UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --extra otel --extra sentry -c requirements-dev.txt pyproject.toml -o requirements-extras.txt

clean: ## Delete what can be made again; .env and instance/ stay
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis htmlcov test-results instance/coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: requirements-dev.txt
	@scripts/install.sh

.env: | .venv/installed
	@$(BIN)/python scripts/write_env.py
