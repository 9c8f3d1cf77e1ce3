# What is downloaded for the tests is kept in ${CALCDC_TEST_CACHE:-~/.cache/calcdc-test}.
GO            ?= go
CACHE         := $(or $(CALCDC_TEST_CACHE),$(HOME)/.cache/calcdc-test)
LINT_VERSION  := v2.15.0
LINT          := $(CACHE)/golangci-lint-$(LINT_VERSION)/golangci-lint
FUZZTIME      ?= 5s
SIM_BUDGET    ?= 115s
SIM_FLOOR     ?= 1000
TESTSERVERS   := $(GO) run ./internal/testenv/cmd/testservers
INTEGRATION    = $(shell grep -rl --include='*_test.go' '^//go:build integration' . | xargs -rn1 dirname | sort -u)

.DEFAULT_GOAL := help
.PHONY: help build check lint quick sim mutants test race integration integration-race chaos soak fuzz bench demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/calcdc
	$(GO) build -o bin/calcdc ./cmd/calcdc

check: ## gofmt, vet and lint
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w is due for:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags integration,soak ./...
	@$(MAKE) --no-print-directory lint

lint: $(LINT) ## golangci-lint, built from the Go proxy
	$(LINT) run ./...

$(LINT):
	GOBIN=$(dir $(LINT)) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

quick: ## the tests that need Go alone
	$(GO) test ./...
	@$(MAKE) --no-print-directory sim

sim: ## the seeded simulation for $(SIM_BUDGET), at least $(SIM_FLOOR) seeds; SEEDS=n: so many seeds; SEED=n: one alone, with its trace in sim.trace
	$(GO) run ./test/sim/cmd/replay $(CACHE)/replay
	$(GO) test -count=1 -v -tags replay -overlay $(CACHE)/replay/overlay.json -timeout 0 -run '^TestSimulation$$' ./test/sim -args \
	  -budget $(SIM_BUDGET) -floor $(SIM_FLOOR) $(if $(SEEDS),-seeds $(SEEDS)) $(if $(SEED),-seed $(SEED) -trace $(CURDIR)/sim.trace)

mutants: ## every rule taken out of the code in turn, each must be missed by the simulation or a named test; ONLY=text, SHARD=1/9: some of them
	$(GO) run ./test/sim/cmd/replay $(CACHE)/replay
	$(GO) run ./test/sim/cmd/mutants -replay $(CACHE)/replay/overlay.json $(if $(ONLY),-only '$(ONLY)') $(if $(SHARD),-shard $(SHARD)) $(if $(SEEDS),-seeds $(SEEDS))

test: quick ## everything: the quick tests, then those on a real Kafka and real CalDAV servers
	$(TESTSERVERS) -optional -- $(GO) test -count=1 -p 1 -parallel 4 -timeout 20m -tags integration $(INTEGRATION)

race: ## the quick tests under the race detector
	$(GO) test -race ./...

integration: ## the tests on real servers alone; RUN=pattern chooses
	$(TESTSERVERS) -- $(GO) test -count=1 -p 1 -parallel 4 -timeout 20m -tags integration $(if $(RUN),-v -run '$(RUN)') $(INTEGRATION)

integration-race: ## the same with the race detector in the tests and in calcdc itself
	CALCDC_TEST_RACE=1 $(TESTSERVERS) -- $(GO) test -race -count=1 -p 1 -parallel 4 -timeout 30m -tags integration $(INTEGRATION)

chaos: ## three brokers and seeded faults for MINUTES=4 with SEED=random; WORKERS=n, GAP=ms between faults, ONLY=kinds
	CALCDC_CHAOS_MINUTES=$(or $(MINUTES),4) CALCDC_CHAOS_SEED=$(or $(SEED),random) CALCDC_CHAOS_WORKERS=$(WORKERS) CALCDC_CHAOS_GAP=$(GAP) CALCDC_CHAOS_ONLY=$(ONLY) \
	  $(TESTSERVERS) -only kafka,python -- $(GO) test -count=1 -timeout 180m -tags integration -v -run TestChaos ./test/cluster

soak: ## changes and mild faults for MINUTES=60: memory, goroutines and file descriptors must not grow
	CALCDC_SOAK_MINUTES=$(or $(MINUTES),60) CALCDC_CHAOS_SEED=$(SEED) CALCDC_CHAOS_WORKERS=$(WORKERS) \
	  $(TESTSERVERS) -only kafka,python -- $(GO) test -count=1 -timeout 180m -tags soak -v -run TestSoak ./test/cluster

fuzz: ## each fuzz target for $(FUZZTIME)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
	  done; done

bench: ## the benchmarks, with a real Kafka; figures and floors are in docs/performance.md
	$(TESTSERVERS) -only kafka -- $(GO) test -tags integration -run '^$$' -bench . -benchmem -timeout 30m ./...

demo: ## calendar server, broker, connector and a live view, all in one process
	$(GO) run ./cmd/calcdc demo
