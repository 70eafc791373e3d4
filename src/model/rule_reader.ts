/** Reads the rules of a document: one per item of a `match…` list, with what it inherits and why it is not enforced. */
import type { Position, Report } from "./diagnostic.ts";
import type { PolicyKind } from "./policy.ts";
import { closest } from "../lib/suggest.ts";
import { isPresetName, PRESET_NAMES } from "./presets.ts";
import type { Action, Rule, RuleGroup, RuleTarget } from "./rule.ts";
import { type Item, type Reading, readPathField } from "./rule_item.ts";
import { readSyscallPaths, readSyscalls } from "./syscall_reader.ts";
import { type DomainTarget, readDomain } from "./domain.ts";
import { globDefect } from "./glob.ts";
import { CAPABILITIES, PROTOCOLS } from "./grammars.ts";
import { child, childBoolean, childItems, childNumber, childText, childTexts } from "./tree.ts";
import type { ScalarTree, Tree } from "./tree.ts";
import { checkTraffic } from "./traffic.ts";
import { shorten, whereOf } from "./validate.ts";

/** What an item inherits: item > group > spec, each field by itself. */
interface Header {
  readonly action: Action;
  readonly severity: number;
  readonly tags: readonly string[];
  readonly message: string;
}

interface ListDefinition {
  readonly group: RuleGroup;
  readonly list: string;
  readonly read: (item: Item) => Reading;
}

const LISTS: readonly ListDefinition[] = [
  { group: "process", list: "matchPaths", read: readProcessPath },
  { group: "process", list: "matchDirectories", read: readDirectory },
  { group: "process", list: "matchPatterns", read: readPattern },
  { group: "file", list: "matchPaths", read: readPath },
  { group: "file", list: "matchDirectories", read: readDirectory },
  { group: "file", list: "matchPatterns", read: readPattern },
  { group: "network", list: "matchProtocols", read: readProtocols },
  { group: "network", list: "matchDNSQueries", read: readDomains },
  { group: "capabilities", list: "matchCapabilities", read: readCapabilities },
  { group: "syscalls", list: "matchSyscalls", read: readSyscalls },
  { group: "syscalls", list: "matchPaths", read: readSyscallPaths },
  { group: "device", list: "matchDevice", read: readNamed("class", "device rules") },
];

/** Every rule of `spec`, in the order of the groups above. */
export function readRules(kind: PolicyKind, spec: Tree | undefined, report: Report): Rule[] {
  const top = headerOf(spec, {
    action: "Block",
    severity: 0,
    tags: [],
    message: "",
  });
  const rules = LISTS.flatMap((definition) => readList(definition, spec, top, report))
    .map((rule) => isOfNode(kind, rule) ? { ...rule, notEnforced: NOT_OF_NODE } : rule);
  if (kind === "KubeArmorNetworkPolicy") return [...rules, ...readTraffic(spec, top, report)];
  return [...rules, ...readPresets(spec, top, report), ...readAppArmor(spec, top)];
}

/** The node's own packets are nobody's: they are judged by containers. */
function isOfNode(kind: PolicyKind, { target, notEnforced }: Rule): boolean {
  return kind === "KubeArmorHostPolicy" && target.kind === "domain" && notEnforced === undefined;
}

const NOT_OF_NODE = "which names the node itself asks for is not judged";

function readList(
  definition: ListDefinition,
  spec: Tree | undefined,
  top: Header,
  report: Report,
): Rule[] {
  const { group, list, read } = definition;
  const groupTree = child(spec, group);
  const inherited = headerOf(groupTree, top);
  return childItems(groupTree, list).flatMap((tree, index) => {
    const item = { tree, field: `spec.${group}.${list}[${index}]`, report };
    const { targets, lacks, why } = read(item);
    const header = headerOf(tree, inherited);
    const common = {
      group,
      list,
      index,
      ...header,
      // System calls are audited whatever is written.
      ...(group === "syscalls" && { action: "Audit" as const }),
      readOnly: childBoolean(tree, "readOnly") ?? false,
      ...(childBoolean(tree, "ownerOnly") === true && { ownerOnly: true as const }),
      // Absent and true mean the same.
      ...(childBoolean(tree, "pts") === false && { terminalOnly: true as const }),
      // Those of system calls may be directories, and are in the target.
      fromSource: group === "syscalls" ? [] : readSources(item),
      where: tree.where,
      ...notEnforced(lacks),
      ...(why !== undefined && { notEnforced: why }),
    };
    return targets.map((target) => ({ ...common, target }));
  });
}

function notEnforced(lacks: readonly string[]): { notEnforced?: string } {
  if (lacks.length === 0) return {};
  return { notEnforced: `this engine does not support ${lacks.join(" and ")} yet` };
}

