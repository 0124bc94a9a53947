# What a contributor types. `cargo` alone works too; this only saves remembering the flags.

.DEFAULT_GOAL := help
.PHONY: help run test soak lint fmt bench

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start the server with ./data as its data directory
	cargo run --release --locked -- serve

test: ## Find or install what the tests need, then run all of them
	bash tests/setup.sh
	cargo test --locked --no-fail-fast
	cargo test --locked --features canaries --test canaries
	cargo test --locked --features canaries --test crash -- moments_of_ canaries::
	cargo test --locked --features canaries --test outage canaries::

MINUTES ?= 60

soak: ## Look for what tests of a few minutes do not find, for MINUTES; prints its seed and a table (docs/reliability.md)
	bash tests/setup.sh
	bash tests/soak.sh $(MINUTES)

lint: ## Formatting, clippy and documentation, warnings denied
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo metadata -q --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --features canaries --lib --test canaries --test crash --test outage -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

fmt: ## Format the whole tree
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml

bench: ## Run the benchmarks (docs/benchmarks.md says what they measure)
	cargo bench --locked
