/**
 * The four policy kinds: one schema for kubectl and for files. `k8s/crds/*.yaml` is written from here by
 * `scripts/gen_crds.ts`; a test fails when they differ.
 */
import {
  CAPABILITY,
  DIRECTORY,
  EXECUTABLE_NAME,
  type Grammar,
  LIMIT,
  PATH,
  PROTOCOL,
} from "./grammars.ts";
import { PATH_BYTES_MAX } from "./limits.ts";
import type { PolicyKind } from "./policy.ts";
import { boolean, integer, list, object, type ObjectSchema, type Schema } from "./schema.ts";
import { text, textMap } from "./schema.ts";
import { SYSCALL_NAMES } from "./syscall_names.ts";

export const API_GROUP = "security.kubearmor.com";
export const API_VERSION = `${API_GROUP}/v1`;

type Properties = Readonly<Record<string, Schema>>;

export interface KindDefinition {
  readonly kind: PolicyKind;
  readonly plural: string;
  readonly shortName: string;
  readonly scope: "Namespaced" | "Cluster";
  /** What a list of the kind shows as Selector. */
  readonly selectorField: string;
  readonly spec: ObjectSchema;
}

// ---- header fields, at spec, group and item level ---------------------------------------------------------------

const ACTIONS = ["Allow", "Audit", "Block"] as const;

const DETAILS: Properties = {
  severity: integer("How bad a violation is, from 1 to 10.", { minimum: 1, maximum: 10 }),
  tags: list({ type: "string" }, { description: "Words that alerts carry." }),
  message: text("Sentence that alerts carry."),
};

const HEADER: Properties = {
  action: text("What to do with a match; inherited where it is not given.", { enum: ACTIONS }),
  ...DETAILS,
};

/** Lower case is accepted here and only here, as KubeArmor does. */
const SPEC_HEADER: Properties = {
  ...HEADER,
  action: text("What to do with a match; Block where it is not given.", {
    enum: [...ACTIONS, ...ACTIONS.map((action) => action.toLowerCase())],
  }),
};

// ---- fields that several lists share ------------------------------------------------------------------------------

function path(description: string, grammar: Grammar = PATH): Schema {
  return text(description, { pattern: grammar.pattern, maxLength: PATH_BYTES_MAX });
}

const OWNER_ONLY = boolean("Only the file's owner passes.");
const READ_ONLY = boolean("Reading passes, whatever the action.");
const RECURSIVE = boolean("Subdirectories too.");
const PTS = boolean("false: the rule only refuses callers with a terminal.");
const FROM_SOURCE = list(
  object({ path: path("Real path of an executable.") }, { required: ["path"] }),
  { description: "The rule only holds for these programs; for process rules, for their children." },
);
const SYSCALL_SOURCE = list(
  object({
    path: path("Real path of an executable."),
    dir: path("Directory of executables.", DIRECTORY),
    recursive: RECURSIVE,
  }),
);

function items(properties: Properties, required: readonly string[] = []): Schema {
  const item = { ...properties, ...HEADER };
  return list(object(item, required.length === 0 ? {} : { required }));
}

function group(description: string, lists: Properties): Schema {
  return object({ ...lists, ...HEADER }, { description });
}

const PROCESS_ITEM: Properties = { ownerOnly: OWNER_ONLY, pts: PTS, fromSource: FROM_SOURCE };
const FILE_ITEM: Properties = { ...PROCESS_ITEM, readOnly: READ_ONLY };

const PROCESS = group("Programs that are executed.", {
  matchPaths: items({
    path: path("Real path of the program."),
    execname: text("File name of the program.", { pattern: EXECUTABLE_NAME.pattern }),
    allowedArgs: list({ type: "string" }, { maxItems: 20 }),
    ...PROCESS_ITEM,
  }),
  matchDirectories: items(
    { dir: path("Directory of programs.", DIRECTORY), recursive: RECURSIVE, ...PROCESS_ITEM },
    ["dir"],
  ),
  matchPatterns: items({ pattern: text("Glob."), ownerOnly: OWNER_ONLY }, ["pattern"]),
});

