/** "Did you mean": the known word nearest to a mistyped one. */

/** Edits (insert, delete, replace, swap of neighbours) that turn `from` into `to`. */
export function editDistance(from: string, to: string): number {
  const rows = [range(to.length + 1)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const above = rows[i - 1]!;
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      let best = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + same);
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (swapped) best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      row.push(best);
    }
    rows.push(row);
  }
  return rows[from.length]![to.length]!;
}

function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

/**
 * The candidate nearest to `word`, letter case aside, or undefined when none is near: at most one edit for every three
 * letters, so that short words are not turned into strangers.
 */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  const allowed = Math.max(1, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = allowed + 1;
  for (const candidate of candidates) {
    const known = candidate.toLowerCase();
    // The distance is at least this. Without it, a word as long as a caller likes would be compared letter by letter with all.
    if (Math.abs(wanted.length - known.length) >= bestDistance) continue;
    const distance = editDistance(wanted, known);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}
