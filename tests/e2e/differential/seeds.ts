/** Seeds that once found a difference, with what it was. They run first. */
export const SEEDS: readonly number[] = [
  // Who may execute a program that is left to its owner may not be changed by chown: the specification's side did not say so.
  8,
];
