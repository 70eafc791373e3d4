/** What can be fuzzed. */

export interface Target {
  readonly name: string;
  /** Good and nearly good inputs. */
  seeds(): Promise<Uint8Array[]>;
  /** Words that the format gives a meaning to. */
  readonly tokens: readonly string[];
  /**
   * Takes one input. Returns what came of it in a few words: an input with new words is kept and damaged further.
   * @throws {unknown} a fault was found
   */
  run(input: Uint8Array<ArrayBuffer>): string | Promise<string>;
  /** Ends what `run` needs. */
  close(): Promise<void>;
}

const CORPUS = new URL("corpus/", import.meta.url);

/** The files of a folder, in the order of their names. */
export async function readFiles(folder: URL): Promise<Uint8Array[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  const names = entries.map((entry) => entry.name).sort();
  return await Promise.all(names.map((name) => Deno.readFile(new URL(name, folder))));
}

/** What the repository keeps for a target: small inputs, and those that found faults. */
export function corpusOf(target: string): Promise<Uint8Array[]> {
  return readFiles(new URL(`${target}/`, CORPUS));
}

/** No more of the messages than their kinds: numbers and quoted words differ in every try. */
export function kindOf(message: string): string {
  return message.replace(/"(?:[^"\\]|\\.)*"/g, '""').replace(/\d+/g, "0").slice(0, 200);
}
