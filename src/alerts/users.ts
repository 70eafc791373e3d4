/** Names of the node's users, for alerts about the node itself. */

/** After so long a name that was not found is looked for again: users come and go. */
const AGAIN_MS = 10_000;

export class Users {
  readonly #read: () => string | undefined;
  readonly #nowMs: () => number;
  #names = new Map<number, string>();
  #readMs = -Infinity;

  /** `read`: text of passwd(5), undefined when there is none. */
  constructor(read: () => string | undefined, nowMs: () => number) {
    this.#read = read;
    this.#nowMs = nowMs;
  }

  /** Empty when the user has no name. */
  nameOf(uid: number): string {
    const name = this.#names.get(uid);
    if (name !== undefined || this.#nowMs() < this.#readMs + AGAIN_MS) return name ?? "";
    this.#readMs = this.#nowMs();
    this.#names = namesIn(this.#read() ?? "");
    return this.#names.get(uid) ?? "";
  }
}

/** The first name of an id counts, as in getpwuid(3). */
function namesIn(passwd: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of passwd.split("\n")) {
    const [name, , uid] = line.split(":");
    if (name && uid && /^\d+$/.test(uid) && !names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}
