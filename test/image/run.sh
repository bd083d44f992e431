#!/usr/bin/env bash
# Builds runtimes/image without a daemon and asks the server that comes out: as any user, from a read-only root, within its budget of size.
# Needs Linux, root, buildah and busybox (Debian: buildah, busybox-static), and a registry for npm. The base images are made of this machine's Node and libraries.
set -euo pipefail
cd "$(dirname "$0")/../.."
readonly MOST_BYTES=$((150 * 1000 * 1000))
# A port that only this test uses, and a user that no image knows.
readonly PORT=${PORT:-18473} ANY_USER=54321
work=$(mktemp -d)
# Storage of its own: nothing stays behind.
buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; buildah umount --all >/dev/null 2>&1 || true; rm -rf "$work" || true' EXIT
fail() { echo "image: $*" >&2; exit 1; }

# base ROOT: node, its libraries and ONNX Runtime's, certificates; with npm and a shell where it builds.
base() {
  local root=$1 node npm
  node=$(readlink -f "$(command -v node)")
  mkdir -p "$root"/{bin,usr/local/bin,tmp,etc/ssl/certs,proc,dev,root}
  chmod 1777 "$root/tmp"
  cp -L "$node" "$root/usr/local/bin/node"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  { ldd "$node"; ldd node_modules/onnxruntime-node/bin/napi-v*/linux/"$(node -p process.arch)"/libonnxruntime.so.1; } | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do mkdir -p "$root${library%/*}" && cp -L "$library" "$root$library"; done
  [ "${2:-}" = build ] || return 0
  npm=$(dirname "$(readlink -f "$(command -v npm)")")/..
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -rL "$npm" "$root/usr/local/lib/node_modules/npm"
  printf '#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n' >"$root/usr/local/bin/npm"
  chmod +x "$root/usr/local/bin/npm"
  cp -L "$(command -v busybox)" "$root/bin/busybox"
  for applet in sh rm mkdir cp env; do ln -s busybox "$root/bin/$applet"; done
  cp -L /etc/resolv.conf "$root/etc/" # for npm
  [ ! -f "${NODE_EXTRA_CA_CERTS:-}" ] || cp -L "$NODE_EXTRA_CA_CERTS" "$root/etc/ssl/certs/extra.crt"
}

# image NAME ROOT: an image of one layer
image() {
  local container
  container=$(buildah from scratch)
  buildah copy -q "$container" "$2" / >/dev/null
  buildah config --env PATH=/usr/local/bin:/usr/bin:/bin "$container"
  [ ! -f "$2/etc/ssl/certs/extra.crt" ] || buildah config --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/extra.crt "$container"
  buildah commit -q --rm "$container" "$1" >/dev/null
}

base "$work/build" build && image localhost/build "$work/build"
base "$work/base" && image localhost/base "$work/base"
proxies=()
for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do [ -z "${!name:-}" ] || proxies+=(--build-arg "$name=${!name}"); done
buildah bud --isolation chroot --timestamp 0 --build-arg BUILD_IMAGE=localhost/build --build-arg BASE_IMAGE=localhost/base \
  --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" "${proxies[@]}" -f runtimes/image/Dockerfile --target "${TARGET:-server}" -t localhost/kserve-node .

# Size of what the Dockerfile adds, compressed as a registry has it.
buildah push -q localhost/kserve-node "oci:$work/oci" >/dev/null
manifest=$work/oci/blobs/sha256/$(node -p "JSON.parse(fs.readFileSync('$work/oci/index.json', 'utf8')).manifests[0].digest.slice(7)")
own=$(node -p "JSON.parse(fs.readFileSync('$manifest', 'utf8')).layers.slice(1).reduce((bytes, layer) => bytes + layer.size, 0)")
echo "image: own layers $own bytes, compressed"
[ "$own" -le "$MOST_BYTES" ] || fail "own layers: expected at most $MOST_BYTES bytes, got $own"
[ -z "${ARCHIVE:-}" ] || buildah push -q localhost/kserve-node "docker-archive:$ARCHIVE:${ARCHIVE_NAME:-registry.example.com/kserve-node:0.1.0}"

config() { buildah inspect --type image --format "{{$1}}" localhost/kserve-node; }
[ "$(config .OCIv1.Config.User)" = 1000:1000 ] || fail "expected user 1000:1000, got $(config .OCIv1.Config.User)"
config .OCIv1.Config.Labels | grep -q org.opencontainers.image.revision || fail 'expected the labels of OCI'

# The server as the kubelet would run it: its root cannot be written (remounted read-only), its user is unknown.
root=$(buildah mount "$(buildah from localhost/kserve-node)")
mkdir -p "$root/mnt/models" && cp examples/digits/model/model.onnx "$root/mnt/models/"
cat >"$work/serve" <<X
mount --bind "$root" "$root" && mount -o remount,ro,bind "$root" && mount -t proc proc "$root/proc" &&
exec chroot --userspec=$ANY_USER:$ANY_USER --groups= "$root" /usr/local/bin/node /app/dist/main.cjs serve \
  --model_name=digits --model_dir=/mnt/models --host=127.0.0.1 --port=$PORT
X
env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin unshare --mount --pid --fork --kill-child bash "$work/serve" >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 300); do
  curl -sf "localhost:$PORT/v2/health/ready" >/dev/null && break
  kill -0 "$server" 2>/dev/null || fail "the server ended: $(tail -5 "$work/server.log")"
  sleep 0.1
done
answer=$(curl -sf "localhost:$PORT/v2/models/digits/infer" -H 'content-type: application/json' --data-binary @examples/digits/request.json)
case $answer in *'"name":"label","datatype":"INT64","shape":[1],"data":[1]'*) ;; *) fail "expected label 1, got $answer" ;; esac
# Records are written a moment after the first answer.
for _ in $(seq 100); do grep -q '"binding":' "$work/server.log" && break || sleep 0.1; done
grep -q '"binding":"native"' "$work/server.log" || fail "expected the native binding: $(cat "$work/server.log")"
ls "$root/app/dist/compiled" | grep -q '^cli-' || fail 'expected compiled code in dist/compiled'
echo 'image: ok'
