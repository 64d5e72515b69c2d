# The commands of this project. `make` alone prints them.

export CARGO_TERM_COLOR ?= auto
# A user's machine has no Go module proxy: nothing here may need one.
export GOPROXY = off

VMS ?= 200
VCENTER ?= fleet

.PHONY: help demo test check promqltest crash-archive outage-archive bench-exporter bench-archive bench-storage bench-promql bench-fleet fuzz setup format clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make demo           start everything on loopback, with a simulated vCenter; Ctrl-C stops it
## make demo VMS=500   the same with 500 virtual machines
## make demo VCENTER=vcsim   the same on VMware's own simulator
## make demo FREE_PORTS=1   where the usual ports are taken
## make demo SMOKE=1   start everything, check that data reaches the end of each branch, stop
demo: setup
	cargo build --workspace --bins
	target/debug/lynceus-demo --vcenter $(VCENTER) --vms $(VMS) $(if $(SMOKE),--smoke) $(if $(FREE_PORTS),--free-ports)

## make test           every test, against real Prometheus, Alertmanager, ClickHouse engine and vcsim
test: setup
	cargo build --workspace --bins
	target/tools/venv/bin/python -m unittest discover -s deploy/embedded-clickhouse
	cargo test --workspace --no-fail-fast

## make check          format, lints, documentation, licences and banned crates
check: setup-check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	target/tools/bin/cargo-deny deny check bans licenses sources

## make promqltest     Prometheus' own test scripts in memory and through the archive, held and failed by file (PROMQLTEST_DIR,
##                     or ../shared/promqltest)
promqltest: setup
	cargo test --quiet --package lynceus-promql --test it -- evaluation --nocapture
	cargo test --quiet --package lynceus-bridge --test it -- promqltest --nocapture

## make crash-archive ROUNDS=1000   kill the bridge and the engine at random under load, and count what is lost or doubled
ROUNDS ?= 1000
crash-archive: setup
	LYNCEUS_CRASH_ROUNDS=$(ROUNDS) cargo test --quiet --package lynceus-bridge --test it -- crash --nocapture

## make outage-archive SERIES=100000   three hours of samples without ClickHouse: is it all there, how large does the bridge get, how fast does it catch up
SERIES ?= 100000
outage-archive: setup
	LYNCEUS_OUTAGE_SERIES=$(SERIES) cargo test --quiet --package lynceus-bridge --test it -- outage --nocapture

## make bench-exporter   how fast and how small the exporter is, with its peers beside it (half an hour)
## make bench-exporter QUICK=1   a small estate without peers, to see whether the benchmark works
bench-exporter: setup
	cargo build --release --package lynceus-exporter --package lynceus-fleet
	cargo bench --package lynceus-e2e --bench exporter $(if $(QUICK),-- --quick)

## make bench-archive    what taking in and storing samples costs, beside prost, Prometheus and victoria-metrics
bench-archive: setup
	cargo build --release --package lynceus-bridge
	cargo bench --package lynceus-e2e --bench archive

## make bench-storage    what samples cost on disk, in this and other layouts, beside victoria-metrics
bench-storage: setup
	cargo build --release --package lynceus-bridge
	cargo bench --package lynceus-e2e --bench storage

## make bench-promql     what queries cost: parsing, evaluation, and years of the archive, with peers beside it
bench-promql: setup
	cargo run --release --manifest-path tests/bench/parse/Cargo.toml --target-dir target/bench/parse
	cargo build --release --package lynceus-bridge
	cargo bench --package lynceus-e2e --bench promql

## make bench-fleet    how fast and how small the fleet simulator is, with vcsim beside it
bench-fleet: setup
	cargo bench --package lynceus-fleet --quiet

## make fuzz           coverage-guided fuzzing of what reads bytes from outside (MINUTES=10 for each target; cargo-fuzz)
MINUTES ?= 10
fuzz:
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@fuzz() { mkdir -p target/fuzz/corpus/$$1 && cd fuzz && \
	  if [ -e seeds/$$1.tar.xz ]; then tar -xJf seeds/$$1.tar.xz -C ../target/fuzz/corpus/$$1; fi && \
	  cargo fuzz run --sanitizer none --target-dir ../target/fuzz $$1 ../target/fuzz/corpus/$$1 $$2 -- \
	    $$3 -max_total_time=$$(( $(MINUTES) * 60 )) -timeout=10 -verbosity=1 && cd ..; }; \
	fuzz vsphere_xml ../exporter/tests/golden -dict=vsphere.dict && \
	fuzz vsphere_performance ../exporter/tests/golden -dict=vsphere.dict && \
	fuzz guest_linux seeds/guest_linux -dict=guest_linux.dict && \
	fuzz remote_write && \
	fuzz promql_parse seeds/promql -dict=promql.dict && \
	fuzz promql_evaluate seeds/promql -dict=promql.dict

## make setup          bring the real programs of the demo and the tests into target/tools
setup:
	@tools/setup.sh

.PHONY: setup-check
setup-check:
	@tools/setup.sh check

## make format         format all code
format:
	cargo fmt --all

## make clean          remove everything that was built or downloaded
clean:
	rm -rf target