const FILE = group("Files and directories that are used.", {
  matchPaths: items({ path: path("Real path of the file."), ...FILE_ITEM }, ["path"]),
  matchDirectories: items(
    { dir: path("Directory of files.", DIRECTORY), recursive: RECURSIVE, ...FILE_ITEM },
    ["dir"],
  ),
  matchPatterns: items(
    { pattern: text("Glob."), readOnly: READ_ONLY, ownerOnly: OWNER_ONLY },
    ["pattern"],
  ),
});

function network(kind: "container" | "host"): Schema {
  const protocol = text("Protocol or socket type.", { pattern: PROTOCOL.pattern });
  const onHost = kind === "host";
  return group("Sockets that are made, and names that are asked for.", {
    matchProtocols: onHost
      ? items({ protocol, fromSource: FROM_SOURCE }, ["protocol", "fromSource"])
      : items({ protocol, pts: PTS, fromSource: FROM_SOURCE }, ["protocol"]),
    matchDNSQueries: items(
      { domain: text("Domain; its subdomains too."), fromSource: FROM_SOURCE },
      ["domain"],
    ),
  });
}

function capabilities(kind: "container" | "host"): Schema {
  const capability = text("Capability of Linux.", { pattern: CAPABILITY.pattern });
  return group("Capabilities that are used.", {
    matchCapabilities: items(
      { capability, fromSource: FROM_SOURCE },
      kind === "host" ? ["capability", "fromSource"] : ["capability"],
    ),
  });
}

const SYSCALL = list({ type: "string", enum: SYSCALL_NAMES }, { description: "System calls." });

/** Items have no header, and the group no action: system calls are only ever audited. */
const SYSCALLS = object({
  matchSyscalls: list(object({ syscall: SYSCALL, fromSource: SYSCALL_SOURCE })),
  matchPaths: list(
    object({
      syscall: SYSCALL,
      path: path("File, or directory with a slash at its end.", DIRECTORY),
      recursive: RECURSIVE,
      fromSource: SYSCALL_SOURCE,
    }),
  ),
  ...DETAILS,
}, { description: "System calls to audit." });

const DEVICE = group("USB devices.", {
  matchDevice: items({
    class: text("USB class."),
    subClass: integer("USB subclass.", { format: "int32" }),
    protocol: integer("USB protocol.", { format: "int32" }),
    level: integer("Depth of hubs.", { format: "int32", minimum: 1 }),
  }, ["class"]),
});

const PRESETS = list(
  object({ name: text("Name of the preset."), action: HEADER.action! }, { required: ["name"] }),
  { description: "Ready-made rules." },
);

const APPARMOR = text("Lines for an AppArmor profile.");

// ---- selectors -------------------------------------------------------------------------------------------------------

function expressions(keys: readonly string[]): Schema {
  return list(object({
    key: text("What is compared.", { enum: keys }),
    operator: text("In or NotIn.", { enum: ["In", "NotIn"] }),
    values: list({ type: "string" }, {
      description: keys.includes("namespace")
        ? "Namespaces, or labels as key=value."
        : "Labels as key=value.",
    }),
  }));
}

const MATCH_LABELS = textMap("All must be among the labels.");
const NODE_SELECTOR = object({ matchLabels: MATCH_LABELS }, { required: ["matchLabels"] });
const LABEL_SELECTOR = object({
  matchLabels: MATCH_LABELS,
  matchExpressions: expressions(["label"]),
});

// ---- network policies ------------------------------------------------------------------------------------------------

const IP_BLOCK = object({ cidr: text("Addresses, for example 10.0.0.0/8.") }, {
  required: ["cidr"],
});

function traffic(peers: "from" | "to"): Schema {
  return list(
    object({
      [peers]: list(object({ ipBlock: IP_BLOCK })),
      iface: list({ type: "string" }, { description: "Network interfaces." }),
      ports: list(object({
        port: text("Number or name."),
        endPort: integer("Last port of a range.", { minimum: 1, maximum: 65535 }),
        protocol: text("Transport.", { enum: ["TCP", "UDP", "SCTP", "tcp", "udp", "sctp"] }),
      }, { required: ["port"] })),
      limit: text("Bytes in the duration.", { pattern: LIMIT.pattern }),
      duration: text("Time as Go writes it, for example 20m."),
      ...HEADER,
      severity: integer("How bad a violation is."),
      // The bound is what lets the API server estimate the cost of the validations below.
    }),
    { maxItems: 1000 },
  );
}

