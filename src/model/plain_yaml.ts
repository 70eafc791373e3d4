/**
 * Reads YAML of the shape that policies have: block mappings and lists of one-line values, comments between them.
 *
 * The library's reader takes anything and costs ten times as much, which is most of what a changed policy waits for. What is
 * not of this shape is not judged here but left to the library, errors as well: `readPlain` gives the library's tree or none
 * (plain_yaml_test.ts compares the two).
 */
import type { Position } from "./diagnostic.ts";
import { DEPTH_MAX } from "./limits.ts";
import type { ListTree, MapEntry, ScalarTree, Tree } from "./tree.ts";

/** Words and paths, of which no character means anything to YAML in any place; no space before the colon. */
const KEY = /^([A-Za-z_][\w./-]*):(?: +|$)/;
const PLAIN_TEXT = /^[A-Za-z_/][\w ./,@+=%^$();<~!*?&|-]*$/;
const INTEGER = /^(?:0|[1-9]\d{0,14})$/;
const QUOTED = /^(?:"([^"\\\t]*)"|'([^'\t]*)')$/;
/** One of the texts in a list on one line, and the comma behind it. */
const FLOW_ITEM =
  /("[^"\\]*"|'[^']*'|[A-Za-z_/](?:[\w ./@+=%^$();<~!*?&|-]*[\w./@+=%^$();<~!*?&|-])?) *(, *|$)/y;
const COMMENT_BEHIND = / +#.*$/;
/** Words that a YAML reader takes for something else than text. */
const WORDS: ReadonlyMap<string, boolean> = new Map([["true", true], ["false", false]]);
const LEFT_TO_LIBRARY = /^(?:null|Null|NULL|True|TRUE|False|FALSE)$/;

/** YAML ends the search for a colon after 1,024 characters. */
const LINE_MAX = 1_000;

/** What is not of the shape. */
const OTHER = Symbol("other");

interface Line {
  /** Column of the text, from 0. */
  indent: number;
  text: string;
  readonly number: number;
}

/** The document's tree, and how many values it has; undefined: not of this shape, or nothing in it. */
export function readPlain(
  text: string,
  file: string,
  linesBefore: number,
): { readonly tree: Tree; readonly values: number } | undefined {
  const lines = linesOf(text, linesBefore);
  if (lines === undefined || lines.length === 0) return undefined;
  const reader = new PlainReader(lines, file);
  try {
    return { tree: reader.read(), values: reader.values };
  } catch (error) {
    if (error === OTHER) return undefined;
    throw error;
  }
}

/** Lines with something on them; undefined where a character or a marker stands that needs the library. */
function linesOf(text: string, linesBefore: number): Line[] | undefined {
  const lines: Line[] = [];
  let number = linesBefore;
  for (const line of text.split("\n")) {
    number++;
    let indent = 0;
    while (line.charCodeAt(indent) === SPACE) indent++;
    if (indent === line.length || line.charCodeAt(indent) === HASH) continue;
    if (line === "---" && lines.length === 0) continue;
    if (line.length > LINE_MAX || !/^[ -~]+$/.test(line)) return undefined;
    lines.push({ indent, text: line.slice(indent).trimEnd(), number });
  }
  return lines;
}

const SPACE = 0x20;
const HASH = 0x23;

class PlainReader {
  readonly #lines: readonly Line[];
  readonly #file: string;
  #at = 0;
  values = 0;

  constructor(lines: readonly Line[], file: string) {
    this.#lines = lines;
    this.#file = file;
  }

  /** @throws OTHER */
  read(): Tree {
    const tree = this.#block(0);
    if (this.#at < this.#lines.length) throw OTHER;
    return tree;
  }

  /** The mapping or list that begins on this line; ends before the first line that is indented less. */
  #block(depth: number): Tree {
    const line = this.#lines[this.#at]!;
    this.values++;
    if (depth >= DEPTH_MAX) throw OTHER;
    return isItem(line) ? this.#list(line, depth) : this.#map(line, depth);
  }

