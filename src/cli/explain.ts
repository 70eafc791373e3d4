/** `ankylo explain`: what becomes of one operation in a container, by which rule, and which rules lost against it. */
import { IS_OWNER, NO_TERMINAL } from "../../ffi/generated/agent_api.ts";
import type { Settings } from "../config/config.ts";
import { compileImage, withRails } from "../compile/compile.ts";
import { type Ask, explain, readAsk } from "../compile/explain.ts";
import { randomKeys } from "../compile/hash.ts";
import { type ExplanationView, explanationView } from "../http/explanation_view.ts";
import { errorText } from "../lib/log.ts";
import { formatDiagnostic, hasErrors } from "../model/diagnostic.ts";
import { governanceOf } from "../model/governance.ts";
import { POD_NAMESPACE_KEY, selects } from "../model/selector.ts";
import type { Workload } from "../model/workload.ts";
import { type Host, readHost } from "../host.ts";
import { AgentClient } from "./client.ts";
import { EXIT_OK, EXIT_POLICY, EXIT_USAGE } from "./exit_codes.ts";
import { explanationText } from "./explain_text.ts";
import type { CommandIo } from "./io.ts";
import { readPolicyFiles } from "./policy_arguments.ts";

/** What can be asked: the option that names the object, and what it means. */
export const ASKS: readonly (readonly [option: string, access: string, about: string])[] = [
  ["exec", "exec", "is this program executed?"],
  ["open", "read", "is this file opened? with --write: for writing"],
  ["create", "create", "is a file or directory of this name made?"],
  ["delete", "delete", "is it deleted?"],
  ["rename", "rename", "does it get another name?"],
  ["link", "link", "does it get one more name?"],
  ["attributes", "attributes", "are its mode, owner or attributes changed?"],
  ["mount", "mount", "is something mounted over it?"],
  ["connect", "connect", "is this unix socket connected to?"],
  [
    "net",
    "socket",
    "is such a socket made, connected, sent to? tcp, udp, icmp/raw, raw, packet and others",
  ],
  ["dns", "dns", "does DNS get a query for this name?"],
  ["cap", "capability", "is this capability used? net_raw and others"],
  ["syscall", "syscall", "is this system call told of? with --path: with this path"],
  ["preset", "preset", "does what this preset is about happen? filelessExec and others"],
  ["load", "load", "is this program executed by a dynamic loader that was started by hand?"],
  ["mmap-exec", "mmap-exec", "is it mapped as code, as libraries are?"],
];

/** As the command line gives them: the objects by their option. */
export interface ExplainOptions {
  readonly container?: string;
  /** The node itself, in the place of a container. */
  readonly host?: boolean;
  readonly objects: Readonly<Record<string, string | undefined>>;
  readonly write: boolean;
  /** Of a system call. */
  readonly path?: string;
  readonly from?: string;
  readonly parent?: string;
  /** Whether the program's uid owns the file. */
  readonly owner: boolean;
  /** Whether the program has a controlling terminal. */
  readonly terminal: boolean;
  /** Files and folders to ask instead of the agent. */
  readonly policies?: readonly string[];
  /** Of the container that is imagined then: `key=value`, several with commas. */
  readonly labels?: readonly string[];
  readonly namespace?: string;
  readonly json: boolean;
}

type ExplainSettings = Pick<
  Settings,
  "socket" | "listen" | "http" | "governance" | "hostname" | "nodeLabels" | "hostExempt"
>;

/**
 * Asks the running agent, or files. Writes the answer to `io.out`.
 *
 * @returns `EXIT_OK` whatever the answer; `EXIT_USAGE` for a question that makes no sense; `EXIT_POLICY` for files with errors
 * @throws {AgentUnreachableError}
 */
export async function runExplain(
  settings: ExplainSettings,
  options: ExplainOptions,
  io: CommandIo,
): Promise<number> {
  const ask = askOf(options);
  const complaint = typeof ask === "string" ? ask : misplaced(options);
  if (complaint !== undefined) {
    io.err(`${complaint}\n`);
    return EXIT_USAGE;
  }
  const view = options.policies === undefined
    ? await askAgent(settings, options.host ? undefined : options.container!, ask as Ask)
    : await askFiles(settings, options, ask as Ask, io);
  if (view === undefined) return EXIT_POLICY;
  io.out(options.json ? `${JSON.stringify(view, undefined, 2)}\n` : explanationText(view));
  return EXIT_OK;
}

