import { startApiServer } from './api-server.ts';
import { customResourceDefinitions } from './definitions.ts';
import { apply, kubectl } from './kubectl.ts';

/** Starts an API server that knows every kind of test/fixtures/crds and points KUBECONFIG at it for the whole run. Resolves with what stops it. */
export default async function setup(): Promise<() => Promise<void>> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets === undefined)
    throw new Error('Cannot start an API server: KUBEBUILDER_ASSETS=DIR of etcd and kube-apiserver is required; npm run test:cluster sets it');
  const server = await startApiServer(assets);
  process.env['KUBECONFIG'] = server.kubeconfig;
  try {
    // Their conditions have no status at first, which kubectl takes for an error when it looks too soon.
    await apply(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: customResourceDefinitions() }));
    await kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=240s');
    for (const name of ['models', 'models-dev', 'models-staging', 'velero', 'argocd', 'flux-system', 'monitoring'])
      await kubectl('create', 'namespace', name);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return () => server.stop();
}
