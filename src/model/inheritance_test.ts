/** What a rule has from its item, its group and its spec, for every list and every combination. */
import assert from "node:assert/strict";
import { hasErrors } from "./diagnostic.ts";
import { parsePolicies } from "./parse.ts";
import type { PolicyKind } from "./policy.ts";
import type { Rule } from "./rule.ts";

type Level = "item" | "group" | "spec";
type Header = Pick<Rule, "action" | "severity" | "tags" | "message">;

const LEVELS: readonly Level[] = ["item", "group", "spec"];

/** Different at each level, so that a result tells where it came from. */
const WRITTEN: Readonly<Record<Level, Header>> = {
  item: { action: "Allow", severity: 7, tags: ["item", "i"], message: "of the item" },
  group: { action: "Audit", severity: 5, tags: ["group"], message: "of the group" },
  spec: { action: "Block", severity: 3, tags: ["spec"], message: "of the spec" },
};

const NONE: Header = { action: "Block", severity: 0, tags: [], message: "" };

/** Where in a list a header may stand, and what its items name. */
interface ListKind {
  readonly group: string;
  readonly list: string;
  readonly item: Record<string, unknown>;
  readonly kind?: PolicyKind;
  /** Levels at which a field may stand; by default all three. */
  readonly levels?: readonly Level[];
  /** System calls are audited whatever is written. */
  readonly action?: "Audit";
}

const LISTS: readonly ListKind[] = [
  { group: "process", list: "matchPaths", item: { path: "/a" } },
  { group: "process", list: "matchPaths", item: { execname: "a" } },
  { group: "process", list: "matchDirectories", item: { dir: "/a/" } },
  { group: "process", list: "matchPatterns", item: { pattern: "/a*" } },
  { group: "file", list: "matchPaths", item: { path: "/a" } },
  { group: "file", list: "matchDirectories", item: { dir: "/a/" } },
  { group: "file", list: "matchPatterns", item: { pattern: "/a*" } },
  { group: "network", list: "matchProtocols", item: { protocol: "tcp" } },
  { group: "network", list: "matchDNSQueries", item: { domain: "a.b" } },
  { group: "capabilities", list: "matchCapabilities", item: { capability: "net_raw" } },
  {
    group: "device",
    list: "matchDevice",
    item: { class: "HUB" },
    kind: "KubeArmorHostPolicy",
  },
  {
    group: "syscalls",
    list: "matchSyscalls",
    item: { syscall: ["unlink"] },
    levels: ["group", "spec"],
    action: "Audit",
  },
];

const SELECTORS: Readonly<Record<PolicyKind, Record<string, unknown>>> = {
  KubeArmorPolicy: { selector: { matchLabels: { app: "web" } } },
  KubeArmorClusterPolicy: {
    selector: { matchExpressions: [{ key: "label", operator: "In", values: ["a=b"] }] },
  },
  KubeArmorHostPolicy: { nodeSelector: { matchLabels: { "kubernetes.io/hostname": "n" } } },
  KubeArmorNetworkPolicy: { nodeSelector: { matchLabels: { "kubernetes.io/hostname": "n" } } },
};

function rulesOf(kind: PolicyKind, spec: Record<string, unknown>): readonly Rule[] {
  const document = {
    apiVersion: "security.kubearmor.com/v1",
    kind,
    metadata: { name: "p" },
    spec: { ...SELECTORS[kind], ...spec },
  };
  const { policies, diagnostics } = parsePolicies(JSON.stringify(document), "p.json");
  assert.equal(hasErrors(diagnostics), false, JSON.stringify(diagnostics));
  return policies[0]!.rules;
}

/** The field at those levels that `mask` has a bit for. */
function headersFor(field: keyof Header, mask: number): Record<Level, Partial<Header>> {
  const at = (level: Level, bit: number) =>
    (mask & bit) === 0 ? {} : { [field]: WRITTEN[level][field] };
  return { item: at("item", 1), group: at("group", 2), spec: at("spec", 4) };
}

for (const { group, list, item, kind = "KubeArmorPolicy", levels = LEVELS, action } of LISTS) {
  const [named] = Object.keys(item);
  Deno.test(`${group}.${list} (${named}) inherits each header field by itself, item > group > spec`, () => {
    for (const field of ["action", "severity", "tags", "message"] as const) {
      const allowed = field === "action" && action !== undefined ? ["spec" as const] : levels;
      for (let mask = 0; mask < 8; mask++) {
        const headers = headersFor(field, mask);
        if (LEVELS.some((level) => !allowed.includes(level) && field in headers[level])) continue;
        const [rule] = rulesOf(kind, {
          ...headers.spec,
          [group]: { ...headers.group, [list]: [{ ...item, ...headers.item }] },
        });
        const from = LEVELS.find((level) => field in headers[level]);
        const inherited = from === undefined ? NONE : WRITTEN[from];
        const wanted = { ...NONE, [field]: inherited[field], ...(action && { action }) };
        const { severity, tags, message } = rule!;
        assert.deepEqual(
          { action: rule!.action, severity, tags, message },
          wanted,
          `${field} ${mask}`,
        );
      }
    }
  });
}

Deno.test("what is empty or 0 counts as not written", () => {
  const [rule] = rulesOf("KubeArmorPolicy", {
    ...WRITTEN.spec,
    file: { matchPaths: [{ path: "/a", action: "", tags: [], message: "" }], message: "" },
  });
  const { action, severity, tags, message } = rule!;
  assert.deepEqual({ action, severity, tags, message }, WRITTEN.spec);
});

Deno.test("presets have the spec's severity, tags and message, and never its action", () => {
  const rules = rulesOf("KubeArmorPolicy", {
    ...WRITTEN.spec,
    action: "Audit",
    presets: [{ name: "exec" }, { name: "exec", action: "Audit" }, {
      name: "exec",
      action: "Block",
    }],
  });
  assert.deepEqual(rules.map(({ action }) => action), ["Block", "Audit", "Block"]);
  for (const { severity, tags, message } of rules) {
    assert.deepEqual({ action: "Block", severity, tags, message }, WRITTEN.spec);
  }
});

Deno.test("a preset's Allow is Block, as in KubeArmor", () => {
  const [rule] = rulesOf("KubeArmorPolicy", { presets: [{ name: "exec", action: "Allow" }] });
  assert.equal(rule!.action, "Block");
  assert.equal(rule!.notEnforced, undefined);
});

Deno.test("a network policy's entries inherit from the spec", () => {
  const [own, other] = rulesOf("KubeArmorNetworkPolicy", {
    ...WRITTEN.spec,
    action: "Audit",
    ingress: [{ ports: [{ port: "22" }], action: "Allow", severity: 9 }],
    egress: [{ ports: [{ port: "80" }] }],
  });
  assert.deepEqual([own!.action, own!.severity, own!.message], ["Allow", 9, "of the spec"]);
  assert.deepEqual([other!.action, other!.severity, other!.tags], ["Audit", 3, ["spec"]]);
});

Deno.test("each element of a list with commas inherits the same", () => {
  const rules = rulesOf("KubeArmorPolicy", {
    network: {
      ...WRITTEN.group,
      matchProtocols: [{ protocol: "udp" }, { protocol: "tcp, icmp", severity: 8 }],
    },
  });
  assert.deepEqual(rules.map(({ severity, message }) => [severity, message]), [
    [5, "of the group"],
    [8, "of the group"],
    [8, "of the group"],
  ]);
});
