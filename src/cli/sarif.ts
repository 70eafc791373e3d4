/** Findings for reviews of changes. @see SARIF 2.1.0, OASIS Standard, 27 March 2020 */
import { relative } from "node:path";
import { type Diagnostic, DIAGNOSTIC_CODES } from "../model/diagnostic.ts";

const SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json";

/** Of findings without a code. */
const SYNTAX = "policy";

const RULES: readonly (readonly [id: string, about: string])[] = [
  [SYNTAX, "What the schema and the grammar of its fields ask for"],
  ...Object.entries(DIAGNOSTIC_CODES),
];

/**
 * A SARIF log with one run. Places in files below `folder` are relative to it, as reviews show them.
 * @param version of this program
 */
export function checkSarif(
  findings: readonly Diagnostic[],
  { version, folder }: { version: string; folder: string },
): string {
  const log = {
    $schema: SCHEMA,
    version: "2.1.0",
    runs: [{
      tool: {
        driver: {
          name: "ankylo check",
          version,
          rules: RULES.map(([id, about]) => ({ id, shortDescription: { text: about } })),
        },
      },
      columnKind: "utf16CodeUnits",
      results: findings.map((finding) => resultOf(finding, folder)),
    }],
  };
  return `${JSON.stringify(log, undefined, 2)}\n`;
}

function resultOf(finding: Diagnostic, folder: string) {
  const { severity, where, field, message, hint, code = SYNTAX } = finding;
  const words = [
    field === "" ? message : `${field}: ${message}`,
    hint === undefined ? "" : `(${hint})`,
  ];
  return {
    ruleId: code,
    ruleIndex: RULES.findIndex(([id]) => id === code),
    level: severity,
    message: { text: words.filter((part) => part !== "").join(" ") },
    locations: [{
      physicalLocation: {
        artifactLocation: { uri: uriOf(where.file, folder) },
        region: { startLine: where.line, startColumn: where.column },
      },
    }],
  };
}

/** A relative reference, or a file URL for what lies elsewhere. @see RFC 3986 */
function uriOf(file: string, folder: string): string {
  const path = file.startsWith("/") ? relative(folder, file) : file.replace(/^(\.\/)+/, "");
  const isBelow = !path.startsWith("../");
  const escaped = (isBelow ? path : file).split("/").map(encodeURIComponent).join("/");
  return isBelow ? escaped : file.startsWith("/") ? `file://${escaped}` : escaped;
}
