import { formatBytes } from './format-bytes.ts';
import type { DownloadProgress } from '../storage/index.ts';
import { renderBar } from './progress-bar.ts';

/** A bar that redraws its line on a terminal, else a JSON object on a line of its own. */
export function renderProgress(uri: string, progress: Readonly<DownloadProgress>, seconds: number, isTerminal: boolean): string {
  const { bytes, totalBytes, files, totalFiles, retries } = progress;
  const bytesPerSecond = bytes / Math.max(seconds, 1e-3);
  if (!isTerminal) {
    const mbPerSecond = Number((bytesPerSecond / 1e6).toFixed(1));
    return `${JSON.stringify({ message: 'Downloading', uri, bytes, total_bytes: totalBytes, files, total_files: totalFiles, mb_per_second: mbPerSecond, retries })}\n`;
  }
  const done = totalBytes === 0 ? 0 : Math.min(1, bytes / totalBytes);
  const size = `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`;
  return `${renderBar(done)}  ${size}  ${formatBytes(bytesPerSecond)}/s  ${files}/${totalFiles} files`;
}
