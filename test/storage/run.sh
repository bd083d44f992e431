#!/usr/bin/env bash
# Downloads from stores written by others, filled by boto3: versitygw (Go) and moto (Python), with a proxy that breaks connections. Needs Python 3.10+ and Go; installs the rest into .venv-storage.
set -euo pipefail
cd "$(dirname "$0")/../.."
node scripts/setup.mjs
venv=.venv-storage
if ! cmp -s test/storage/requirements.txt "$venv/requirements.txt" 2>/dev/null; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r test/storage/requirements.txt
  cp test/storage/requirements.txt "$venv/requirements.txt"
fi
if ! [ -x "$venv/bin/versitygw" ]; then GOBIN="$PWD/$venv/bin" GOFLAGS=-mod=mod go install github.com/versity/versitygw/cmd/versitygw@v1.8.0; fi
"$venv/bin/python" -m pytest -q -p no:cacheprovider test/storage "$@"