/** The question, or what is wrong with it. */
function askOf(
  { objects, write, path, from, parent, owner, terminal }: ExplainOptions,
): Ask | string {
  const given = ASKS.filter(([option]) => objects[option] !== undefined);
  const [first, second] = given;
  if (first === undefined || second !== undefined) {
    const found = given.map(([option]) => `--${option}`).join(" and ") || "none";
    const hint = "  hint: for example --exec /bin/sh, or --open /etc/shadow --write";
    return `Cannot explain: must have one of ${optionNames()}: found ${found}\n${hint}`;
  }
  const [option, access] = first;
  if (write && option !== "open") {
    return `Cannot use --write with --${option}: it belongs to --open`;
  }
  if (path !== undefined && option !== "syscall") {
    return `Cannot use --path with --${option}: it belongs to --syscall`;
  }
  try {
    return readAsk({
      access: write ? "write" : access,
      object: objects[option]!,
      ...(path !== undefined && { path }),
      ...(from !== undefined && { from }),
      ...(parent !== undefined && { parent }),
      circumstances: (owner ? IS_OWNER : 0) | (terminal ? 0 : NO_TERMINAL),
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return error.message;
  }
}

function optionNames(): string {
  return ASKS.map(([option]) => `--${option}`).join(", ");
}

/** Options that need another, or forbid one. */
function misplaced(options: ExplainOptions): string | undefined {
  const { container, host, policies, labels, namespace } = options;
  if (host && (container !== undefined || namespace !== undefined)) {
    return `Cannot use --host with --${container === undefined ? "namespace" : "container"}`;
  }
  if (policies !== undefined) {
    const bad = pairsOf(labels).find((label) => !label.includes("="));
    return bad === undefined ? undefined : `Cannot use label "${bad}": must be key=value`;
  }
  const lonely = labels !== undefined
    ? "labels"
    : namespace !== undefined
    ? "namespace"
    : undefined;
  if (lonely !== undefined) {
    return `Cannot use --${lonely} without --policies: the agent knows its containers\n` +
      "  hint: name one with --container, or add --policies DIR to ask files instead";
  }
  return container !== undefined || host
    ? undefined
    : "Cannot explain: must have --container NAME\n" +
      "  hint: ankylo status lists them; without an agent, ask files: --policies DIR --labels app=web";
}

async function askAgent(
  settings: ExplainSettings,
  container: string | undefined,
  { access, object, path, from, parent, circumstances }: Ask,
): Promise<ExplanationView> {
  const query = new URLSearchParams({
    ...(container === undefined ? { host: "true" } : { container }),
    ...{ access, object },
    ...(path !== undefined && { path }),
    ...(from !== "" && { from }),
    ...(parent !== "" && { parent }),
    ...((circumstances & IS_OWNER) !== 0 && { owner: "true" }),
    ...((circumstances & NO_TERMINAL) !== 0 && { terminal: "false" }),
  });
  using client = await AgentClient.open(settings);
  return await client.getJson<ExplanationView>(`/v1/explain?${query}`);
}

/** Undefined when the files have errors, which are then on `io.err`. */
async function askFiles(
  settings: ExplainSettings,
  options: ExplainOptions,
  ask: Ask,
  io: CommandIo,
): Promise<ExplanationView | undefined> {
  const { policies, diagnostics } = await readPolicyFiles(options.policies!);
  if (hasErrors(diagnostics)) {
    for (const finding of diagnostics) io.err(`${formatDiagnostic(finding)}\n`);
    return undefined;
  }
  const container = imagined(options);
  const host = options.host ? readNode(settings, io) : undefined;
  const node = host?.workloads.find((workload) => workload.host === "judged");
  const workload: Workload = node === undefined
    ? container
    : { ...container, labels: { ...node.labels, ...container.labels }, host: "judged" };
  const { posture, mode } = governanceOf(workload, settings.governance);
  const selected = policies.filter((policy) => selects(policy, workload));
  const own = withRails(selected, workload, host?.rails);
  const keys = randomKeys();
  const image = mode === "disabled" ? undefined : compileImage(own, posture, keys);
  const answer = explain(ask, image, own, keys, mode);
  return explanationView(answer, workload, "compiled from the files, no agent was asked");
}

function readNode(settings: ExplainSettings, io: CommandIo): Host {
  return readHost(settings, (path, error) => {
    io.err(`warning: Cannot look at ${path} for the guard rails: ${errorText(error)}\n`);
  });
}

/** No label has a comma in it. */
function pairsOf(labels: readonly string[] = []): string[] {
  return labels.flatMap((label) => label.split(","));
}

/** The container that the options describe. With a namespace it is a pod's. */
export function imagined(
  { container = "", labels = [], namespace }: Pick<
    ExplainOptions,
    "container" | "labels" | "namespace"
  >,
): Workload {
  const pairs = pairsOf(labels).map((label) => {
    const equals = label.indexOf("=");
    return [label.slice(0, equals), label.slice(equals + 1)] as const;
  });
  return {
    id: container,
    name: container,
    runtimeNamespace: "",
    namespace: namespace ?? "container_namespace",
    podName: container,
    image: "",
    labels: {
      ...Object.fromEntries(pairs),
      ...(namespace !== undefined && { [POD_NAMESPACE_KEY]: namespace }),
    },
    pid: 0,
    cgroupPath: "",
    cgroupId: 0n,
  };
}
