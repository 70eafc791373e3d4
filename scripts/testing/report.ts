/** What test runs found, read from Deno's JUnit reports. */

/** Result of one part of all tests. */
export interface Tally {
  passed: number;
  skipped: number;
  failures: readonly Failure[];
}

/** A test that failed. */
export interface Failure {
  name: string;
  /** Message and stack, or whatever the tool had to say. */
  text: string;
}

const NOTHING: Tally = { passed: 0, skipped: 0, failures: [] };

/** Adds up results, in order. */
export function sum(tallies: readonly Tally[]): Tally {
  return tallies.reduce((a, b) => ({
    passed: a.passed + b.passed,
    skipped: a.skipped + b.skipped,
    failures: [...a.failures, ...b.failures],
  }), NOTHING);
}

/**
 * Reads a report as `deno test --junit-path` writes it.
 *
 * @throws {SyntaxError} when the text is not a whole report
 */
export function parseJunit(xml: string): Tally {
  if (!xml.trimEnd().endsWith("</testsuites>")) {
    throw new SyntaxError("Read test report: it must end with </testsuites>");
  }
  const cases = [...xml.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>([^]*?)<\/testcase>)/g)]
    .map(([, name = "", content = ""]) => ({ name: unescapeXml(name), content }));
  const skipped = cases.filter(({ content }) => /^\s*<skipped/.test(content));
  const failures = cases.flatMap(({ name, content }) => {
    const [, text] = /^\s*<(?:failure|error)\b[^>]*>([^]*)<\/(?:failure|error)>/.exec(content) ??
      [];
    return text === undefined ? [] : [{ name, text: unescapeXml(text) }];
  });
  return {
    passed: cases.length - skipped.length - failures.length,
    skipped: skipped.length,
    failures,
  };
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
    return ENTITIES[name] ?? whole;
  });
}

/** "N passed, N failed", and what was skipped only if something was. */
export function tallyText({ passed, skipped, failures }: Tally): string {
  return `${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** A failure for people: its name, then what was found, indented. */
export function failureText({ name, text }: Failure): string {
  const lines = text.trim().split("\n").map((line) => `      ${line}`.trimEnd());
  return [`    FAILED ${name}`, ...lines].join("\n");
}
