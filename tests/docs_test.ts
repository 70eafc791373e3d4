/**
 * What the documents say about names, defaults and examples is what the code has. After a deliberate change of a setting:
 * `ANKYLO_UPDATE_GOLDEN=1 deno test -A tests/docs_test.ts`, and read the difference.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../src/cli/exit_codes.ts";
import { DEFINITIONS, flagOf, SETTING_NAMES, variableOf } from "../src/config/config.ts";
import { PRECEDENCE } from "../src/compile/precedence.ts";
import { createApp } from "../src/http/app.ts";
import { sampleState } from "../src/http/sample_state.ts";
import { DIAGNOSTIC_CODES, hasErrors } from "../src/model/diagnostic.ts";
import { parsePolicies } from "../src/model/parse.ts";

const repository = new URL("../", import.meta.url);
const README = new URL("README.md", repository);
const DOCUMENTS = [
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "k8s/POLICY.md",
  "k8s/REFERENCE.md",
];

/** As `deno fmt` writes tables, so that both agree. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const [head, ...body] = rows;
  const rule = widths.map((width) => "-".repeat(width));
  return [line(head!), line(rule), ...body.map(line)].join("\n");
}

/** The host's name differs from machine to machine. */
function defaultOf(name: (typeof SETTING_NAMES)[number]): string {
  return name === "hostname"
    ? "the host's, up to the first dot"
    : `\`${DEFINITIONS[name].initial()}\``;
}

function settingsTable(): string {
  const rows = SETTING_NAMES.map((name) => [
    `\`${name}\``,
    `\`${flagOf(name)}\``,
    `\`${variableOf(name)}\``,
    defaultOf(name),
    DEFINITIONS[name].about,
  ]);
  return table([["in the file", "flag", "variable", "default", "what it is"], ...rows]);
}

const SETTINGS_BLOCK = /(?<=<!-- settings: begin -->\n\n).*?(?=\n\n<!-- settings: end -->)/s;

Deno.test("README.md has every setting with its spellings and its default", async () => {
  let text = await Deno.readTextFile(README);
  if (Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1") {
    text = text.replace(SETTINGS_BLOCK, () => settingsTable());
    await Deno.writeTextFile(README, text);
  }
  assert.equal(SETTINGS_BLOCK.exec(text)?.[0], settingsTable());
});

Deno.test("README.md has every path of the HTTP API", async () => {
  const text = await Deno.readTextFile(README);
  const response = await createApp(sampleState()).request("/");
  const { paths } = await response.json() as { paths: Record<string, string> };
  const missing = Object.keys(paths).filter((path) => !text.includes(`| \`${path}\` `));
  assert.deepEqual(missing, []);
});

Deno.test("README.md has every exit status", async () => {
  const text = await Deno.readTextFile(README);
  const commands = text.slice(text.indexOf("## Command line"), text.indexOf("## Settings"));
  const missing = EXIT_CODES.filter(([code]) => !new RegExp(`\\b${code}\\b`).test(commands));
  assert.deepEqual(missing, []);
});

const PRECEDENCE_BLOCK = /(?<=<!-- precedence: begin -->\n\n).*?(?=\n*<!-- precedence: end -->)/s;

Deno.test("k8s/POLICY.md has the order of precedence as explain() knows it", async () => {
  const file = new URL("k8s/POLICY.md", repository);
  let text = await Deno.readTextFile(file);
  const rows = PRECEDENCE.map(({ decides, before }, index) => [`${index + 1}`, decides, before]);
  const wanted = table([["#", "decides", "before"], ...rows]);
  if (Deno.env.get("ANKYLO_UPDATE_GOLDEN") === "1") {
    text = text.replace(PRECEDENCE_BLOCK, () => `${wanted}\n`);
    await Deno.writeTextFile(file, text);
  }
  assert.equal(PRECEDENCE_BLOCK.exec(text)?.[0], wanted);
});

Deno.test("k8s/POLICY.md has every word for what check finds", async () => {
  const text = await Deno.readTextFile(new URL("k8s/POLICY.md", repository));
  const words = [...text.matchAll(/^\| `([a-z-]+)` +\| /gm)].map(([, word]) => word!);
  const missing = Object.keys(DIAGNOSTIC_CODES).filter((code) => !words.includes(code));
  assert.deepEqual(missing, []);
});

for (const name of DOCUMENTS) {
  Deno.test(`policies in ${name} have no errors`, async () => {
    const text = await Deno.readTextFile(new URL(name, repository));
    const blocks = [...text.matchAll(/^```yaml\n(apiVersion: .*?)^```/gms)].map((match) =>
      match[1]!
    );
    const findings = blocks.flatMap((block) => parsePolicies(block, name).diagnostics);
    assert.equal(hasErrors(findings), false, JSON.stringify(findings, null, 2));
  });

  Deno.test(`links in ${name} lead to files and headings`, async () => {
    const missing: string[] = [];
    const here = new URL(name, repository);
    for (const [, link] of (await Deno.readTextFile(here)).matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      if (!await leadsSomewhere(new URL(link!, here))) missing.push(link!);
    }
    assert.deepEqual(missing, []);
  });
}

async function leadsSomewhere(target: URL): Promise<boolean> {
  const anchor = target.hash.slice(1);
  target.hash = "";
  const info = await Deno.stat(target).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  if (info === undefined) return false;
  if (anchor === "") return true;
  const headings = (await Deno.readTextFile(target)).matchAll(/^#+ (.*)$/gm);
  return [...headings].some(([, heading]) => anchorOf(heading!) === anchor);
}

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
}
