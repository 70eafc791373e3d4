/** Seeds that once found a difference, with what it was. */
export const SEEDS: readonly number[] = [];
