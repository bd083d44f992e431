/** `23.4 MiB`, for people. */
export function formatBytes(count: number): string {
  if (count < 1024) return `${Math.round(count)} B`;
  const power = Math.min(3, Math.floor(Math.log2(count) / 10));
  return `${(count / 1024 ** power).toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB'][power] ?? ''}`;
}
