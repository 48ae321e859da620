#!/bin/sh
# Makes the samples anew, in an empty directory: needs Python 3 and 2.7 with pip, and cargo. `test_kinds.py` and the
# crate below hold one test of each kind; `tests.rs` holds what becomes of them.
set -eu
report=$(cd "$(dirname "$0")/.." && pwd)
python3 -m venv nine && nine/bin/pip -q install pytest==9.2.0 pytest-xdist
python2.7 -m pip -q install --target four pytest==4.6.11
mkdir pytest crate crate/src crate/tests
cp "$report/samples/test_kinds.py" pytest
echo 'import nothing_of_this_name' > pytest/test_broken.py
cd pytest
events() {
    : > ../events
    PYTHONPATH=$report${older:+:$older} PYTHONDONTWRITEBYTECODE=1 APPRENTICE_REPORT=../events \
        PYTEST_ADDOPTS="-p apprentice_events -p no:cacheprovider" "$@" --continue-on-collection-errors || true
    cat ../events
}
events ../nine/bin/python -m pytest --junitxml=pytest9.xml | sed -n '/^{/p' > pytest9.jsonl
events ../nine/bin/python -m pytest -n 2 | sed -n '/^{/p' > pytest9-xdist.jsonl
older=../four events python2.7 -m pytest --junitxml=pytest4.xml | sed -n '/^{/p' > pytest4.jsonl
cd ../crate
cat > Cargo.toml <<'END'
[package]
name = "fx"
version = "0.1.0"
edition = "2021"
END
cat > src/lib.rs <<'END'
//! Kinds of tests.

/// ```
/// assert_eq!(fx::two(), 2);
/// ```
pub fn two() -> i32 { 2 }

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {}
    #[test]
    fn fails() { panic!("no") }
    #[test]
    #[ignore = "slow"]
    fn is_ignored() {}
    #[test]
    #[should_panic]
    fn panics() { panic!("yes") }
    #[test]
    #[should_panic]
    fn does_not_panic() {}
}
END
echo '#[test] fn passes() {}' > tests/it.rs
RUSTC_BOOTSTRAP=1 cargo test --no-fail-fast -- -Z unstable-options --format json > ../libtest.jsonl || true
