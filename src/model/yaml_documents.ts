/** Reads the documents of a YAML or JSON text into trees, each on its own, so that an error in one hides no other. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
} from "yaml";
import type { Alias, Node, Pair, YAMLError, YAMLMap, YAMLWarning } from "yaml";
import type { Position, Report } from "./diagnostic.ts";
import { ALIASES_MAX, DEPTH_MAX, NODES_MAX } from "./limits.ts";
import { readPlain } from "./plain_yaml.ts";
import { isNull, type MapEntry, type Tree } from "./tree.ts";

const TOO_DEEP: [message: string, hint: string] = [
  "Cannot read YAML: it is nested too deeply",
  "a policy needs 8 levels: look for brackets that are not closed",
];

/** One document's text and the line before its first. */
interface Slice {
  readonly text: string;
  readonly linesBefore: number;
}

/**
 * The documents of `text`, empty ones left out. A document with a syntax error is reported and left out.
 *
 * @param file name for the positions
 */
export function readDocuments(text: string, file: string, report: Report): Tree[] {
  const budget = { nodes: NODES_MAX, aliases: ALIASES_MAX };
  const trees: Tree[] = [];
  for (const slice of splitDocuments(text.replace(/^\uFEFF/, ""))) {
    const plain = readPlain(slice.text, file, slice.linesBefore);
    const fits = plain !== undefined && plain.values <= budget.nodes;
    if (fits) budget.nodes -= plain.values;
    const tree = fits ? plain.tree : new DocumentReader(slice, file, report, budget).read();
    if (tree !== undefined) trees.push(tree);
  }
  return trees;
}

/** One document's tree as the library reads it, for the comparison with `readPlain`; undefined: empty or not readable. */
export function readByLibrary(text: string, file: string): Tree | undefined {
  const budget = { nodes: NODES_MAX, aliases: ALIASES_MAX };
  return new DocumentReader({ text, linesBefore: 0 }, file, () => {}, budget).read();
}

/**
 * Cuts at the document markers. They are `---` or `...` at the start of a line wherever that stands, even in an unclosed
 * quote (YAML 1.2.2, rule 206 c-forbidden); the library would read on and lose the rest of the file.
 */
