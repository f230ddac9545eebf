# The commands for people. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help demo demo-stop demo-swarm demo-swarm-stop run test faults check format bench screenshots reference site
.PHONY: install-check wheel image image-check release lock vendor clean install

BIN := .venv/bin
STAMP := .venv/installed
# A selection of tests, such as `make test ARGS="tests/unit -x"`.
ARGS ?=
# Three processes on two processors: much of the time is waiting. A file is in one of them, with its
# fixtures. One that dies ends the run, which would otherwise wait for it for ever.
SIDE_BY_SIDE := --numprocesses 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

help: ## Show this help
	@printf 'Tagboat: push an image, and it is live, or the old one still is.\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-15s %s\n' "$$name" "$$what"; done
	@printf '\nEverything goes into .venv; the first call takes a minute to make it. See CONTRIBUTING.md.\n'

demo: $(STAMP) ## See images pushed, deployed and replaced under load, and bad ones taken back (a minute)
	@tools/install-demo
	@$(BIN)/python -m demo

demo-stop: $(STAMP) ## End the demo and remove everything that it created
	@$(BIN)/python -m demo stop

demo-swarm: $(STAMP) ## See an app on a Docker Swarm of three nodes lose a node under load (root; some minutes)
	@tools/install-demo swarm
	@$(BIN)/python -m demo swarm

demo-swarm-stop: $(STAMP) ## End the demo of the swarm and remove everything that it created
	@$(BIN)/python -m demo swarm stop

run: $(STAMP) ## Run the server here, with settings from the environment and .env
	@$(BIN)/tagboat serve

test: $(STAMP) ## Run all tests on real services; some of them: make test ARGS="tests/unit -x"
	@tools/install-test-tools
	@$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) $(ARGS)

faults: $(STAMP) ## Run all fault tests: an hour; `make test` runs a few of them
	@tools/install-test-tools
	@FAULTS=all $(BIN)/python -m pytest -q tests/faults $(ARGS)
	@FAULTS=all $(BIN)/python -m pytest -q -m slow tests

check: $(STAMP) ## Check format, lint, types, the walls between rooms, and the lock file
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/python tools/lock.py check

format: $(STAMP) ## Format the code and fix what the linter can fix
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: $(STAMP) ## Measure, and compare with a minimum or a peer in the same run
	@tools/install-test-tools
	@$(BIN)/python -m bench

screenshots: $(STAMP) ## Take a picture of each page, in light and dark, on a phone and a wide screen
	@tools/install-test-tools
	@$(BIN)/python -m tools.screenshots $(ARGS)

reference: $(STAMP) ## Write docs/reference and docs/senders.md after a change of commands or senders
	@$(BIN)/python -m tools.reference

site: $(STAMP) ## Build the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

install-check: $(STAMP) ## Install the wheel by uv and pipx, on each Python that is here, and run it
	@tools/install-test-tools
	@$(BIN)/python -m tools.install_check

wheel: $(STAMP) ## Build the wheel of this checkout into dist/
	@$(BIN)/python -m hatchling build -t wheel

image: ## Build the container image tagboat:latest
	@tools/image tagboat:latest

image-check: $(STAMP) ## Build the image and run the compose file: updates of Tagboat lose no request
	@tools/install-test-tools
	@$(BIN)/python -m pytest -q tests/image $(ARGS)

release: $(STAMP) ## Build the last commit into dist/: wheel, sdist, image, parts list, checksums
	@$(BIN)/python -m tools.release build $(ARGS)

lock: $(STAMP) ## Write the lock files after a change of pyproject.toml; newest versions: make lock ARGS=--upgrade
	@$(BIN)/python tools/lock.py write $(ARGS)

vendor: $(STAMP) ## Fetch the files of other projects that the pages use again, as recorded in vendored.toml
	@$(BIN)/python tools/vendor_web.py write

clean: ## Remove .venv and all files of tools
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml tools/install-python
	@tools/install-python
	@touch $@
