/** How long files and functions are. Relies on `deno fmt`: a block ends where its indentation comes back. */

export interface FunctionLength {
  name: string;
  /** The line of its name, from 1. */
  line: number;
  lines: number;
}

const NOT_FUNCTIONS =
  /^(?:\} )?(?:if|else|for|while|do|switch|try|catch|finally|with|return|case)\b/;
const MODIFIERS =
  "(?:(?:export|default|declare|public|private|protected|static|override|abstract|async|get|set) )*";
const DECLARATION = new RegExp(`^${MODIFIERS}function\\*? ([\\w$]+)`);
const METHOD = new RegExp(`^${MODIFIERS}\\*?(#?[\\w$]+|\\[[\\w.]+\\])(?:<.*>)?\\(`);
const ARROW = /^(?:export )?(?:const|let|readonly|static) (#?[\w$]+).*=>/;

/** Functions and methods with a body of their own; callbacks count as part of what they are passed in. */
export function functionsInTypeScript(text: string): FunctionLength[] {
  const lines = text.split("\n");
  const found: FunctionLength[] = [];
  for (const [i, line] of lines.entries()) {
    if (!line.endsWith("{")) continue;
    const start = headOf(lines, i);
    const head = lines[start]!.trim();
    const name = nameOf(head, line);
    if (name === undefined) continue;
    const end = lines.findIndex((other, j) => j > i && other.startsWith(`${indentOf(line)}}`));
    if (end > i) found.push({ name, line: start + 1, lines: end - start + 1 });
  }
  return found;
}

/** Kernel style: a body begins and ends at the first column. */
export function functionsInC(text: string): FunctionLength[] {
  const lines = text.split("\n");
  const found: FunctionLength[] = [];
  for (const [i, line] of lines.entries()) {
    if (line !== "{") continue;
    const start = lines.slice(0, i).findLastIndex((other) => /^\w/.test(other));
    const end = lines.indexOf("}", i);
    const name = /(\w+)\(/.exec(lines.slice(start, i).join(" "))?.[1];
    if (name !== undefined && end > i) {
      found.push({ name, line: start + 1, lines: end - start + 1 });
    }
  }
  return found;
}

/** Where the statement begins whose last line opens the block: a parameter list may span lines. */
function headOf(lines: readonly string[], i: number): number {
  if (!lines[i]!.trim().startsWith(")")) return i;
  const indent = indentOf(lines[i]!);
  return lines.slice(0, i).findLastIndex((line) => indentOf(line) === indent && line.trim() !== "");
}

function nameOf(head: string, line: string): string | undefined {
  if (NOT_FUNCTIONS.test(head)) return undefined;
  const declared = DECLARATION.exec(head) ?? ARROW.exec(`${head} ${line}`);
  if (declared !== null) return declared[1];
  // A call with a callback begins like a method, but does not end in a parameter list.
  return line.endsWith("=> {") || /\)(?:: .*)? \{$/.test(line) === false
    ? undefined
    : METHOD.exec(head)?.[1];
}

function indentOf(line: string): string {
  return /^ */.exec(line)![0];
}
