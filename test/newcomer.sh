#!/usr/bin/env bash
# What a newcomer does: `npm start` in a fresh clone, then the curl line that it prints, pasted as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
npm start >"$out" 2>&1 &
pid=$!
stop() { pkill -TERM -P "$pid" 2>/dev/null || kill "$pid" 2>/dev/null || true; }
trap 'stop; rm -f "$out"' EXIT
for _ in $(seq 1 600); do
  line=$(grep -oE 'curl .*' "$out" | head -1 || true)
  [ -n "$line" ] && break
  kill -0 "$pid" 2>/dev/null || { cat "$out"; echo 'npm start ended before it served'; exit 1; }
  sleep 1
done
[ -n "${line:-}" ] || { cat "$out"; echo 'npm start printed no curl line within 10 minutes'; exit 1; }
cat "$out"
answer=$(bash -c "$line")
printf '\n$ %s\n%s\n' "$line" "$answer"
case $answer in *'"model_name":"digits"'*'"name":"label"'*) ;; *) echo 'the answer is not one of the digits model'; exit 1 ;; esac
stop
wait "$pid" || true
