# Everything that people and CI do with Lotse. `make` alone says what there is.
SHELL := /bin/sh
TARGET := $(or $(CARGO_TARGET_DIR),target)
AGENT_TRIPLE := x86_64-unknown-linux-gnu
# The oldest C library that an installed system may have.
GLIBC := 2.28
E2E ?= all
BENCH ?= all
# Tests wait most of their time: for timers, disks and other processes.
TESTS_AT_ONCE := $(shell expr 2 '*' $$(nproc))

.PHONY: help setup programs demo test e2e bench screenshots api-fuzz packages bless

help:
	@echo 'make demo        install what is needed, build, and show the main job (KEEP=1 leaves it running)'
	@echo 'make test        everything that CI checks, but for real machines'
	@echo 'make e2e         every story on real machines (E2E=name runs one, E2E=short three)'
	@echo 'make bench       what is fast and small, beside what it is built on (BENCH=queue, fanout, console, rollouts, desktops, systems, agent, idle, cache or installation)'
	@echo 'make screenshots every page in light, dark, German and on a telephone'
	@echo 'make api-fuzz    requests of every kind against the described API, on both databases'
	@echo 'make packages    Debian packages of server and agent'
	@echo 'make bless       accept how job scripts are rendered now as what is expected'

setup:
	@packaging/setup.sh

# The agent travels to every machine, so it is built for old systems and for size.
programs: setup
	cargo build -p server -p system-tests
	CARGO_TARGET_DIR=$(TARGET)/agent cargo zigbuild --profile agent -p agent --target $(AGENT_TRIPLE).$(GLIBC)
	@mkdir -p $(TARGET)/lotse
	@cmp -s $(TARGET)/agent/$(AGENT_TRIPLE)/agent/lotse-agent $(TARGET)/lotse/lotse-agent || { \
	    cp $(TARGET)/agent/$(AGENT_TRIPLE)/agent/lotse-agent $(TARGET)/lotse/lotse-agent && \
	    packaging/debian/build.sh agent --program $(TARGET)/lotse/lotse-agent --out $(TARGET)/lotse/lotse-agent.deb; }
	@packaging/check-glibc.sh $(TARGET)/lotse/lotse-agent $(GLIBC)

demo: programs
	@$(TARGET)/debug/demo $(if $(KEEP),--keep)

test: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace -- --skip browser:: --test-threads $(TESTS_AT_ONCE)
	@# A browser beside hundreds of agents waits longer than people would.
	cargo test -p system-tests --test it -- browser::
	shellcheck packaging/*.sh packaging/debian/*.sh pxe/*/*.sh pxe/installer/init pxe/dnsmasq/event tests/bench/*/*.sh agent/src/upgrade/keep.sh .ci/run
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --workspace --no-deps --document-private-items

e2e: programs
	@$(TARGET)/debug/e2e $(E2E)

# A release build, because that is what is measured; `programs` builds the agent.
bench: programs
	@case '$(BENCH)' in all|cache|systems) packaging/setup.sh bench ;; esac
	cargo build --release -p server --bin lotse -p system-tests --bin bench
	@$(TARGET)/release/bench $(BENCH)

screenshots: setup
	cargo test -p system-tests --test it browser::tour
	@ls $(TARGET)/lotse/screenshots/*.png

# More of the same that the tests do in little.
api-fuzz: setup
	FUZZ_SECONDS=300 cargo test -p system-tests --test it fuzz::

packages: programs
	cargo build --release -p server --bin lotse
	packaging/debian/build.sh server --program $(TARGET)/release/lotse --agent $(TARGET)/lotse/lotse-agent \
	    --agent-package $(TARGET)/lotse/lotse-agent.deb --out $(TARGET)/lotse/lotse.deb
	@ls -l $(TARGET)/lotse/*.deb

bless:
	BLESS=1 cargo test -p server rendered
