/** POSIX extended regular expressions, matched against a whole name. */

/** Bytes of an expression; a container's name has at most 253. */
const LENGTH_MAX = 256;

const CLASSES: Readonly<Record<string, string>> = {
  alnum: "A-Za-z0-9",
  alpha: "A-Za-z",
  blank: " \\t",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: " -~",
  punct: "!-\\/:-@\\[-`\\{-~",
  space: "\\s",
  upper: "A-Z",
  xdigit: "0-9A-Fa-f",
};

/**
 * A test for names that `source` describes from their first to their last character.
 *
 * @throws {SyntaxError} when `source` is no POSIX extended regular expression, with Perl's `\d` and `(?` among the reasons
 * @see POSIX.1-2017, XBD chapter 9.4
 */
export function compilePosixRegex(source: string): (name: string) => boolean {
  if (source.length > LENGTH_MAX) {
    throw new SyntaxError(`it is longer than ${LENGTH_MAX} characters`);
  }
  const expression = new RegExp(`^(?:${translate(source)})$`, "u");
  return (name) => expression.test(name);
}

function translate(source: string): string {
  let out = "";
  let at = 0;
  while (at < source.length) {
    const char = source[at]!;
    if (char === "[") {
      const [text, next] = translateBracket(source, at);
      out += text;
      at = next;
    } else if (char === "\\") {
      out += translateEscape(source[at + 1]);
      at += 2;
    } else {
      refusePerl(source, at);
      out += /[/\-]/.test(char) ? char : literalBrace(source, at);
      at += 1;
    }
  }
  return out;
}

function translateEscape(char: string | undefined): string {
  if (char === undefined) throw new SyntaxError("a backslash stands at its end");
  if (/[A-Za-z0-9]/.test(char)) throw new SyntaxError(`"\\${char}" is not POSIX`);
  // JavaScript's u flag allows an escape only where it means something.
  return /[.*+?()[\]{}|^$\\/]/.test(char) ? `\\${char}` : char;
}

/** Perl's extensions that JavaScript would take: groups with "(?", and "?" or "+" behind a repetition. */
function refusePerl(source: string, at: number): void {
  const pair = source.slice(at, at + 2);
  if (pair === "(?") throw new SyntaxError('"(?" is not POSIX');
  if (/^[*+?}][?+*]$/.test(pair)) throw new SyntaxError(`"${pair}" is not POSIX`);
}

/** A closing bracket outside any bracket expression is itself. */
function literalBrace(source: string, at: number): string {
  return source[at] === "]" ? "\\]" : source[at]!;
}

/** `[...]` at `start`; returns JavaScript's text and the offset behind. */
function translateBracket(source: string, start: number): [text: string, next: number] {
  let at = start + 1;
  let out = "[";
  if (source[at] === "^") {
    out += "^";
    at++;
  }
  // A "]" at the first place is itself.
  for (let first = true; first || source[at] !== "]"; first = false) {
    const char = source[at];
    if (char === undefined) throw new SyntaxError('a "[" is not closed');
    const named = /^\[:([a-z]+):\]/.exec(source.slice(at));
    if (named !== null) {
      out += classRange(named[1]!);
      at += named[0].length;
      continue;
    }
    if (/^\[[.=]/.test(source.slice(at))) throw new SyntaxError("it uses collating elements");
    out += /[\\\][^]/.test(char) ? `\\${char}` : char;
    at++;
  }
  return [`${out}]`, at + 1];
}

function classRange(name: string): string {
  const range = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  if (range === undefined) throw new SyntaxError(`"[:${name}:]" is no character class`);
  return range;
}
