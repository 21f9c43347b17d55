# make verify   all checks; changes no tracked file
# make fix      formats what can be formatted
# make test     what the README tells users to run
# make soak     fuzzes, simulates 5,000 seeds and 1,000 hours and more for as long as SOAK says, then besieges real processes
#               for 12 minutes, and loads them for 30
# make model    explores all states of the models and of package raft within wide bounds: takes minutes
# make figures  measures every row of docs/performance.md on this machine, which must do nothing else
# make regress  compares a few rows with the ratios that were recorded; RECORD=1 records them anew
# make rename TO=example.com/you/lockstep   moves the module to another path

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := verify

# git status may not write to .git, nor go build by it: go test holds results of tests that list the root of the tree for
# good as long as that, with what stands in it, is as it was.
export GIT_OPTIONAL_LOCKS := 0

TAGS  := grpcnotrace
SEEDS ?= 500
HOURS ?= 12
SOAK  ?= 1h
FUZZ  ?= 1m

# Of make soak: so many parts at least, of so many seeds and hours each, which take two processors four minutes and three.
PARTS      ?= 10
PART_SEEDS ?= 500
PART_HOURS ?= 100

# Of make figures: time for all, rounds of each row at most, a regular expression of rows.
BUDGET ?= 25m
ROUNDS ?= 5
ONLY   ?=

TOOL    := go tool -modfile=tools/go.mod
GOFILES  = $(shell git ls-files --cached --others --exclude-standard '*.go')
MODELS  := founding segment replica carry lease joint saves snapshots
NESTED  := $(patsubst %/go.mod,%,$(wildcard */go.mod))