function headerOf(tree: Tree | undefined, inherited: Header): Header {
  const action = childText(tree, "action");
  const tags = childTexts(tree, "tags");
  return {
    action: action === "" ? inherited.action : actionOf(action),
    severity: childNumber(tree, "severity") || inherited.severity,
    tags: tags.length > 0 ? tags : inherited.tags,
    message: childText(tree, "message") || inherited.message,
  };
}

/** The schema has refused other words, and lower case anywhere but in the spec. */
function actionOf(word: string): Action {
  const lower = word.toLowerCase();
  if (lower === "allow") return "Allow";
  return lower === "audit" ? "Audit" : "Block";
}

// ---- process and file -----------------------------------------------------------------------------------------------

/**
 * What these fields add changes whom the rule hits, so that a rule with one of them is left out whole: enforced without,
 * it would refuse people whom its author lets pass.
 */
function lackedBy(tree: Tree): string[] {
  const lacks: string[] = [];
  if (childTexts(tree, "allowedArgs").length > 0) lacks.push("allowedArgs");
  return lacks;
}

function readProcessPath(item: Item): Reading {
  const name = childText(item.tree, "execname");
  const hasPath = child(item.tree, "path") !== undefined;
  if (name !== "" && !hasPath) {
    return { targets: [{ kind: "name", name }], lacks: lackedBy(item.tree) };
  }
  if (item.tree.kind === "map" && (name !== "" || !hasPath)) reportPathOrName(item, hasPath);
  return readPath(item);
}

function reportPathOrName({ tree, field, report }: Item, both: boolean): void {
  report({
    severity: "error",
    where: tree.where,
    field,
    message: both
      ? 'Cannot use rule: it has both "path" and "execname"'
      : 'Cannot use rule: it has neither "path" nor "execname"',
    hint: both ? "make two items of it" : 'add "path", for example "path: /usr/bin/curl"',
  });
}

function readPath(item: Item): Reading {
  const path = readPathField(item, "path", "path");
  const targets: RuleTarget[] = path === undefined ? [] : [{ kind: "path", path }];
  return { targets, lacks: lackedBy(item.tree) };
}

function readDirectory(item: Item): Reading {
  const path = readPathField(item, "dir", "directory");
  const recursive = childBoolean(item.tree, "recursive") ?? false;
  const targets: RuleTarget[] = path === undefined ? [] : [{ kind: "directory", path, recursive }];
  return { targets, lacks: lackedBy(item.tree) };
}

/** A glob that is none leaves its rule out, and no other: KubeArmor's schema takes any text. */
function readPattern({ tree }: Item): Reading {
  const pattern = childText(tree, "pattern");
  const defect = globDefect(pattern);
  if (defect === undefined) {
    return { targets: [{ kind: "pattern", pattern }], lacks: lackedBy(tree) };
  }
  const target = { kind: "other", list: "matchPatterns", text: pattern } as const;
  return { targets: [target], lacks: [], why: `pattern "${shorten(pattern)}" ${defect}` };
}

/** Executables of `fromSource`, each once. */
function readSources({ tree, field, report }: Item): string[] {
  const paths = childItems(tree, "fromSource").flatMap((tree, index) => {
    const item = { tree, field: `${field}.fromSource[${index}]`, report };
    return readPathField(item, "path", "path") ?? [];
  });
  return [...new Set(paths)];
}

// ---- network --------------------------------------------------------------------------------------------------------

/** The schema has refused other words. */
function readProtocols({ tree }: Item): Reading {
  const targets = wordsOf(tree, "protocol").flatMap((word) => {
    const protocol = PROTOCOLS.find((name) => name === word.toLowerCase());
    return protocol === undefined ? [] : [{ kind: "protocol", protocol } as const];
  });
  return { targets, lacks: lackedBy(tree) };
}

/** A text that is no domain leaves its rule out, and no other: KubeArmor's schema takes any text. */
function readDomains({ tree }: Item): Reading {
  const words = wordsOf(tree, "domain");
  const read = words.map((word) => ({ word, target: readDomain(word) }));
  const wrong = read.find(({ target }) => typeof target === "string");
  if (wrong === undefined) {
    return { targets: read.map(({ target }) => target as DomainTarget), lacks: lackedBy(tree) };
  }
  const targets = words.map((text) => ({ kind: "other", list: "matchDNSQueries", text }) as const);
  const why = `domain "${shorten(wrong.word)}" ${wrong.target}`;
  return { targets, lacks: [], why };
}

/** The same, with or without `cap_`. */
function readCapabilities({ tree }: Item): Reading {
  const targets = wordsOf(tree, "capability").flatMap((word) => {
    const capability = word.toLowerCase().replace(/^cap_/, "");
    return CAPABILITIES.includes(capability) ? [{ kind: "capability", capability } as const] : [];
  });
  return { targets, lacks: lackedBy(tree) };
}

/** The words of a value with commas. */
function wordsOf(tree: Tree, name: string): string[] {
  return childText(tree, name).split(",").map((word) => word.trim()).filter((word) => word !== "");
}

