# `make` alone prints what can be made.

GOLANGCI_LINT_VERSION := v2.15.0
# The version is in the name, so that another one is built when it changes.
GOLANGCI_LINT := .bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
STRIPE_MOCK_VERSION := v0.203.0
STRIPE_MOCK := .bin/stripe-mock-$(STRIPE_MOCK_VERSION)

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: have-go ## Start the server; ARGS="..." adds options
	go run . serve $(ARGS)

# SQLite here is C translated to Go; checking its pointers, as the race detector has the compiler do,
# takes a quarter of the tests' time and finds nothing of ours.
GO_TEST := CGO_ENABLED=1 db/dbtest/with-postgres go test -race -gcflags='modernc.org/...=-d=checkptr=0' -parallel 16

.PHONY: test
test: have-go have-c-compiler $(STRIPE_MOCK) ## Run all tests, on SQLite and on PostgreSQL
	STUDIO_TEST_STRIPE_MOCK="$(CURDIR)/$(STRIPE_MOCK)" $(GO_TEST) -timeout 20m ./... # tests wait more than they compute

.PHONY: soak
soak: have-go have-c-compiler ## Kill the server at every step between its database and Stripe (a quarter of an hour)
	STUDIO_TEST_KILLS=all $(GO_TEST) -timeout 60m -run TestKill -v .

.PHONY: lint
lint: have-go $(GOLANGCI_LINT) ## Run go vet and golangci-lint
	go vet ./...
	$(GOLANGCI_LINT) run

.PHONY: format
format: have-go $(GOLANGCI_LINT) ## Format the code the way lint wants it
	$(GOLANGCI_LINT) fmt

.PHONY: generate
generate: have-go ## Write the generated code anew
	go generate ./...

# Compares the files of the work tree, new ones included, before and after. An index of its own
# leaves alone what is staged, and lets this run with uncommitted changes.
.PHONY: check-generated
check-generated: have-go ## Fail when the generated code is not up to date
	@set -e; \
	index=$$(git rev-parse --absolute-git-dir)/check-generated-index; \
	trap 'rm -f "$$index"' EXIT; \
	files() { GIT_INDEX_FILE=$$index git add --all && GIT_INDEX_FILE=$$index git write-tree; }; \
	before=$$(files); \
	echo "go generate ./..."; \
	go generate ./...; \
	after=$$(files); \
	git diff --exit-code --stat "$$before" "$$after" || \
		{ echo "Generated code was not up to date: run make generate, and commit these files." >&2; exit 1; }

.PHONY: build
build: have-go ## Build the server as ./studio
	go build -trimpath -ldflags "-X main.version=$$(git describe --tags --always --dirty)" -o studio .

.PHONY: clean
clean: ## Remove what was built, but no database
	rm -rf .bin studio coverage.out

$(GOLANGCI_LINT): | have-go
	GOBIN="$(CURDIR)/.bin" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv .bin/golangci-lint $@

# What the tests send to Stripe is held against Stripe's own description of its API.
$(STRIPE_MOCK): | have-go
	GOBIN="$(CURDIR)/.bin" go install github.com/stripe/stripe-mock@$(STRIPE_MOCK_VERSION)
	mv .bin/stripe-mock $@

.PHONY: have-go
have-go:
	@command -v go >/dev/null || { echo "Go is missing: please install the version in go.mod or a newer one, from https://go.dev/dl/." >&2; exit 1; }

# The race detector is linked with cgo.
.PHONY: have-c-compiler
have-c-compiler: have-go
	@set -- $$(go env CC); command -v "$$1" >/dev/null || .ci/install c-compiler
