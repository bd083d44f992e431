/** Waits for something outside of this process that tells nobody when it happens; fails after 50 s, which a disk that is busy writing for others may take. */
export async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 50_000;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`not within 50 s: ${isTrue.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