// ---- lists that are not enforced yet ----------------------------------------------------------------------------------

/** A list whose items name one thing. */
function readNamed(name: string, feature: string): (item: Item) => Reading {
  return ({ tree, field }) => {
    const words = [childText(tree, name)].filter((word) => word !== "");
    const list = field.replace(/^.*\.|\[\d+\]$/g, "");
    const targets = words.map((text) => ({ kind: "other", list, text }) as const);
    return { targets, lacks: [feature, ...lackedBy(tree)] };
  };
}

/** A preset has its own action or blocks: what the spec says about rules is not about presets. */
function readPresets(spec: Tree | undefined, top: Header, report: Report): Rule[] {
  return childItems(spec, "presets").map((tree, index) => ({
    ...{ group: "presets", list: "presets", index, ...top } as const,
    action: presetAction({ tree, field: `spec.presets[${index}]`, report }),
    ...presetOf(tree),
    ...{ readOnly: false, fromSource: [], where: tree.where },
  }));
}

/** Allow is Block, as it is in KubeArmor, where existing files mean that by it. */
function presetAction({ tree, field, report }: Item): Action {
  const action = actionOf(childText(tree, "action"));
  if (action !== "Allow") return action;
  report({
    severity: "warning",
    where: whereOf(tree, "action"),
    field: `${field}.action`,
    message: "Allow counts as Block: a preset names what is refused, and KubeArmor blocks it, too",
    hint: 'write "Block"; to allow it, remove the preset',
  });
  return "Block";
}

/** A name that there is not leaves out its own preset alone: KubeArmor's schema takes any text, and it ignores such a preset. */
function presetOf(tree: Tree): Pick<Rule, "target" | "notEnforced"> {
  const name = childText(tree, "name");
  if (isPresetName(name)) return { target: { kind: "preset", preset: name } };
  const meant = closest(name.slice(0, 64), PRESET_NAMES);
  const hint = meant === undefined
    ? `the presets are ${PRESET_NAMES.join(", ")}`
    : `did you mean "${meant}"?`;
  return {
    target: { kind: "other", list: "presets", text: shorten(name) },
    notEnforced: `there is no preset of that name: ${hint}`,
  };
}

function readAppArmor(spec: Tree | undefined, top: Header): Rule[] {
  const value = child(spec, "apparmor") as ScalarTree | undefined;
  const text = childText(spec, "apparmor").trim();
  if (value === undefined || text === "") return [];
  return [otherRule("apparmor", "apparmor", 0, text, top, value.where)];
}

function readTraffic(spec: Tree | undefined, top: Header, report: Report): Rule[] {
  checkNetworkPolicy(spec, report);
  return ["ingress", "egress"].flatMap((list) =>
    childItems(spec, list).map((tree, index) => {
      const side = list === "ingress" ? "from" : "to";
      checkTraffic(tree, side, `spec.${list}[${index}]`, report);
      const peers = childItems(tree, side)
        .map((peer) => childText(child(peer, "ipBlock"), "cidr"));
      const ports = childItems(tree, "ports").map((port) => childText(port, "port"));
      const text = [peers.join(",") || "any address", ports.join(",") || "any port"].join(" ");
      return otherRule("network", list, index, text, headerOf(tree, top), tree.where);
    })
  );
}

/** The validations that the API server does in CEL. */
function checkNetworkPolicy(spec: Tree | undefined, report: Report): void {
  const selector = child(spec, "selector");
  if (spec === undefined || selector === undefined) return;
  const complain = (tree: Tree, field: string, message: string, hint: string) =>
    report({ severity: "error", where: tree.where, field, message, hint });
  if (child(spec, "nodeSelector") !== undefined) {
    const message = "Cannot use policy: selector and nodeSelector exclude each other";
    complain(selector, "spec.selector", message, "make two policies of it");
  }
  for (const list of ["ingress", "egress"]) {
    childItems(spec, list).forEach((tree, index) => {
      const missing = ["limit", "duration"].filter((name) => child(tree, name) === undefined);
      if (tree.kind !== "map" || missing.length === 0) return;
      const message = `Cannot use rule: it has no ${missing.join(" and no ")}`;
      const hint = "policies for pods set quotas only; use nodeSelector for other rules";
      complain(tree, `spec.${list}[${index}]`, message, hint);
    });
  }
}

function otherRule(
  group: RuleGroup,
  list: string,
  index: number,
  text: string,
  header: Header,
  where: Position,
): Rule {
  const features: Partial<Record<RuleGroup, string>> = {
    apparmor: "AppArmor rules",
    network: "network policies",
  };
  return {
    group,
    list,
    index,
    target: { kind: "other", list, text },
    ...header,
    readOnly: false,
    fromSource: [],
    where,
    ...notEnforced([features[group]!]),
  };
}
