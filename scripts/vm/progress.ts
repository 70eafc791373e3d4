/** Tells a waiting person, on standard error, which long step is under way. */

/** Runs a step; announces it, and says how long it took. */
export async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  console.error(`vm: ${what} ...`);
  const result = await work();
  console.error(`vm: ${what}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return result;
}
