# Everything CI does, one recipe each. `just` without arguments lists them.

_default:
    @just --list --unsorted

# What CI checks before tests
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

# Format the source
fmt:
    cargo fmt

# The tests, as README says
test:
    cargo test

# Lints and tests, nothing skipped silently
ci:
    .ci/run

# The whole loop on embedded data
quickstart *ARGS:
    cargo run --release -- quickstart {{ARGS}}

# Measure; numbers go to target/bench/
bench *ARGS:
    cargo bench {{ARGS}}

# Accept changed snapshots after reading them
accept:
    cargo insta review
