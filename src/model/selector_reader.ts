/** Reads `spec.selector` (and `spec.nodeSelector`) of a document that its schema has been compared with. */
import type { Report } from "./diagnostic.ts";
import { grammarOf, NAMESPACE_NAME } from "./grammars.ts";
import { HOSTNAME_PATTERN_KEYS, hostnameTest } from "./node_selector.ts";
import {
  CONTAINER_NAME_KEY,
  type ContainerNames,
  type MatchExpression,
  parseContainerNames,
  type Selector,
} from "./selector.ts";
import { child, childItems, childText, childTextMap, type ScalarTree, type Tree } from "./tree.ts";
import { shorten, whereOf } from "./validate.ts";

/** The selector of one policy; of a node selector only the labels. */
export function readSelector(spec: Tree | undefined, report: Report): Selector {
  const nodes = child(spec, "nodeSelector");
  const written = child(spec, "selector") ?? nodes;
  checkHostnames(nodes, report);
  const { [CONTAINER_NAME_KEY]: containers, ...matchLabels } = childTextMap(written, "matchLabels");
  const { names, pattern } = readContainerNames(written, containers, report);
  const expressions = readExpressions(written, report);
  return {
    matchLabels,
    containerNames: names,
    ...(pattern !== undefined && { containerPattern: pattern }),
    ...(expressions.length > 0 && { matchExpressions: expressions }),
  };
}

function checkHostnames(nodes: Tree | undefined, report: Report): void {
  for (const [key, value] of Object.entries(childTextMap(nodes, "matchLabels"))) {
    if (!HOSTNAME_PATTERN_KEYS.includes(key)) continue;
    try {
      hostnameTest(value);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      report({
        severity: "error",
        where: whereOf(child(nodes, "matchLabels")!, key),
        field: `spec.nodeSelector.matchLabels["${key}"]`,
        message: `Cannot use value: must be a POSIX regular expression: current value is "${
          shorten(value)
        }": ${lowerFirst(error.message)}`,
        hint: 'for example "node-.*", or "node-*"',
      });
    }
  }
}

function readContainerNames(
  selector: Tree | undefined,
  value: string | undefined,
  report: Report,
): ContainerNames {
  if (value === undefined) return { names: [] };
  try {
    return parseContainerNames(value);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    report({
      severity: "error",
      where: whereOf(child(selector, "matchLabels")!, CONTAINER_NAME_KEY),
      field: `spec.selector.matchLabels["${CONTAINER_NAME_KEY}"]`,
      message: `Cannot use value: must be a POSIX regular expression: current value is "${
        shorten(value)
      }": ${lowerFirst(error.message)}`,
      hint: 'write a name, a list "[web, db]" or an expression such as "web-.*"',
    });
    return { names: [] };
  }
}

/** JavaScript's own complaints begin with "Invalid regular expression: /.../u: "; what follows is the reason. */
function lowerFirst(message: string): string {
  const reason = message.replace(/^Invalid regular expression: .*\/[a-z]*: /s, "");
  return reason.charAt(0).toLowerCase() + reason.slice(1);
}

function readExpressions(selector: Tree | undefined, report: Report): MatchExpression[] {
  return childItems(selector, "matchExpressions").map((item, index) => {
    const written = childText(item, "key");
    const key = written === "namespace" ? "namespace" : "label";
    const operator = childText(item, "operator") === "NotIn" ? "NotIn" : "In";
    const values = childItems(item, "values").flatMap((value) => {
      if (value.kind !== "scalar" || typeof value.value !== "string") return [];
      const field = `spec.selector.matchExpressions[${index}].values`;
      // Of another key the schema has complained, and of one that is missing the report below does.
      if (written === key) checkValue(key, value, field, report);
      return [value.value];
    });
    reportMissing(item, index, report);
    return { key, operator, values };
  });
}

function checkValue(
  key: MatchExpression["key"],
  { value, where }: ScalarTree,
  field: string,
  report: Report,
): void {
  const text = shorten(String(value));
  const complain = (wanted: string, hint: string) =>
    report({
      severity: "error",
      where,
      field,
      message: `Cannot use value: must ${wanted}: current value is "${text}"`,
      hint,
    });
  if (key === "label") {
    if (!String(value).includes("=")) {
      complain("be a label as key=value", `for example "app=${text}"`);
    }
  } else if (!isNamespace(String(value))) {
    const { wanted } = NAMESPACE_NAME;
    complain(wanted, "write one namespace in each value; there are no wildcards");
  }
}

function isNamespace(value: string): boolean {
  return grammarOf(NAMESPACE_NAME.pattern).test(value);
}

/** The schema asks for none of them, as KubeArmor's does, but without them the expression says nothing. */
function reportMissing(item: Tree, index: number, report: Report): void {
  for (const name of ["key", "operator", "values"]) {
    if (item.kind !== "map" || child(item, name) !== undefined) continue;
    report({
      severity: "error",
      where: item.where,
      field: `spec.selector.matchExpressions[${index}]`,
      message: `Cannot use expression: it has no ${name}`,
      hint: 'write "key: label", "operator: In" and "values: [app=web]"',
    });
  }
}
