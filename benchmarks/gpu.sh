#!/usr/bin/env bash
# Correctness and speed on the GPU at hand, in 8 minutes at most. It needs this checkout, Python with
# a PyTorch that knows the GPU, and what else requirements.in names: as installed, or as wheels in the
# folder WHEELS (./wheels), put there where there is a network, for instance by
#   pip download --no-deps --dest wheels transformers==5.23.0 tokenizers==0.23.3 peft==0.21.2 …
# What a part lacks is said, and the part left out. Writes gpu.json and gpu.md into the folder OUT (.),
# after each part anew. Options go to gpu.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
wheels=${WHEELS:-wheels}
if compgen -G "$wheels/*.whl" > /dev/null; then
    packages=$(mktemp -d)
    trap 'rm -rf "$packages"' EXIT
    "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
        --target "$packages" "$wheels"/*.whl
    export PYTHONPATH="$packages${PYTHONPATH:+:$PYTHONPATH}"
fi
timeout "${LIMIT_S:-480}" "$python" benchmarks/gpu.py --out "${OUT:-.}" "$@"
