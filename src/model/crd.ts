/**
 * The four policy kinds: one schema for kubectl and for files. `k8s/crds/*.yaml` is written from here by
 * `scripts/gen_crds.ts`, k8s/REFERENCE.md by `scripts/gen_policy_reference.ts`: every field has a description and an
 * example, a policy is made of each example, and a test fails when the policy or a file is not as it should be.
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
  severity: integer("How bad a violation is, from 1 to 10.", {
    minimum: 1,
    maximum: 10,
    example: 7,
  }),
  tags: list({ type: "string" }, {
    description: "Words that alerts carry.",
    example: ["MITRE", "T1105"],
  }),
  message: text("Sentence that alerts carry.", { example: "downloads are not allowed here" }),
};

const HEADER: Properties = {
  action: text("What to do with a match; inherited where it is not given.", {
    enum: ACTIONS,
    example: "Audit",
  }),
  ...DETAILS,
};

/** Lower case is accepted here and only here, as KubeArmor does. */
const SPEC_HEADER: Properties = {
  ...HEADER,
  action: text("What to do with a match; Block where it is not given.", {
    enum: [...ACTIONS, ...ACTIONS.map((action) => action.toLowerCase())],
    example: "Block",
  }),
};

// ---- fields that several lists share ------------------------------------------------------------------------------

function path(description: string, example: string, grammar: Grammar = PATH): Schema {
  return text(description, { pattern: grammar.pattern, maxLength: PATH_BYTES_MAX, example });
}

const OWNER_ONLY = boolean("Only the file's owner passes.", {
  example: true,
  note: "With Allow others are refused whatever the posture.",
});
const READ_ONLY = boolean("Reading passes, whatever the action.", {
  example: true,
  note: "With Allow all else is refused whatever the posture.",
});
const RECURSIVE = boolean("Subdirectories too.", { example: true });
const PTS = boolean("false: the rule only refuses callers with a terminal.", { example: false });
const FROM_SOURCE = list(
  object({ path: path("Real path of an executable.", "/usr/bin/bash") }, { required: ["path"] }),
  {
    description: "The rule only holds for these programs, a process rule also for their children.",
    example: [{ path: "/usr/bin/bash" }],
  },
);
const SYSCALL_SOURCE = list(
  object({
    path: { ...path("Real path of an executable.", "/usr/bin/python3.11"), insteadOf: "dir" },
    dir: path("Directory of executables.", "/tmp/", DIRECTORY),
    recursive: RECURSIVE,
  }, { example: { dir: "/tmp/" } }),
  { description: "The rule only holds for these programs, and for those in these directories." },
);

function items(
  description: string,
  properties: Properties,
  required: readonly string[] = [],
): Schema {
  const item = { ...properties, ...HEADER };
  const more = required.length === 0 ? {} : { required };
  return list(object(item, { example: exampleOf(properties, required), ...more }), { description });
}

/** The fields without which an item says nothing: those that are required, or the first. */
function exampleOf(properties: Properties, required: readonly string[]): Record<string, unknown> {
  const names = required.length === 0 ? Object.keys(properties).slice(0, 1) : required;
  return Object.fromEntries(names.map((name) => [name, properties[name]!.example]));
}

function group(description: string, lists: Properties): Schema {
  return object({ ...lists, ...HEADER }, { description });
}

const PROCESS_ITEM: Properties = { ownerOnly: OWNER_ONLY, pts: PTS, fromSource: FROM_SOURCE };
const FILE_ITEM: Properties = { ...PROCESS_ITEM, readOnly: READ_ONLY };

const PROCESS = group("Programs that are executed.", {
  matchPaths: items("Programs by their paths or names.", {
    path: path("Real path of the program.", "/usr/bin/curl"),
    execname: text("File name of the program.", {
      pattern: EXECUTABLE_NAME.pattern,
      example: "curl",
      insteadOf: "path",
    }),
    allowedArgs: list({ type: "string" }, {
      description: "The program runs with no other arguments than these.",
      maxItems: 20,
      example: ["-m", "http.server"],
    }),
    ...PROCESS_ITEM,
  }),
  matchDirectories: items(
    "Programs in directories.",
    {
      dir: path("Directory of programs.", "/tmp/", DIRECTORY),
      recursive: RECURSIVE,
      ...PROCESS_ITEM,
    },
    ["dir"],
  ),
  matchPatterns: items(
    "Programs by patterns of their paths.",
    { pattern: text("Glob.", { example: "/usr/bin/python3*" }), ownerOnly: OWNER_ONLY },
    ["pattern"],
  ),
});