  #list(first: Line, depth: number): Tree {
    const items: Tree[] = [];
    const { indent } = first;
    const where = this.#where(first, 0);
    for (let line: Line | undefined = first; line?.indent === indent && isItem(line);) {
      // What follows the dash is a block of its own that is indented as deep as it stands.
      const spaces = /^- +/.exec(line.text)?.[0].length;
      if (spaces === undefined) throw OTHER;
      line.indent += spaces;
      line.text = line.text.slice(spaces);
      if (isItem(line)) throw OTHER;
      items.push(KEY.test(line.text) ? this.#block(depth + 1) : this.#value(line, 0));
      line = this.#lines[this.#at];
    }
    this.#refuseDeeper(indent);
    return { kind: "list", where, items };
  }

  #map(first: Line, depth: number): Tree {
    const entries = new Map<string, MapEntry>();
    const { indent } = first;
    const where = this.#where(first, 0);
    for (let line: Line | undefined = first; line?.indent === indent && !isItem(line);) {
      const [head, key] = KEY.exec(line.text) ?? [];
      if (head === undefined || key === undefined || entries.has(key)) throw OTHER;
      if (LEFT_TO_LIBRARY.test(key) || WORDS.has(key)) throw OTHER;
      const keyWhere = this.#where(line, 0);
      const value = head.length < line.text.length && line.text.charCodeAt(head.length) !== HASH
        ? this.#value(line, head.length)
        : this.#below(indent, keyWhere, depth);
      entries.set(key, { keyWhere, value });
      line = this.#lines[this.#at];
    }
    this.#refuseDeeper(indent);
    return { kind: "map", where, entries };
  }

  /** What stands on the lines below a key; a list may stand as deep as the key itself. */
  #below(indent: number, keyWhere: Position, depth: number): Tree {
    const next = this.#lines[++this.#at];
    if (next !== undefined && (next.indent > indent || next.indent === indent && isItem(next))) {
      return this.#block(depth + 1);
    }
    return { kind: "scalar", where: keyWhere, value: null, text: "", plain: true };
  }

  /** The value from `start` to the end of the line. */
  #value(line: Line, start: number): Tree {
    this.#at++;
    const rest = line.text.slice(start).replace(COMMENT_BEHIND, "");
    return rest.startsWith("[") ? this.#flow(line, start, rest) : this.#scalar(line, start, rest);
  }

  #flow(line: Line, start: number, rest: string): ListTree {
    this.values++;
    const [, spaces, inside] = /^\[( *)(.*?) *\]$/.exec(rest) ?? [];
    if (spaces === undefined || inside === undefined) throw OTHER;
    const items: ScalarTree[] = [];
    let comma = "";
    for (let at = 0; at < inside.length; at = FLOW_ITEM.lastIndex) {
      FLOW_ITEM.lastIndex = at;
      const [found, text] = FLOW_ITEM.exec(inside) ?? [];
      if (found === undefined || text === undefined) throw OTHER;
      items.push(this.#scalar(line, start + 1 + spaces.length + at, text));
      comma = found.slice(text.length).trim();
    }
    if (comma !== "") throw OTHER;
    return { kind: "list", where: this.#where(line, start), items };
  }

  #scalar(line: Line, start: number, rest: string): ScalarTree {
    this.values++;
    const quoted = QUOTED.exec(rest);
    const text = quoted === null ? rest : quoted[1] ?? quoted[2]!;
    const value = quoted === null ? plainValue(text) : text;
    const where = this.#where(line, start);
    return { kind: "scalar", where, value, text, plain: quoted === null };
  }

  /** A line that is indented deeper than the block before it goes on with a value: not of the shape. */
  #refuseDeeper(indent: number): void {
    const line = this.#lines[this.#at];
    if (line !== undefined && line.indent > indent) throw OTHER;
  }

  #where({ number, indent }: Line, start: number): Position {
    return { file: this.#file, line: number, column: indent + start + 1 };
  }
}

function isItem({ text }: Line): boolean {
  return text.charCodeAt(0) === 0x2d && (text.length === 1 || text.charCodeAt(1) === SPACE);
}

function plainValue(text: string): string | number | boolean {
  const word = WORDS.get(text);
  if (word !== undefined) return word;
  if (INTEGER.test(text)) return Number(text);
  if (!PLAIN_TEXT.test(text) || LEFT_TO_LIBRARY.test(text)) throw OTHER;
  return text;
}
