const NAMES: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'LANG',
  'TZ',
  'TMPDIR',
  'NODE_OPTIONS',
  'LD_LIBRARY_PATH',
  'LD_PRELOAD',
  'UV_THREADPOOL_SIZE',
]);
const PREFIXES = ['LC_', 'CUDA_', 'NVIDIA_', 'OMP_', 'MALLOC_'];

/**
 * What a model's process gets to see of the environment: how to find and run libraries, and nothing that may be a secret, but for the variables named in
 * `more`.
 */
export function filterEnvironment(env: Readonly<Record<string, string | undefined>>, more: readonly string[] = []): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (NAMES.has(name) || more.includes(name) || PREFIXES.some((prefix) => name.startsWith(prefix)))) kept[name] = value;
  }
  return kept;
}
