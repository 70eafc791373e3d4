/** Turns a policy document into a `Policy`: checks it against its kind's schema, inherits, normalises. */
import { closest } from "../lib/suggest.ts";
import { API_GROUP, API_VERSION, KINDS } from "./crd.ts";
import { hasErrors, type Position, type Report } from "./diagnostic.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { NAMESPACE_NAME, OBJECT_NAME } from "./grammars.ts";
import type { Policy, PolicyKind } from "./policy.ts";
import type { Rule } from "./rule.ts";
import { readRules } from "./rule_reader.ts";
import { object, type ObjectSchema, text, textMap } from "./schema.ts";
import { CONTAINER_NAME_KEY, hasCondition, type Selector } from "./selector.ts";
import { readSelector } from "./selector_reader.ts";
import { child, childItems, childText, childTextMap, type MapTree, type Tree } from "./tree.ts";
import { shorten, validate, whereOf } from "./validate.ts";

/** What the API server checks by itself, for files. Other fields of `metadata` are its own business. */
const METADATA: ObjectSchema = {
  type: "object",
  description: "Name and namespace.",
  properties: {
    name: text("Name of the policy, unique in its namespace.", {
      pattern: OBJECT_NAME.pattern,
      maxLength: 253,
    }),
    namespace: text("Namespace.", { pattern: NAMESPACE_NAME.pattern, maxLength: 63 }),
    labels: textMap("Labels."),
    annotations: textMap("Annotations."),
  },
  additionalProperties: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  required: ["name"],
};

/**
 * Annotation of a host policy that is to hold for init, kubelet and container runtimes as well. No field of the spec: KubeArmor's
 * own schema would drop that, and with it what was meant.
 */
export const FORCE_ANNOTATION = "ankylo.io/force";

const KIND_NOT_ENFORCED: Readonly<Record<PolicyKind, string | undefined>> = {
  KubeArmorPolicy: undefined,
  KubeArmorHostPolicy: undefined,
  KubeArmorClusterPolicy: undefined,
  KubeArmorNetworkPolicy: "this engine does not support network policies yet",
};

/**
 * The policies of one document: one, none after an error, or those inside a `List` as `kubectl get -o yaml` prints it.
 */
export function readPolicies(document: Tree, report: Report): Policy[] {
  if (document.kind === "map" && isList(document)) {
    return childItems(document, "items").flatMap((item) => readPolicies(item, report));
  }
  const policy = readPolicy(document, report);
  return policy === undefined ? [] : [policy];
}

function isList(document: MapTree): boolean {
  return childText(document, "kind").endsWith("List") &&
    child(document, "items")?.kind === "list";
}

function readPolicy(document: Tree, report: Report): Policy | undefined {
  if (document.kind !== "map") {
    return void report({
      severity: "error",
      where: document.where,
      field: "",
      message: "Cannot read policy: must be a mapping with apiVersion, kind, metadata and spec",
      hint: "k8s/examples has policies to start from",
    });
  }
  const definition = findKind(document, report);
  if (definition === undefined) return undefined;

  const findings: Diagnostic[] = [];
  const failed = new Set<string>();
  // The schema speaks first; what follows must not repeat its complaint about the same field.
  const collect: Report = (finding) => {
    if (finding.severity === "error" && finding.field !== "" && failed.has(finding.field)) return;
    findings.push(finding);
  };
  validate(document, documentSchema(definition.spec), "", collect);
  for (const finding of findings) if (finding.severity === "error") failed.add(finding.field);

  const spec = child(document, "spec");
  const isForced = readForce(child(document, "metadata"), definition.kind, collect);
  const selector = readSelector(spec, collect);
  const rules = readRules(definition.kind, spec, collect);
  // What has an error is missing here, and "no rules" or "no label" would mislead.
  if (!hasErrors(findings)) {
    if (definition.kind === "KubeArmorPolicy") warnUnconditional(document, selector, collect);
    warnEmpty(document, rules, collect);
  }
  findings.forEach(report);
  if (hasErrors(findings)) return undefined;

  const metadata = child(document, "metadata")!;
  const notEnforced = KIND_NOT_ENFORCED[definition.kind];
  return {
    kind: definition.kind,
    namespace: childText(metadata, "namespace"),
    name: childText(metadata, "name"),
    selector,
    rules,
    where: whereOf(metadata, "name"),
    ...(isForced && { isForced }),
    ...(notEnforced !== undefined && { notEnforced }),
  };
}