function splitDocuments(text: string): Slice[] {
  const lines = text.split("\n");
  const slices: Slice[] = [];
  let start = 0;
  const cut = (end: number) => {
    if (end > start) slices.push({ text: lines.slice(start, end).join("\n"), linesBefore: start });
    start = end;
  };
  let hasContent = false;
  lines.forEach((line, index) => {
    const marker = /^(---|\.\.\.)(?=\s|$)/.exec(line)?.[1];
    if (marker === "---" && hasContent) cut(index);
    // Comments and %directives in front of "---" belong to the document behind it.
    hasContent = marker !== undefined ? true : hasContent || !/^(\s*(#.*)?|%.*)$/.test(line);
    if (marker === "...") {
      cut(index + 1);
      hasContent = false;
    }
  });
  cut(lines.length);
  return slices;
}

class DocumentReader {
  readonly #slice: Slice;
  readonly #file: string;
  readonly #report: Report;
  readonly #budget: { nodes: number; aliases: number };
  readonly #lines = new LineCounter();
  #document!: Document.Parsed;
  #failed = false;

  constructor(
    slice: Slice,
    file: string,
    report: Report,
    budget: { nodes: number; aliases: number },
  ) {
    this.#slice = slice;
    this.#file = file;
    this.#report = report;
    this.#budget = budget;
  }

  /** The document's tree, or undefined when it is empty or was reported. */
  read(): Tree | undefined {
    try {
      return this.#read();
    } catch (error) {
      // The library recurses, so that thousands of nested brackets may exhaust the stack; anything else is a defect.
      if (!(error instanceof RangeError)) throw error;
      this.#fail(0, ...TOO_DEEP);
      return undefined;
    }
  }

  #read(): Tree | undefined {
    this.#document = parseDocument(this.#slice.text, {
      lineCounter: this.#lines,
      prettyErrors: false,
    });
    const finding = this.#document.errors[0] ?? this.#document.warnings[0];
    if (finding !== undefined) {
      const unclosed = finding.code === "MISSING_CHAR";
      const end = finding.pos[0];
      const offset = unclosed ? openQuote(this.#document.contents, end) : end;
      // What follows the first syntax error is mostly noise that it caused.
      this.#fail(offset, ...syntaxMessage(finding, this.#slice.text));
      return undefined;
    }
    if (this.#document.contents === null) return undefined;
    const tree = this.#tree(this.#document.contents, 0);
    return this.#failed || isNull(tree) ? undefined : tree;
  }

  #where(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    // linePos gives 0 for a text without any line break before the offset was seen.
    return {
      file: this.#file,
      line: Math.max(line, 1) + this.#slice.linesBefore,
      column: Math.max(col, 1),
    };
  }

  #fail(offset: number, message: string, hint?: string): void {
    if (this.#failed) return;
    this.#failed = true;
    const finding = { severity: "error", where: this.#where(offset), field: "", message } as const;
    this.#report(hint === undefined ? finding : { ...finding, hint });
  }

  #empty(offset: number): Tree {
    return { kind: "scalar", where: this.#where(offset), value: null, text: "", plain: true };
  }

  #tree(node: Node, depth: number): Tree {
    const offset = node.range?.[0] ?? 0;
    if (this.#failed) return this.#empty(offset);
    if (--this.#budget.nodes < 0 || depth > DEPTH_MAX) {
      const limit = depth > DEPTH_MAX
        ? `it nests deeper than ${DEPTH_MAX} levels`
        : `it has more than ${NODES_MAX} values`;
      this.#fail(offset, `Cannot read file: ${limit}`, "split the file, and avoid nested aliases");
      return this.#empty(offset);
    }
    if (isAlias(node)) return this.#alias(node, depth);
    if (isMap(node)) {
      return { kind: "map", where: this.#where(offset), entries: this.#entries(node, depth) };
    }
    if (isSeq(node)) {
      const items = node.items.map((item) => this.#tree(item as Node, depth + 1));
      return { kind: "list", where: this.#where(offset), items };
    }
    if (!isScalar(node)) return this.#empty(offset);
    const plain = node.type === "PLAIN";
    return {
      kind: "scalar",
      where: this.#where(offset),
      value: scalarValue(node.value),
      text: node.source ?? String(node.value),
      plain,
    };
  }

  #alias(alias: Alias, depth: number): Tree {
    const offset = alias.range?.[0] ?? 0;
    if (--this.#budget.aliases < 0) {
      this.#fail(offset, `Cannot read file: it has more than ${ALIASES_MAX} aliases`);
      return this.#empty(offset);
    }
    const target = alias.resolve(this.#document);
    if (target !== undefined) return this.#tree(target, depth + 1);
    this.#fail(
      offset,
      `Cannot resolve alias "*${alias.source}": no anchor "&${alias.source}" stands before it`,
      "put the value in quotes if it is meant to start with an asterisk",
    );
    return this.#empty(offset);
  }

  #entries(map: YAMLMap, depth: number): Map<string, MapEntry> {
    const entries = new Map<string, MapEntry>();
    const merged: MapEntry[] = [];
    for (const pair of map.items as Pair<Node, Node | null>[]) {
      const offset = pair.key?.range?.[0] ?? map.range?.[0] ?? 0;
      if (!isScalar(pair.key)) {
        this.#fail(offset, "Cannot read mapping: a key must be a plain word or a quoted text");
        break;
      }
      const value = isEmptyValue(pair.value)
        ? this.#empty(offset)
        : this.#tree(pair.value!, depth + 1);
      const entry = { keyWhere: this.#where(offset), value };
      if (pair.key.source === "<<" && pair.key.type === "PLAIN") merged.push(entry);
      else entries.set(pair.key.source ?? String(pair.key.value), entry);
    }
    for (const { value } of merged) mergeInto(entries, value);
    return entries;
  }
}

/** A value of which nothing is written is reported at its key, where the user looks. */
function isEmptyValue(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

/** YAML 1.1's merge key: what the mapping (or each of a list of them) has and the entries have not. */
function mergeInto(entries: Map<string, MapEntry>, source: Tree): void {
  if (source.kind === "list") source.items.forEach((item) => mergeInto(entries, item));
  if (source.kind !== "map") return;
  for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
}

function scalarValue(value: unknown): string | number | boolean | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") {
    return value;
  }
  return String(value);
}

/** Where the quote opens that is still open at `end`: the library complains at the end, the user looks at the start. */
function openQuote(contents: Node | null, end: number): number {
  let start = end;
  visit(contents, {
    Scalar(_, scalar) {
      const quoted = scalar.type === "QUOTE_DOUBLE" || scalar.type === "QUOTE_SINGLE";
      if (quoted && scalar.range?.[1] === end) start = scalar.range[0];
    },
  });
  return start;
}

/** Message and hint in our words for the errors that people make; the library's words for the rest. */
function syntaxMessage(
  finding: YAMLError | YAMLWarning,
  text: string,
): [message: string, hint?: string] {
  const offset = finding.pos[0];
  switch (finding.code) {
    case "DUPLICATE_KEY": {
      const key = /^["']?([^"':\s]*)/.exec(text.slice(offset, offset + 100))?.[1] ?? "";
      return [
        `Cannot read mapping: key "${key}" appears twice`,
        "join both into one, or remove the one that is not wanted",
      ];
    }
    case "TAB_AS_INDENT":
      return ["Cannot read YAML: a tab stands where lines are indented", "indent with spaces"];
    case "BLOCK_AS_IMPLICIT_KEY":
    case "MULTILINE_IMPLICIT_KEY":
      return [
        "Cannot read YAML: a second mapping starts inside this value",
        'indent the next line like this key, or put the value in quotes if it contains ": "',
      ];
    case "MISSING_CHAR":
      return [
        "Cannot read YAML: a quote or bracket is not closed",
        "close it where its value ends",
      ];
    case "BAD_SCALAR_START":
      return [
        `Cannot read YAML: ${lowerFirst(finding.message)}`,
        "put the value in quotes",
      ];
    case "RESOURCE_EXHAUSTION":
      return TOO_DEEP;
    case "TAG_RESOLVE_FAILED":
      return [`Cannot read YAML: ${lowerFirst(finding.message)}`, "remove the tag"];
    default:
      return [
        `Cannot read YAML: ${lowerFirst(finding.message)}`,
        "check the indentation and the quotes of this line and the one before",
      ];
  }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
