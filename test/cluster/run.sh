#!/usr/bin/env bash
# Every manifest, overlay and rendering of the chart against a real kube-apiserver. Needs Go and kubectl; builds the rest into .cluster, once, in about ten minutes of
# two processors. KUBEBUILDER_ASSETS (as setup-envtest prints it) and HELM name programs that are there already.
set -euo pipefail
cd "$(dirname "$0")/../.."
node scripts/setup.mjs
bin=$PWD/.cluster/bin
mkdir -p "$bin"
build() { # build MODULE PROGRAM PACKAGE
  [ -x "$bin/$2" ] || (cd "test/cluster/programs/$1" && CGO_ENABLED=0 ${BUILD_PREFIX:-} go build -trimpath -ldflags '-s -w' -o "$bin/$2" "$3")
}
if [ -z "${KUBEBUILDER_ASSETS:-}" ]; then
  build etcd etcd go.etcd.io/etcd/server/v3
  build kubernetes kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
  export KUBEBUILDER_ASSETS=$bin
fi
command -v kubectl >/dev/null || { build kubernetes kubectl k8s.io/kubernetes/cmd/kubectl; export PATH=$bin:$PATH; }
if [ -z "${HELM:-}" ]; then
  [ -x "$bin/helm" ] || CGO_ENABLED=0 GOBIN=$bin GOFLAGS=-mod=mod ${BUILD_PREFIX:-} go install helm.sh/helm/v3/cmd/helm@v3.22.0
  export HELM=$bin/helm
fi
if command -v promtool >/dev/null; then
  rules=$(mktemp)
  trap 'rm -f "$rules"' EXIT
  node --input-type=module -e 'import { readFileSync } from "node:fs"; import { load } from "js-yaml"; process.stdout.write(JSON.stringify({ groups: load(readFileSync("manifests/monitoring/rules.yaml", "utf8")).spec.groups }))' >"$rules"
  promtool check rules "$rules"
fi
npx vitest run --project cluster "$@"
