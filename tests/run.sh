#!/usr/bin/env bash
# All tests: Rust's own, then Python reading the demo's Parquet files without us and computing features
# of them, the template for Kubernetes, and stores on a server that speaks S3.
# Needs cargo, and python3 with pip for the second part; writes below target/ only.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo test --release

if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    if [ "${CI:-}" = true ]; then
        echo "python3 with venv is missing" >&2
        exit 1
    fi
    echo "SKIPPED: Python reads the files (python3 with venv is missing)"
    exit 0
fi
target=${CARGO_TARGET_DIR:-target}
venv=$target/python
if ! cmp -s python/requirements.txt "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r python/requirements.txt
    cp python/requirements.txt "$venv/installed.txt"
fi
rm -rf "$target/python-demo"
cargo run --release --quiet -- demo --store "$target/python-demo" >"$target/python-demo.txt"
"$venv/bin/python" python/check_interop.py "$target/python-demo" "$target/release/zoolake"
"$venv/bin/python" python/check_features.py "$target/python-demo" "$target/release/zoolake"
"$venv/bin/python" python/check_cluster.py "$target/release/zoolake"
"$venv/bin/python" python/check_s3.py "$target/release/zoolake"
# Damage to every byte of a footer is the same on any service.
"$venv/bin/python" python/s3_server.py cargo test --release --quiet --test tests -- \
    store:: races:: requests:: operations:: vacuum:: prediction::results_stay prediction::a_store_that \
    --skip a_flipped_bit
