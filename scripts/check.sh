#!/usr/bin/env bash
# Everything that needs no running service; stops at the first complaint.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '%-24s' "$1"; shift; if output=$("$@" 2>&1); then echo ok; else echo FAILED; echo "$output"; exit 1; fi; }

# The set holds Google's and protovalidate's files too, whose style is not ours to judge. Our RPCs answer with shared
# messages (Task, TaskAccepted, HttpBody), which is what makes one status for every kind.
proto_style() {
    ! .venv/bin/buf lint protos/lastframe.binpb --config '{"version": "v2", "lint": {"use": ["STANDARD"],
        "except": ["RPC_REQUEST_RESPONSE_UNIQUE", "RPC_RESPONSE_STANDARD_NAME"]}}' | grep '^lastframe/'
}

step format .venv/bin/ruff format --check .
step lint .venv/bin/ruff check .
step types .venv/bin/mypy -p shared -p services
step "import direction" .venv/bin/lint-imports
step "proto drift" .venv/bin/python scripts/generate_protos.py --check
step "proto style" proto_style
step "proto compatibility" .venv/bin/buf breaking protos/lastframe.binpb --against protos/released/1.0.0.binpb \
    --exclude-imports --config '{"version": "v2", "breaking": {"use": ["WIRE_JSON"]}}'
step "reference drift" .venv/bin/python -m scripts.reference --check
step docs .venv/bin/python scripts/build_docs.py
step manifests .venv/bin/python -m deploy.checks
