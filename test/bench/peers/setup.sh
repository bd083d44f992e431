#!/usr/bin/env bash
# Builds the virtual environments of the peers that `npm run bench` measures beside the product: .venv/bench-NAME from NAME/requirements.txt. Needs Python 3.10+.
set -euo pipefail
cd "$(dirname "$0")/../../.."
mkdir -p .venv
for folder in test/bench/peers/*/; do
  name=$(basename "$folder")
  target=.venv/bench-$name
  if cmp -s "$folder/requirements.txt" "$target/requirements.txt" 2>/dev/null; then continue; fi
  python3 -m venv --clear "$target"
  "$target/bin/pip" install --quiet --disable-pip-version-check -r "$folder/requirements.txt"
  cp "$folder/requirements.txt" "$target/requirements.txt"
done
