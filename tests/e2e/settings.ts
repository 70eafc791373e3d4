/** Settings of scenarios that can be run for longer, by hand. */

/** A whole number from a variable of the environment. @throws {RangeError} when it is none */
export function setting(variable: string, initial: number): number {
  const text = Deno.env.get(variable) ?? `${initial}`;
  if (!/^\d+$/.test(text)) {
    throw new RangeError(`${variable} must be a whole number: current value is "${text}"`);
  }
  return Number(text);
}

/** The seed of a random test: another each time, printed, and settable by ANKYLO_SEED. */
export function seedOf(what: string): number {
  const seed = setting("ANKYLO_SEED", Math.floor(Date.now() / 1000) % 1_000_000_000);
  console.log(`${what}: ANKYLO_SEED=${seed}`);
  return seed;
}
