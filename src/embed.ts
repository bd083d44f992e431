/** `kserve-node/server`: the whole server inside another program. */
export { startServer, type RunningServer, type ServerDependencies } from './server.ts';
export { loadSettings, type LoadedSettings, type Settings } from './settings.ts';
