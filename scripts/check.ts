/**
 * Checks what compiler, formatter and linter do not: borders between rooms, fresh generated sources, lengths, and a few
 * rules of the house. Prints every finding as `file:line: what`; exit status 1 when there is one.
 */

import { trespassesIn } from "./check/borders.ts";
import { type FunctionLength, functionsInC, functionsInTypeScript } from "./check/lengths.ts";
import { checkKernelTable } from "./gen_kernel_table.ts";
import { checkPolicyReference } from "./gen_policy_reference.ts";
import { checkTypes } from "./gen_types.ts";
import { filesUnder, repositoryDir } from "./stale.ts";

const FILE_LINES_MAX = 600;
/** Longer than a screen; a longer one is printed, and those above the hard limit are refused. */
const FUNCTION_LINES_WARN = 70;
const FUNCTION_LINES_MAX = 100;

/** Written by scripts from other sources; their own generator answers for them. */
const GENERATED = /^ffi\/generated\//;

interface Rule {
  files: RegExp;
  pattern: RegExp;
  message: string;
}

/** A pattern that must not occur. */
const RULES: readonly Rule[] = [
  {
    files: /\.(?:ts|c|h|sh)$/,
    pattern: /\b(?:TODO|FIXME|XXX|HACK)\b/,
    message: "finish it, or open an issue: no notes to oneself",
  },
  {
    files: /\.ts$/,
    pattern: /from "(?:npm|jsr|https?):/,
    message: "name the import in deno.json: versions live there",
  },
  {
    files: /^(?:src|ffi)\/.*(?<!load)\.ts$/,
    pattern: /Deno\.dlopen\(/,
    message: "only ffi/load.ts loads a library",
  },
  {
    files: /^src\/(?!cli\/|agent\.ts|sinks\/stdout).*(?<!_test)\.ts$/,
    pattern: /\bconsole\.\w+\(/,
    message: "rooms return or throw: only agent, cli and http log, with lib/log.ts",
  },
];

/** What a file must begin with. */
const LICENSE_LINE = /^(?:\/\/|\/\*) SPDX-License-Identifier: /;

const findings: string[] = [];
const warnings: string[] = [];

async function sources(): Promise<string[]> {
  const dirs = ["src", "ffi", "bpf", "scripts", "tests"];
  const lists = await Promise.all(dirs.map((dir) => filesUnder(dir, [".ts", ".c", ".h", ".sh"])));
  return ["main.ts", ...lists.flat()].filter((path) => !GENERATED.test(path));
}

function checkRules(file: string, text: string): void {
  for (const { files, pattern, message } of RULES) {
    if (!files.test(file) || file === "scripts/check.ts") continue;
    for (const [i, line] of text.split("\n").entries()) {
      if (pattern.test(line)) findings.push(`${file}:${i + 1}: ${message}: ${line.trim()}`);
    }
  }
  if (/\.[ch]$/.test(file) && !LICENSE_LINE.test(text)) {
    findings.push(`${file}:1: begin with an SPDX-License-Identifier`);
  }
}

function checkLengths(file: string, text: string): FunctionLength[] {
  const count = text.split("\n").length - 1;
  if (count > FILE_LINES_MAX) {
    findings.push(`${file}: split it: ${count} lines, at most ${FILE_LINES_MAX}`);
  }
  const functions = file.endsWith(".ts") ? functionsInTypeScript(text) : functionsInC(text);
  for (
    const { name, line, lines } of functions.filter(({ lines }) => lines > FUNCTION_LINES_WARN)
  ) {
    // A test that tells one long story is split by its steps.
    const refused = lines > FUNCTION_LINES_MAX && !file.endsWith("_test.ts");
    const list = refused ? findings : warnings;
    list.push(
      `${file}:${line}: split ${name}: ${lines} lines, better below ${FUNCTION_LINES_WARN}`,
    );
  }
  return functions;
}

function checkBorders(file: string, text: string): void {
  if (file.endsWith("_test.ts")) return;
  for (const { line, target, reason } of trespassesIn(file, text)) {
    findings.push(`${file}:${line}: imports "${target}": ${reason}`);
  }
}

/** Median and ninth decile, to see where it drifts. */
function summaryOf(functions: readonly FunctionLength[]): string {
  const lengths = functions.map(({ lines }) => lines).sort((a, b) => a - b);
  const quantile = (part: number) => lengths[Math.floor(part * (lengths.length - 1))] ?? 0;
  return `${lengths.length} functions: median ${quantile(0.5)} lines, nine in ten at most ${
    quantile(0.9)
  }`;
}

const functions: FunctionLength[] = [];
for (const file of await sources()) {
  const text = await Deno.readTextFile(repositoryDir + file);
  checkRules(file, text);
  checkBorders(file, text);
  functions.push(...checkLengths(file, text));
}
for (const check of [checkTypes, checkKernelTable, checkPolicyReference]) {
  await check().catch((error) => findings.push(error.message));
}
for (const warning of warnings) console.log(`warning: ${warning}`);
for (const finding of findings) console.log(finding);
console.log(`check: ${summaryOf(functions)}; ${findings.length} findings`);
if (findings.length > 0) Deno.exit(1);