const FILE = group("Files and directories that are used.", {
  matchPaths: items(
    "Files by their paths.",
    { path: path("Real path of the file.", "/etc/shadow"), ...FILE_ITEM },
    ["path"],
  ),
  matchDirectories: items(
    "Directories, and files in them.",
    {
      dir: path("Directory of files.", "/etc/ssl/private/", DIRECTORY),
      recursive: RECURSIVE,
      ...FILE_ITEM,
    },
    ["dir"],
  ),
  matchPatterns: items(
    "Files by patterns of their paths.",
    {
      pattern: text("Glob.", { example: "/srv/**/*.key" }),
      readOnly: READ_ONLY,
      ownerOnly: OWNER_ONLY,
    },
    ["pattern"],
  ),
});

function network(kind: "container" | "host"): Schema {
  const protocol = text("Protocol or socket type.", {
    pattern: PROTOCOL.pattern,
    example: "raw,packet",
  });
  const onHost = kind === "host";
  const protocols = "Sockets by their protocols and types.";
  return group("Sockets that are made, and names that are asked for.", {
    matchProtocols: onHost
      ? items(protocols, { protocol, fromSource: FROM_SOURCE }, ["protocol", "fromSource"])
      : items(protocols, { protocol, pts: PTS, fromSource: FROM_SOURCE }, ["protocol"]),
    matchDNSQueries: items(
      "Names that programs ask for.",
      {
        domain: text("Domain, and all below it; with *. only these.", { example: "example.org" }),
        fromSource: FROM_SOURCE,
      },
      ["domain"],
    ),
  });
}

function capabilities(kind: "container" | "host"): Schema {
  const capability = text("Capability of Linux.", {
    pattern: CAPABILITY.pattern,
    example: "net_raw",
  });
  return group("Capabilities that are used.", {
    matchCapabilities: items(
      "Capabilities by their names.",
      { capability, fromSource: FROM_SOURCE },
      kind === "host" ? ["capability", "fromSource"] : ["capability"],
    ),
  });
}

const SYSCALL = list({ type: "string", enum: SYSCALL_NAMES }, {
  description: "System calls.",
  example: ["unlink", "unlinkat"],
});

/** Items have no header, and the group no action: system calls are only ever audited. */
const SYSCALLS = object({
  matchSyscalls: list(
    object({ syscall: SYSCALL, fromSource: SYSCALL_SOURCE }, {
      example: { syscall: SYSCALL.example },
    }),
    { description: "System calls by their names." },
  ),
  matchPaths: list(
    object({
      syscall: SYSCALL,
      path: path("File, or directory with a slash at its end.", "/var/log/", DIRECTORY),
      recursive: RECURSIVE,
      fromSource: SYSCALL_SOURCE,
    }, { example: { syscall: SYSCALL.example, path: "/var/log/" } }),
    { description: "System calls by their names and a path among their arguments." },
  ),
  ...DETAILS,
}, { description: "System calls to audit." });

const DEVICE = group("USB devices.", {
  matchDevice: items("USB devices by their class.", {
    class: text("USB class.", { example: "MASS-STORAGE" }),
    subClass: integer("USB subclass.", { format: "int32", example: 6 }),
    protocol: integer("USB protocol.", { format: "int32", example: 80 }),
    level: integer("Depth of hubs.", { format: "int32", minimum: 1, example: 1 }),
  }, ["class"]),
});

const PRESETS = list(
  object({
    name: text(
      "What is refused: filelessExec, anonymousMapExec, protectEnv, protectProc, exec, and Ankylo's own protectRuntimeSocket, blockRawDevices, denyUserNamespaces, denyIoUring, protectKernelTunables.",
      { example: "filelessExec" },
    ),
    action: text(
      "Audit or Block; Block where it is not given, whatever the spec says. Allow counts as Block.",
      {
        enum: ACTIONS,
        example: "Block",
      },
    ),
  }, { required: ["name"] }),
  { description: "Ready-made rules." },
);