# Steps that stand here only when their part of the tree does.
HAS_PROGRAM := $(wildcard cmd/lockstep/main.go)
HAS_SIM     := $(and $(HAS_PROGRAM),$(wildcard sim/*.go))
HAS_MUTANTS := $(wildcard sim/mutants/*.patch)
HAS_E2E     := $(wildcard e2e/go.mod)

VERIFY := format tidy vet staticcheck cross test race nested
VERIFY += $(if $(HAS_SIM),simulate) $(if $(HAS_MUTANTS),mutants) $(if $(HAS_E2E),e2e)

.PHONY: verify format tidy vet staticcheck cross test race nested simulate mutants e2e fix build bench figures regress model soak rename

# Each step runs alone and says how long it took; at the end the tree must be as it was.
verify:
	@before=$$(git status --porcelain | sha256sum; git diff | sha256sum); \
	for step in $(VERIFY); do \
		echo "==> $$step"; start=$$SECONDS; \
		$(MAKE) --no-print-directory $$step || { echo "verify: $$step failed" >&2; exit 1; }; \
		echo "    $$step: $$((SECONDS - start)) s"; \
	done; \
	after=$$(git status --porcelain | sha256sum; git diff | sha256sum); \
	[ "$$before" = "$$after" ] || { echo "verify: a step changed the tree" >&2; git status --short >&2; exit 1; }; \
	echo "verify: all steps passed: $(VERIFY)"

format:
	@bad=$$($(TOOL) gofumpt -l $(GOFILES)); \
	[ -z "$$bad" ] || { echo "not formatted (make fix):" >&2; echo "$$bad" >&2; exit 1; }

# go.mod and go.sum say what the code needs, no more and no less.
tidy:
	@go mod tidy -diff || { echo "go.mod or go.sum is not tidy (make fix)" >&2; exit 1; }

vet:
	go vet -tags $(TAGS) ./...

staticcheck:
	$(TOOL) staticcheck -tags $(TAGS) ./...

# The product needs no C compiler and builds for these, of which Linux is supported; the simulator and
# what it runs also build for a browser.
cross:
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -tags $(TAGS) ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -tags $(TAGS) ./...
	GOOS=js GOARCH=wasm go build -tags $(TAGS) ./sim/...

# The architecture (arch_test.go), the scripts and the fuzz tests' seeds are part of it.
test:
	go test -tags $(TAGS) ./...

# What runs on one goroutine, a simulation above all, is cut short here: step test plays it all.
race:
	CGO_ENABLED=1 LOCKSTEP_SEEDS=1 go test -race -short -timeout 40m -tags $(TAGS) ./...

# Other modules of the tree; e2e's tests are a step of their own.
nested:
	@for dir in $(NESTED); do \
		echo "$$dir: vet, build the tests"; \
		(cd $$dir && go vet -tags $(TAGS) ./...); \
		[ $$dir = e2e ] || (cd $$dir && go test -short -tags $(TAGS) ./...); \
	done

build:
	CGO_ENABLED=0 go build -tags $(TAGS) -o bin/lockstep ./cmd/lockstep

bench: build
	cd bench && go build -tags $(TAGS) -o ../bin/bench .

# The points stay in bin/figures.jsonl: bin/bench figures -from bin/figures.jsonl shows them again.
figures: bench
	rm -f bin/figures.jsonl
	bin/bench figures -budget $(BUDGET) -rounds $(ROUNDS) -only '$(ONLY)' -out bin/figures.jsonl \
		-write docs/performance.md -record bench/testdata/ratios.json

regress: bench
	bin/bench regress -ratios bench/testdata/ratios.json $(if $(RECORD),-record)

# The rules first, then the code that follows them.
model:
	cd model && for m in $(MODELS); do GOMEMLIMIT=4GiB go run ./$$m || exit 1; done
	go test -tags $(TAGS) ./raft -run TestExplore -explore -v -timeout 60m

# Each seed runs twice and must give one trace; so does each of some that are an hour long.
simulate: build
	bin/lockstep sim run --seeds $(SEEDS)
	bin/lockstep sim run --load long --seeds $(HOURS)

mutants:
	cd tools && go run ./mutants -root ..

e2e: build
	cd e2e && go test -count=1 -tags $(TAGS) ./...

fix:
	$(TOOL) gofumpt -w $(GOFILES)
	go mod tidy

# All fuzz tests in turn, each for FUZZ; then the simulator with new seeds, PARTS parts and until SOAK has passed. What all
# parts came to is told at the end, and a broken seed ends the soak then; their reports stay in bin/soak.txt.
soak: $(if $(HAS_SIM),build)
	@end=$$((SECONDS + $$(echo $(SOAK) | sed 's/h/*3600/; s/m/*60/; s/s//'))); \
	git ls-files '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func / /' | while read -r file name; do \
		[ $$SECONDS -lt $$end ] || break; \
		echo "fuzz $$name ($$(dirname $$file))"; \
		go test -tags $(TAGS) -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZ) ./$$(dirname $$file); \
	done; \
	$(if $(HAS_SIM),part=0; : >bin/soak.txt; \
	while [ $$part -lt $(PARTS) ] || [ $$SECONDS -lt $$end ]; do \
		part=$$((part + 1)); seed=$$(date +%s)000; echo "==> part $$part: seeds from $$seed on"; \
		bin/lockstep sim run --seed $$seed --seeds $(PART_SEEDS) | tee -a bin/soak.txt || echo "campaign failed" >>bin/soak.txt; \
		bin/lockstep sim run --load long --seed $$seed --seeds $(PART_HOURS) | tee -a bin/soak.txt || echo "campaign failed" >>bin/soak.txt; \
	done)
	$(if $(HAS_SIM),@tools/soaked bin/soak.txt)
	$(if $(HAS_E2E),cd e2e && go test -count=1 -timeout 90m -tags $(TAGS) -run 'TestSiege|TestFullLoad' -v -long .)
	$(MAKE) --no-print-directory regress

rename:
	@[ -n "$(TO)" ] || { echo "usage: make rename TO=example.com/you/lockstep" >&2; exit 2; }
	@from=$$(go list -m); \
	git grep -lIF "$$from" | xargs sed -i "s|$${from//./\\.}|$(TO)|g"; \
	$(MAKE) --no-print-directory fix; \
	echo "renamed $$from to $(TO); now: make verify"
