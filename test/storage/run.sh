#!/usr/bin/env bash
# Downloads, and serving, from stores written by others and filled through their own SDKs: versitygw (Go), moto (Python), fake-gcs-server (Go), Azurite (Node), with
# proxies that break connections and answers, and a hub beside Hugging Face's client. Needs Python 3.10+ and Go; installs the rest into .venv-storage.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=.venv-storage

python_part() {
  cmp -s test/storage/requirements.txt "$venv/requirements.txt" && return
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r test/storage/requirements.txt
  cp test/storage/requirements.txt "$venv/requirements.txt"
}
go_part() { # NAME MODULE@VERSION
  [ -x "$venv/bin/$1" ] || GOBIN="$PWD/$venv/bin" GOFLAGS=-mod=mod go install "$2"
}
node_part() {
  [ -d "$venv/azurite/node_modules/azurite" ] || npm install --silent --no-audit --no-fund --no-package-lock --prefix "$venv/azurite" azurite@3.35.0
}

node scripts/setup.mjs
# It clears the directory: the others come after it.
python_part
node_part &
go_part versitygw github.com/versity/versitygw/cmd/versitygw@v1.8.0
go_part fake-gcs-server github.com/fsouza/fake-gcs-server@v1.56.1
wait $!
"$venv/bin/python" -m pytest -q -rs -n 2 -p no:cacheprovider test/storage "$@"
