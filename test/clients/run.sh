#!/usr/bin/env bash
# Clients written by others against the built server: tritonclient, the KServe SDK, schemathesis, grpcurl, curl. Needs Python 3.10+ and Go; installs the rest into .venv.
set -euo pipefail
cd "$(dirname "$0")/../.."
node scripts/setup.mjs
if ! cmp -s test/clients/requirements.txt .venv/requirements.txt 2>/dev/null; then
  python3 -m venv --clear .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r test/clients/requirements.txt
  cp test/clients/requirements.txt .venv/requirements.txt
fi
if ! [ -x .venv/bin/grpcurl ]; then GOBIN="$PWD/.venv/bin" GOFLAGS=-mod=mod go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3; fi
# One process each: tritonclient and the KServe SDK both register the protobuf package `inference`, and one process takes it once.
status=0
for suite in test/clients/test_*.py; do .venv/bin/python -m pytest -q -p no:cacheprovider "$suite" "$@" || status=1; done
exit "$status"
