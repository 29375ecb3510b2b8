# Everything that a developer or a build server runs. Each target first installs what it needs (scripts/setup);
# what is there already is left alone. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Cargo's tools are found even where a login shell has not put them on PATH.
CARGO_HOME ?= $(HOME)/.cargo
export CARGO_HOME
export PATH := $(CARGO_HOME)/bin:$(PATH)

CARGO := cargo
LOCKED := --locked

.PHONY: help demo test lint build deb schemas bench soak fuzz advisories clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## (.*)$$/  make \1\t\2/' | expand -t 20

demo: ## Build and run the demo campaign with an embedded Redis and the provider simulator
	@scripts/setup rust compiler redis
	$(CARGO) build --release $(LOCKED)
	$(CARGO) run --release $(LOCKED) --quiet -- demo

test: ## Run all tests
	@scripts/setup rust compiler redis nextest languages postgres mail clocks promtool systemd debian browser
	$(CARGO) nextest run $(LOCKED) --workspace
	$(CARGO) test --doc $(LOCKED)

lint: ## Check format, lints, documentation and dependencies
	@scripts/setup rust compiler components deny
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets $(LOCKED) --workspace -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps $(LOCKED)
	$(CARGO) deny --locked check bans licenses sources

build: ## Build the release binary
	@scripts/setup rust compiler
	$(CARGO) build --release $(LOCKED)

deb: ## Make the Debian package in target/debian
	@scripts/setup rust compiler
	$(CARGO) build --release $(LOCKED)
	scripts/deb target/release/remesa

schemas: ## Write the schemas in jobs/ again from the Rust types
	@scripts/setup rust compiler
	$(CARGO) run $(LOCKED) --quiet -- schema --write jobs

bench: ## Measure jobs, generation, sending and exports on this machine
	@scripts/setup rust compiler redis
	$(CARGO) build --release $(LOCKED)
	$(CARGO) run --release $(LOCKED) --quiet -- bench queue
	$(CARGO) run --release $(LOCKED) --quiet -- bench generate --count 1000000
	$(CARGO) run --release $(LOCKED) --quiet -- bench import --count 1000000
	$(CARGO) run --release $(LOCKED) --quiet -- bench filter --count 1000000
	$(CARGO) run --release $(LOCKED) --quiet -- bench recurring
	$(CARGO) run --release $(LOCKED) --quiet -- bench send
	$(CARGO) run --release $(LOCKED) --quiet -- bench export
	$(CARGO) run --release $(LOCKED) --quiet -- bench receipts
	$(CARGO) run --release $(LOCKED) --quiet -- bench recovery --runs 1
	$(CARGO) run --release $(LOCKED) --quiet -- bench rate --runs 1
	$(CARGO) run --release $(LOCKED) --quiet -- bench fairness --runs 1
	$(CARGO) run --release $(LOCKED) --quiet -- bench trouble --runs 1
	$(CARGO) bench $(LOCKED) --bench rules

soak: ## Prove "never twice, never lost" for MINUTES (60), one random seed after another
	@scripts/setup rust compiler redis nextest
	REMESA_SOAK_MINUTES=$(or $(MINUTES),60) $(CARGO) nextest run $(LOCKED) --profile soak --no-capture -E 'test(=proof::a_soak_proves_seed_after_seed)'

# Counters for each edge of the program, so that an input which reaches new code is kept: stable Rust has the pass.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cdebug-assertions -Coverflow-checks

fuzz: ## Throw hostile input at what Remesa reads, MINUTES (5) for each target; findings in target/fuzz
	@scripts/setup rust compiler
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 RUSTFLAGS="$(FUZZ_FLAGS)" \
		$(CARGO) run --release $(LOCKED) --target-dir target/guided \
		--target $$(rustc --print host-tuple) --package remesa-fuzz -- --minutes $(or $(MINUTES),5)

advisories: ## Look the dependencies up in the RustSec database (needs the network)
	@scripts/setup rust compiler deny
	$(CARGO) deny --locked check advisories

clean: ## Remove what was built
	$(CARGO) clean
