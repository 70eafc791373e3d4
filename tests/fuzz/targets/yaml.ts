/** Policy files, and the configuration file. */

import { ConfigError, resolveSettings } from "../../../src/config/load.ts";
import { parsePolicies } from "../../../src/model/parse.ts";
import { corpusOf, kindOf, readFiles, type Target } from "../target.ts";

const TOKENS = [
  "apiVersion: security.kubearmor.com/v1\n",
  "kind: KubeArmorPolicy\n",
  "spec:\n  process:\n    matchPaths:\n",
  "- path: /bin/sh\n",
  "fromSource:\n",
  "action: Block\n",
  "---\n",
  "&a [*a, *a]",
  "!!binary ",
  "? ",
  "<<: *a\n",
  "{a: {a: {a: ",
  "|2-\n",
  "\u2028",
  "\ufeff",
  "%YAML 1.1\n---\n",
  "listen: 0.0.0.0:1\n",
];

/** A policy is text from anybody; nothing it holds may throw, and what is wrong must have a place. */
export function yamlTarget(): Target {
  return {
    name: "yaml",
    seeds: async () => [
      ...await corpusOf("yaml"),
      ...await readFiles(new URL("../../golden/bad-policies/", import.meta.url)),
      ...await readFiles(new URL("../../../k8s/examples/", import.meta.url)),
    ],
    tokens: TOKENS,
    run: (input) => {
      const text = new TextDecoder().decode(input);
      return `${policies(text)} ${settings(text)}`;
    },
    close: () => Promise.resolve(),
  };
}

function policies(text: string): string {
  const { policies, diagnostics } = parsePolicies(text, "f.yaml");
  for (const { where, message } of diagnostics) {
    if (where.line < 1 || where.column < 1) throw new Error(`no place for "${message}"`);
  }
  return `${policies.length} ${[...new Set(diagnostics.map(({ message }) => kindOf(message)))]}`;
}

function settings(text: string): string {
  try {
    resolveSettings({ flags: {}, environment: {}, file: { path: "/c.yaml", text } });
    return "settings";
  } catch (error) {
    if (error instanceof ConfigError) return kindOf(error.problems[0]!.message);
    throw error;
  }
}
