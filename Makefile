# `make` alone prints what can be made.

GOLANGCI_LINT_VERSION := v2.15.0
# The version is in the name, so that another one is built when it changes.
GOLANGCI_LINT := .bin/golangci-lint-$(GOLANGCI_LINT_VERSION)
STRIPE_MOCK_VERSION := v0.203.0
STRIPE_MOCK := .bin/stripe-mock-$(STRIPE_MOCK_VERSION)

# What npm has installed; it writes this file last.
NODE_MODULES := web/node_modules/.package-lock.json
GET_NODE := please install Node.js 20.19 or newer, which brings it, from https://nodejs.org/.
# An older Node.js fails in the middle of Vite, with a message about something else.
HAVE_NPM := command -v npm >/dev/null && \
	node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)'

# Vite writes web/dist before it finds the build to be too large; that must not count as built.
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Without npm, the server still serves the API, and a page that says what is missing.
.PHONY: run
run: have-go ## Start the server; ARGS="..." adds options
	@if $(HAVE_NPM); then \
		$(MAKE) --no-print-directory web/dist/index.html || echo "The front end and the Playground could not be built; the API is served all the same." >&2; \
	else \
		echo "npm is missing or its Node.js too old, so the front end and the Playground are not built; the API is served all the same. To have them, $(GET_NODE)" >&2; \
	fi
	go run . serve $(ARGS)

# SQLite here is C translated to Go. Watching its own memory for races takes a third of the tests' time and
# finds nothing of ours, nor does checking pointers, as the race detector has the compiler do: only libraries
# make unsafe ones. With 16 tests at once on two slow cores, all take as long, and each so long that what one
# waits for may not come in time.
GO_TEST := CGO_ENABLED=1 db/dbtest/with-postgres go test -race -parallel 6 \
	-gcflags='all=-d=checkptr=0' -gcflags='modernc.org/sqlite/lib=-d=checkptr=0 -race=false'

.PHONY: test
test: test-server test-browser ## Run all tests

.PHONY: test-server
test-server: have-go have-c-compiler have-nginx $(STRIPE_MOCK) ## Run the server's tests, on SQLite and on PostgreSQL
	STUDIO_TEST_STRIPE_MOCK="$(CURDIR)/$(STRIPE_MOCK)" $(GO_TEST) -timeout 20m ./...

CHROMIUM = $(or $(STUDIO_TEST_CHROMIUM),$(shell command -v chromium || command -v chromium-browser || command -v google-chrome))

.PHONY: test-browser
test-browser: build have-chromium $(STRIPE_MOCK) ## Run the front end's tests, in Chromium, and those of the protocols
	cd web && STUDIO_TEST_PROGRAM="$(CURDIR)/studio" STUDIO_TEST_STRIPE_MOCK="$(CURDIR)/$(STRIPE_MOCK)" \
		STUDIO_TEST_CHROMIUM="$(CHROMIUM)" npm test

.PHONY: screenshots
screenshots: test-browser ## Take the README's pictures anew
	mkdir -p docs/screenshots
	cd web/screenshots && cp users-light.png billing-dark.png create-instance-light.png \
		organizations-light.png playground-light.png ../../docs/screenshots/

.PHONY: soak
soak: have-go have-c-compiler ## Kill the server, its database and connections, at every step and again and again (a quarter of an hour)
	STUDIO_TEST_KILLS=all $(GO_TEST) -timeout 60m -run 'TestKill|TestPostgresDown|TestNotificationsCut|TestDiskFull' -v .

# Not part of the tests: it asks vuln.go.dev, or the database of ARGS="-db file:///PATH".
.PHONY: vulnerabilities
vulnerabilities: have-go ## Look for known holes in what is used of libraries
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 $(ARGS) -test ./...

.PHONY: bench
bench: have-go ## Measure the server against a program written by hand, on both databases (six minutes); ARGS="--rounds 9"
	db/dbtest/with-postgres go run ./bench $(ARGS)

.PHONY: bench-live
bench-live: have-go ## Measure how quickly events reach 10,000 streams (two minutes); ARGS="--over websockets"
	db/dbtest/with-postgres go run ./bench live $(ARGS)

.PHONY: lint
lint: have-go $(GOLANGCI_LINT) $(NODE_MODULES) ## Check the code without running it
	go vet ./...
	$(GOLANGCI_LINT) run
	cd web && npm run lint

.PHONY: format
format: have-go $(GOLANGCI_LINT) $(NODE_MODULES) ## Format the code the way lint wants it
	$(GOLANGCI_LINT) fmt
	cd web && npm run format

.PHONY: generate
generate: have-go $(NODE_MODULES) ## Write the generated code anew
	go generate ./...
	cd web && npm run generate

# Compares the files of the work tree, new ones included, before and after. An index of its own
# leaves alone what is staged, and lets this run with uncommitted changes.
.PHONY: check-generated
check-generated: ## Fail when the generated code is not up to date
	@set -e; \
	index=$$(git rev-parse --absolute-git-dir)/check-generated-index; \
	trap 'rm -f "$$index"' EXIT; \
	files() { GIT_INDEX_FILE=$$index git add --all && GIT_INDEX_FILE=$$index git write-tree; }; \
	before=$$(files); \
	$(MAKE) generate; \
	after=$$(files); \
	git diff --exit-code --stat "$$before" "$$after" || \
		{ echo "Generated code was not up to date: run make generate, and commit these files." >&2; exit 1; }

.PHONY: build
build: have-go web/dist/index.html ## Build the server as ./studio
	go build -trimpath -ldflags "-X main.version=$$(git describe --tags --always --dirty 2>/dev/null || echo unknown)" -o studio .

.PHONY: clean
clean: ## Remove what was built, but no database
	rm -rf .bin studio coverage.out web/dist web/node_modules web/screenshots

$(NODE_MODULES): web/package.json web/package-lock.json | have-npm
	cd web && npm ci --no-audit --no-fund --loglevel=error
	touch $@

web/dist/index.html: $(NODE_MODULES) $(wildcard web/*.html web/*.ts) $(shell find web/src web/public -type f)
	cd web && npm run build

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

.PHONY: have-npm
have-npm:
	@$(HAVE_NPM) || { echo "npm is missing or its Node.js too old: $(GET_NODE)" >&2; exit 1; }

# Debian keeps it out of the path of all but root.
.PHONY: have-nginx
have-nginx:
	@command -v nginx >/dev/null || test -x /usr/sbin/nginx || .ci/install nginx

.PHONY: have-chromium
have-chromium:
	@test -n "$(CHROMIUM)" || .ci/install chromium
