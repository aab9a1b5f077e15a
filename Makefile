# Every command of the project, one line each. `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo
SECONDS_PER_FUZZ ?= 60
# What services tell of themselves, once on files and once on a Postgres. Chosen by target: choosing packages would build them anew, with other features.
STORIES := catalogue payments people search stories tokens
FUZZ_TARGETS := answer chunks document guard path jwt request trace

.PHONY: help demo check test conformance tour loom bench bench-peers bench-sidecar bench-shop fuzz contracts golden docs compiler needs

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: $(if $(SERVERS),needs,compiler) ## the whole shop behind the two proxies; TOUR=1 plays its story, SERVERS=1 on Postgres, Redis and RabbitMQ
	$(CARGO) build --locked --workspace --bins
	target/debug/shop-demo $(if $(TOUR),--tour) $(if $(SERVERS),--servers)

check: compiler ## format, lints, the house's rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --locked -p banyan-policies --test house

test: needs ## everything that can fail: decisions, golden documents, properties, interleavings
	$(CARGO) test --workspace --locked
	SHOP_TEST_POSTGRES=start $(CARGO) test --workspace --locked $(addprefix --test ,$(STORIES))
	BANYAN_DATA_PATH=pingora $(CARGO) test --locked -p banyan-gateway --test it
	$(MAKE) loom

conformance: needs ## public suites against the gateway, on both of its roads: h2spec, W3C trace context, Autobahn
	$(CARGO) build --locked -p banyan-gateway
	@failed=0; for road in pingora short; do for suite in h2spec trace_context autobahn; do \
	  python3 bench/conformance/$$suite.py --data-path $$road || failed=1; done; done; exit $$failed

tour: needs ## the story of the shop, checked step by step: on files, and on Postgres, Redis and RabbitMQ
	$(MAKE) demo TOUR=1
	$(MAKE) demo TOUR=1 SERVERS=1

loom: ## every interleaving of the shared atomics
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 $(CARGO) test --locked --profile loom -p banyan-policies --lib --target-dir target/loom loom_

bench: needs ## what a decision costs
	$(CARGO) bench --locked -p banyan-policies

bench-peers: needs ## what a request costs beside nginx, HAProxy and Envoy
	$(CARGO) build --release --locked -p banyan-gateway
	python3 bench/peers.py --roads

bench-sidecar: needs ## what the sidecar costs beside Envoy and nginx
	$(CARGO) build --release --locked -p banyan-sidecar
	python3 bench/sidecar.py

bench-shop: compiler ## how the shop serves 500 orders a minute beside ten times as many looks
	$(CARGO) build --release --locked --workspace --bins
	target/release/shop-demo --load 60

fuzz: needs ## each fuzz target for SECONDS_PER_FUZZ seconds
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	@for target in $(FUZZ_TARGETS); do RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir policies/fuzz $$target -- -max_total_time=$(SECONDS_PER_FUZZ) -rss_limit_mb=4096 || exit 1; done

contracts: ## accept what the services answer now: their OpenAPI documents; then read the diff
	UPDATE_CONTRACTS=1 $(CARGO) test --locked --workspace contract

golden: ## accept what is generated now: golden documents, schema, manual; then read the diff
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p banyan-policies --test golden --test generated

docs: ## the API documentation of the crates
	$(CARGO) doc --workspace --no-deps

# What a build needs beside Rust: a C compiler for ring and SQLite, cmake for Pingora's zlib.
compiler:
	$(call installed,command -v cc && command -v g++ && command -v cmake,gcc g++ libc6-dev cmake)

# What tests need beside that: a Redis for limits that several gateways share; iptables for connections that are redirected to a sidecar (root only);
# Postgres and RabbitMQ for the shop on real servers.
needs: compiler
	@[ "$$(id -u)" = 0 ] || command -v iptables >/dev/null || echo "without iptables the story of redirected connections is not told"
	$(if $(filter 0,$(shell id -u)),$(call installed,command -v iptables && command -v ip,iptables iproute2))
	$(call installed,command -v redis-server,redis-server)
	$(call installed,ls /usr/lib/postgresql/*/bin/postgres,postgresql)
	$(call installed,ls /usr/lib/rabbitmq/bin/rabbitmq-server,rabbitmq-server)

# Installs Debian packages if a command fails: $(call installed,COMMAND,PACKAGES).
define installed
@{ $(1); } >/dev/null 2>&1 || { if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(2); \
	  else echo "something is missing: sudo apt-get install $(2)" && exit 1; fi; }
endef
