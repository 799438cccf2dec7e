#!/usr/bin/env bash
# Everything that needs no running service; stops at the first complaint.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '%-24s' "$1"; shift; if output=$("$@" 2>&1); then echo ok; else echo FAILED; echo "$output"; exit 1; fi; }

step format .venv/bin/ruff format --check .
step lint .venv/bin/ruff check .
step types .venv/bin/mypy -p shared -p services
step "import direction" .venv/bin/lint-imports
step "proto drift" .venv/bin/python scripts/generate_protos.py --check
step "proto compatibility" .venv/bin/python scripts/check_proto_compatibility.py
