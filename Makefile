# Every command of the project, one line each. `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo
SECONDS_PER_FUZZ ?= 60
FUZZ_TARGETS := document guard path jwt trace

.PHONY: help demo check test loom bench bench-peers bench-sidecar fuzz golden docs needs

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

demo: needs ## what stands today: a document checked, compared, and a request explained
	$(CARGO) run -q --locked -p banyan-gateway -- check policies/examples/strangler.yaml
	$(CARGO) run -q --locked -p banyan-gateway -- diff policies/examples/five-percent.yaml policies/examples/strangler.yaml
	$(CARGO) run -q --locked -p banyan-gateway -- explain GET http://shop.example/orders/42 --policies policies/examples/strangler.yaml

check: needs ## format, lints, the house's rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --locked -p banyan-policies --test house

test: needs ## everything that can fail: decisions, golden documents, properties, interleavings
	$(CARGO) test --workspace --locked
	$(MAKE) loom

loom: ## every interleaving of the shared atomics
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 $(CARGO) test --locked --profile loom -p banyan-policies --lib --target-dir target/loom loom_

bench: needs ## what a decision costs
	$(CARGO) bench --locked -p banyan-policies

bench-peers: needs ## what a request costs beside nginx, HAProxy and Envoy
	$(CARGO) build --release --locked -p banyan-gateway
	python3 bench/peers.py

bench-sidecar: needs ## what the sidecar costs beside Envoy and nginx
	$(CARGO) build --release --locked -p banyan-sidecar
	python3 bench/sidecar.py

fuzz: needs ## each fuzz target for SECONDS_PER_FUZZ seconds
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	@for target in $(FUZZ_TARGETS); do RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir policies/fuzz $$target -- -max_total_time=$(SECONDS_PER_FUZZ) -rss_limit_mb=4096 || exit 1; done

golden: ## accept what is generated now: golden documents, schema, manual; then read the diff
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p banyan-policies --test golden --test generated

docs: ## the API documentation of the crates
	$(CARGO) doc --workspace --no-deps

# What build and tests need beside Rust: a C compiler for ring, cmake for Pingora's zlib; a Redis for limits that several gateways share;
# iptables for connections that are redirected to a sidecar (root only).
needs:
	@command -v cc >/dev/null && command -v cmake >/dev/null || { if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq gcc g++ libc6-dev cmake; \
	  else echo "a C compiler or cmake is missing: sudo apt-get install gcc g++ libc6-dev cmake" && exit 1; fi; }
	@command -v iptables >/dev/null && command -v ip >/dev/null || { if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq iptables iproute2; \
	  else echo "without iptables the story of redirected connections is not told"; fi; }
	@command -v redis-server >/dev/null || { if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq redis-server; \
	  else echo "redis-server is missing: sudo apt-get install redis-server" && exit 1; fi; }