const QUOTA_RULE = (list: string) =>
  `!has(self.selector) || !has(self.${list}) || self.${list}.all(e, has(e.limit) && has(e.duration))`;

const NETWORK_POLICY_SPEC = object({
  nodeSelector: object({ matchLabels: MATCH_LABELS }),
  selector: LABEL_SELECTOR,
  level: text("Scope of a quota.", { enum: ["pod", "policy", "Pod", "Policy"] }),
  ingress: traffic("from"),
  egress: traffic("to"),
  ...SPEC_HEADER,
}, {
  "x-kubernetes-validations": [
    {
      rule: "!(has(self.selector) && has(self.nodeSelector))",
      message: "selector and nodeSelector exclude each other",
    },
    {
      rule: QUOTA_RULE("ingress"),
      message: "with a selector each ingress needs limit and duration",
    },
    { rule: QUOTA_RULE("egress"), message: "with a selector each egress needs limit and duration" },
  ],
});

// ---- kinds -----------------------------------------------------------------------------------------------------------

const CONTAINER_GROUPS: Properties = {
  process: PROCESS,
  file: FILE,
  network: network("container"),
  capabilities: capabilities("container"),
  syscalls: SYSCALLS,
  presets: PRESETS,
  apparmor: APPARMOR,
};

const HOST_GROUPS: Properties = {
  process: PROCESS,
  file: FILE,
  network: network("host"),
  capabilities: capabilities("host"),
  syscalls: SYSCALLS,
  device: DEVICE,
  apparmor: APPARMOR,
};

export const KINDS: readonly KindDefinition[] = [
  {
    kind: "KubeArmorPolicy",
    plural: "kubearmorpolicies",
    shortName: "ksp",
    scope: "Namespaced",
    selectorField: ".spec.selector.matchLabels",
    spec: object({ selector: LABEL_SELECTOR, ...CONTAINER_GROUPS, ...SPEC_HEADER }),
  },
  {
    kind: "KubeArmorHostPolicy",
    plural: "kubearmorhostpolicies",
    shortName: "hsp",
    scope: "Cluster",
    selectorField: ".spec.nodeSelector.matchLabels",
    spec: object({ nodeSelector: NODE_SELECTOR, ...HOST_GROUPS, ...SPEC_HEADER }, {
      required: ["nodeSelector"],
    }),
  },
  {
    kind: "KubeArmorClusterPolicy",
    plural: "kubearmorclusterpolicies",
    shortName: "csp",
    scope: "Cluster",
    selectorField: ".spec.selector.matchExpressions",
    spec: object({
      selector: object({ matchExpressions: expressions(["namespace", "label"]) }),
      ...CONTAINER_GROUPS,
      ...SPEC_HEADER,
    }),
  },
  {
    kind: "KubeArmorNetworkPolicy",
    plural: "kubearmornetworkpolicies",
    shortName: "nsp",
    scope: "Cluster",
    selectorField: ".spec.nodeSelector.matchLabels",
    spec: NETWORK_POLICY_SPEC,
  },
];

/** The custom resource definition of one kind, as `kubectl apply` takes it. */
export function crdOf(definition: KindDefinition): Record<string, unknown> {
  const { kind, plural, shortName, scope, selectorField, spec } = definition;
  const column = (name: string, jsonPath: string, type = "string") => ({
    name,
    type,
    jsonPath,
    priority: 10,
  });
  const version = {
    name: "v1",
    served: true,
    storage: true,
    additionalPrinterColumns: [
      { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
      column("Action", ".spec.action"),
      column("Selector", selectorField),
    ],
    schema: {
      openAPIV3Schema: object({
        apiVersion: { type: "string" },
        kind: { type: "string" },
        metadata: { type: "object" },
        spec,
        status: object({ status: { type: "string" } }),
      }, { required: ["spec"] }),
    },
    subresources: { status: {} },
  };
  const listKind = `${kind}List`;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      names: { kind, listKind, plural, shortNames: [shortName], singular: kind.toLowerCase() },
      scope,
      versions: [version],
    },
  };
}