function readForce(metadata: Tree | undefined, kind: PolicyKind, report: Report): true | undefined {
  const annotations = child(metadata, "annotations");
  const value = childTextMap(metadata, "annotations")[FORCE_ANNOTATION];
  if (value === undefined || value === "false") return undefined;
  const isHost = kind === "KubeArmorHostPolicy";
  if (isHost && value === "true") return true;
  report({
    severity: "error",
    where: whereOf(annotations!, FORCE_ANNOTATION),
    field: `metadata.annotations["${FORCE_ANNOTATION}"]`,
    message: isHost
      ? `Cannot use value: must be "true" or "false": current value is "${shorten(value)}"`
      : `Cannot use annotation: it belongs to KubeArmorHostPolicy: found kind ${kind}`,
    hint: "a forced host policy holds for init, kubelet and container runtimes, too",
  });
  return undefined;
}

function documentSchema(spec: ObjectSchema): ObjectSchema {
  return object({
    apiVersion: text("Version of the format."),
    kind: text("Kind of the policy."),
    metadata: METADATA,
    spec,
    status: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  }, { required: ["metadata", "spec"] });
}

/** The document's kind, or a report why it is no policy at all. */
function findKind(document: MapTree, report: Report): (typeof KINDS)[number] | undefined {
  const complain = (field: string, message: string, hint: string, where?: Position) =>
    void report({
      severity: "error",
      where: where ?? whereOf(document, field),
      field: document.entries.has(field) ? field : "",
      message,
      hint,
    });
  const kinds = KINDS.map((definition) => definition.kind);
  const apiVersion = childText(document, "apiVersion");
  const kind = childText(document, "kind");
  if (apiVersion === "" || kind === "") {
    const missing = apiVersion === "" ? "apiVersion" : "kind";
    const wanted = apiVersion === "" ? API_VERSION : "KubeArmorPolicy";
    return complain(
      missing,
      `Cannot read policy: it has no ${missing}`,
      `add "${missing}: ${wanted}"`,
    );
  }
  const definition = KINDS.find((candidate) => candidate.kind === kind);
  if (definition === undefined) {
    const meant = apiVersion.startsWith(API_GROUP) ? closest(kind.slice(0, 64), kinds) : undefined;
    return complain(
      "kind",
      `Cannot read policy: kind "${shorten(kind)}" is no policy`,
      meant === undefined
        ? `the kinds are ${kinds.join(", ")}; keep other objects in another folder`
        : `did you mean "${meant}"?`,
    );
  }
  if (apiVersion !== API_VERSION) {
    return complain(
      "apiVersion",
      `Cannot read policy: must be "${API_VERSION}": current value is "${shorten(apiVersion)}"`,
      "there is no other version of this kind",
    );
  }
  return definition;
}

/** A policy with a namespace is meant for pods, and without a condition for all of them there. */
function warnUnconditional(document: MapTree, selector: Selector, report: Report): void {
  const metadata = child(document, "metadata")!;
  if (hasCondition(selector) || childText(metadata, "namespace") !== "") return;
  report({
    severity: "warning",
    where: whereOf(child(document, "spec")!, "selector"),
    field: "spec.selector",
    message: "Found no label to select by: outside Kubernetes the policy selects no container",
    hint:
      `add matchLabels, for example ${CONTAINER_NAME_KEY}: web; for all pods of a namespace add metadata.namespace`,
  });
}

function warnEmpty(document: MapTree, rules: readonly Rule[], report: Report): void {
  if (rules.length > 0) return;
  report({
    severity: "warning",
    where: whereOf(document, "spec"),
    field: "spec",
    message: "Found no rules: the policy changes nothing",
    hint: 'add for example "process:" with "matchPaths:"',
  });
}