const APPARMOR = text("Lines for an AppArmor profile.", { example: "deny /etc/shadow r," });

// ---- selectors -------------------------------------------------------------------------------------------------------

function expressions(keys: readonly string[]): Schema {
  return list(
    object({
      key: text("What is compared.", { enum: keys, example: "label" }),
      operator: text("In or NotIn.", { enum: ["In", "NotIn"], example: "In" }),
      values: list({ type: "string" }, {
        description: keys.includes("namespace")
          ? "Namespaces, or labels as key=value."
          : "Labels as key=value.",
        example: ["app=web", "app=api"],
      }),
    }, { example: { key: "label", operator: "In", values: ["app=web"] } }),
    { description: "Conditions, all of which must hold." },
  );
}

const NODES = "Nodes that the policy is for.";
const CONTAINERS = "Containers that the policy is for.";
const MATCH_LABELS = textMap("All must be among the labels.", {
  example: { app: "web" },
  note: "`kubearmor.io/container.name` stands for the container's name, a list or an expression.",
});
const NODE_LABELS = textMap("All must be among the node's labels.", {
  example: { "kubearmor.io/hostname": "*" },
});
const NODE_SELECTOR = object({ matchLabels: NODE_LABELS }, {
  description: NODES,
  required: ["matchLabels"],
});
const LABEL_SELECTOR = object({
  matchLabels: MATCH_LABELS,
  matchExpressions: expressions(["label"]),
}, { description: CONTAINERS });

// ---- network policies ------------------------------------------------------------------------------------------------

const IP_BLOCK = object({
  cidr: text("Addresses, for example 10.0.0.0/8.", { example: "10.0.0.0/8" }),
}, { description: "Addresses of the other side.", required: ["cidr"] });

function traffic(peers: "from" | "to"): Schema {
  return list(
    object({
      [peers]: list(object({ ipBlock: IP_BLOCK }), { description: "Who is at the other side." }),
      iface: list({ type: "string" }, { description: "Network interfaces.", example: ["eth0"] }),
      ports: list(
        object({
          port: text("Number or name.", { example: "8000" }),
          endPort: integer("Last port of a range.", { minimum: 1, maximum: 65535, example: 8100 }),
          protocol: text("Transport.", {
            enum: ["TCP", "UDP", "SCTP", "tcp", "udp", "sctp"],
            example: "TCP",
          }),
        }, { required: ["port"] }),
        { description: "Ports of this side." },
      ),
      limit: text("Bytes in the duration.", { pattern: LIMIT.pattern, example: "100MB" }),
      duration: text("Time as Go writes it, for example 20m.", { example: "20m" }),
      ...HEADER,
      severity: integer("How bad a violation is.", { example: 7 }),
    }, { example: { limit: "100MB", duration: "20m" } }),
    {
      description: `Traffic ${peers === "from" ? "that comes in" : "that goes out"}.`,
      // The bound is what lets the API server estimate the cost of the validations below.
      maxItems: 1000,
    },
  );
}

const QUOTA_RULE = (list: string) =>
  `!has(self.selector) || !has(self.${list}) || self.${list}.all(e, has(e.limit) && has(e.duration))`;

const NETWORK_POLICY_SPEC = object({
  nodeSelector: object({ matchLabels: NODE_LABELS }, { description: NODES }),
  selector: LABEL_SELECTOR,
  level: text("Scope of a quota.", { enum: ["pod", "policy", "Pod", "Policy"], example: "pod" }),
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
      selector: object({ matchExpressions: expressions(["namespace", "label"]) }, {
        description: CONTAINERS,
      }),
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
        spec: forKubectl(spec),
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

/** A schema without what only our own reference says. */
function forKubectl<S extends Schema>(schema: S): S {
  const { example: _, insteadOf: __, note: ___, ...rest } = schema;
  if (schema.type === "array") return { ...rest, items: forKubectl(schema.items) } as S;
  if (schema.type !== "object" || schema.properties === undefined) return rest as S;
  const properties = Object.entries(schema.properties).map(([name, inner]) =>
    [name, forKubectl(inner)] as const
  );
  return { ...rest, properties: Object.fromEntries(properties) } as S;
}
