/** Tables that scripts write into documents, between two marks. */

import { repositoryDir } from "./stale.ts";

/** A part of a document that a script writes. */
export interface MarkedPart {
  /** Relative to the repository. */
  readonly file: string;
  /** Line before the part, and behind it. */
  readonly begin: string;
  readonly end: string;
  readonly body: () => string | Promise<string>;
  /** Command that writes it. */
  readonly command: string;
}

/** The document with the part as it should be. @throws {Error} its marks are missing */
async function render({ file, begin, end, body }: MarkedPart): Promise<string> {
  const text = await Deno.readTextFile(repositoryDir + file);
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Write table: "${file}" must have "${begin}"`);
  return `${text.slice(0, from)}${begin}\n\n${await body()}\n\n${text.slice(to)}`;
}

export async function writePart(part: MarkedPart): Promise<void> {
  await Deno.writeTextFile(repositoryDir + part.file, await render(part));
}

/** @throws {Error} the part is not what the script would write */
export async function checkPart(part: MarkedPart): Promise<void> {
  const found = await Deno.readTextFile(repositoryDir + part.file);
  if (isSameText(found, await render(part))) return;
  throw new Error(`"${part.file}" has an old table: run ${part.command} && deno fmt`);
}

/** Whether two texts differ in nothing but the blanks by which the formatter aligns cells and breaks lines. */
export function isSameText(a: string, b: string): boolean {
  return withoutLayout(a) === withoutLayout(b);
}

function withoutLayout(text: string): string {
  return text.replace(/ *\| */g, "|").replace(/-{2,}/g, "--").replace(/\s+/g, " ");
}

/** A table in Markdown; cells may hold anything. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cellText).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function cellText(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
