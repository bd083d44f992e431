#!/usr/bin/env bash
# `npm run bench:peers [NAME…]`: the virtual environments of the servers that `npm run bench` measures beside the product, .venv-peers/NAME from
# test/bench/peers/NAME.txt. What is up to date stays as it is. Needs Python 3.10 to 3.12.
set -euo pipefail
cd "$(dirname "$0")/../../.."
mkdir -p .venv-peers
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for file in test/bench/peers/*.txt; do names+=("$(basename "$file" .txt)"); done
fi
for name in "${names[@]}"; do
  wanted=test/bench/peers/$name.txt
  target=.venv-peers/$name
  if cmp -s "$wanted" "$target/installed.txt"; then
    echo "$target is up to date"
    continue
  fi
  python3 -m venv --clear "$target"
  "$target/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$target/installed.txt"
  echo "$target is made"
done
