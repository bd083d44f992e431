#!/usr/bin/env bash
# What a newcomer does: `npm start` in a fresh clone, then the curl line that it prints, pasted as it is, then Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp)
# A process group of its own, and the signal for all of it: what Ctrl-C in a terminal does. npm alone would not pass it on to the server.
set -m
npm start >"$out" 2>&1 &
pid=$!
stop() { kill -INT -- "-$pid" 2>/dev/null || true; }
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
for _ in $(seq 1 300); do
  kill -0 -- "-$pid" 2>/dev/null || break
  sleep 0.1
done
kill -0 -- "-$pid" 2>/dev/null && { kill -KILL -- "-$pid"; cat "$out"; echo 'the server did not end within 30 s of Ctrl-C'; exit 1; }
grep -q 'Shut down' "$out" || { cat "$out"; echo 'the server did not shut down in order'; exit 1; }
