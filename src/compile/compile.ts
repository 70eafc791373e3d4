import { createHash } from "node:crypto";
import type { Policy } from "../model/policy.ts";
import { type Governance, type GovernanceDefaults, governanceOf } from "../model/governance.ts";
import type { Posture } from "../model/posture.ts";
import { isMatchedTarget, judgedGroup, type Rule } from "../model/rule.ts";
import { selects } from "../model/selector.ts";
import { type Workload, workloadKey } from "../model/workload.ts";
import { type CompiledImage, compileImage } from "./compile_image.ts";
import type { HashKeys } from "./hash.ts";
import { TOO_MANY_PATTERNS } from "./fitting.ts";
import { TOO_MANY_SYSCALL_RULES } from "./syscalls.ts";
import {
  compareText,
  conditionsOf,
  type PosturedGroup,
  postureOf,
  type RuleRef,
  whyNotEnforced,
} from "./rules.ts";

export { type CompiledImage, compileImage, type HashKeys, type RuleRef };

/** What became of a rule, apart from what the running kernel may lack. */
export interface RuleStatus {
  readonly policy: Policy;
  readonly rule: Rule;
  readonly state: "enforced" | "audited" | "not enforced";
  /** Always there when not enforced. */
  readonly reason?: string;
}

/** What the kernel should hold. */
export interface DesiredState {
  /** By image key; every image is some workload's. */
  readonly images: ReadonlyMap<string, CompiledImage>;
  /** workloadKey() to image key; undefined: no policy with an enforced rule selects it. */
  readonly workloads: ReadonlyMap<string, string | undefined>;
  /** Every rule of every policy, in the order given. */
  readonly rules: readonly RuleStatus[];
}

/**
 * Compiles all policies for all workloads; `rails` stands beside those of the node itself. Workloads that the same policies select share an image, and an image that
 * the call before this one made with the same keys is used again.
 * @throws {RangeError} when an image would exceed the format's limits: keep the last state in force.
 * @throws {Error} when two names have the same hash; new keys help.
 */
export function compile(
  policies: readonly Policy[],
  workloads: readonly Workload[],
  defaults: GovernanceDefaults,
  keys: HashKeys,
  rails?: Policy,
): DesiredState {
  const earlier = imagesByKeys.get(keys);
  const images = new Map<string, CompiledImage>();
  const imageOf = new Map<string, string | undefined>();
  for (const workload of workloads) {
    const governance = governanceOf(workload, defaults);
    const isExempt = workload.host === "exempt";
    const effective = withRails(
      effectivePolicies(policies, workload, governance),
      workload,
      rails,
    );
    const key = effective.length === 0 ? undefined : imageKey(effective, governance, isExempt);
    imageOf.set(workloadKey(workload), key);
    if (key === undefined || images.has(key)) continue;
    const image = earlier?.get(key) ??
      compileImage(effective, governance.posture, keys, governance.mode === "audited", isExempt);
    if (image !== undefined) images.set(key, image);
  }
  imagesByKeys.set(keys, images);
  const node = workloads.find(({ host }) => host === "judged");
  const ofNode = node === undefined
    ? { ...defaults, posture: defaults.host }
    : governanceOf(node, defaults);
  return {
    images,
    workloads: imageOf,
    rules: withoutLeftOut(
      policies.flatMap((policy) =>
        statusesOf(policy, policy.kind === "KubeArmorHostPolicy" ? ofNode : defaults)
      ),
      images,
    ),
  };
}

/** Those with something to say in the container. */
function effectivePolicies(
  policies: readonly Policy[],
  workload: Workload,
  { mode }: Governance,
): readonly Policy[] {
  if (mode === "disabled") return [];
  return policies.filter((policy) => selects(policy, workload)).filter(hasEnforcedRule);
}

/** The node's own policies, with those that let its guard rails start; undefined: there are none. */
export function withRails(
  policies: readonly Policy[],
  { host }: Pick<Workload, "host">,
  rails: Policy | undefined,
): readonly Policy[] {
  return host === undefined || rails === undefined || policies.length === 0
    ? policies
    : [...policies, rails];
}

/** A rule that one container's image had no room for is told of as if none had. */
function withoutLeftOut(
  rules: readonly RuleStatus[],
  images: ReadonlyMap<string, CompiledImage>,
): readonly RuleStatus[] {
  const refs = [...images.values()].flatMap(({ leftOut }) => leftOut);
  if (refs.length === 0) return rules;
  const leftOut = new Set(refs.map(({ rule }) => JSON.stringify(rule)));
  return rules.map((status) => {
    const { group, target } = status.rule;
    const mayBe = group === "syscalls" || isMatchedTarget(target);
    if (!mayBe || !leftOut.has(JSON.stringify(status.rule))) return status;
    const reason = group === "syscalls" ? TOO_MANY_SYSCALL_RULES : TOO_MANY_PATTERNS;
    return { ...status, state: "not enforced", reason };
  });
}

/** The last call's images, so that a container's start costs no compilation when its policies are compiled already. */
const imagesByKeys = new WeakMap<HashKeys, Map<string, CompiledImage>>();
const policyDigests = new WeakMap<Policy, string>();

/** Equal for equal sets of policies that are governed alike. */
function imageKey(
  policies: readonly Policy[],
  { posture, mode }: Governance,
  isExempt: boolean,
): string {
  const digests = policies.map(digestOf).sort(compareText);
  return digest(JSON.stringify([posture, mode, isExempt, digests]));
}

/** Of all that the policy says, its place in the file included, since an image's rules tell that too. */
function digestOf(policy: Policy): string {
  const known = policyDigests.get(policy) ?? digest(JSON.stringify(policy));
  policyDigests.set(policy, known);
  return known;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

function hasEnforcedRule(policy: Policy): boolean {
  return policy.rules.some((rule) => whyNotEnforced(policy, rule) === undefined);
}

function statusesOf(policy: Policy, { posture, mode }: Governance): readonly RuleStatus[] {
  const known = statuses.get(policy);
  const governance = JSON.stringify([posture, mode]);
  if (known?.governance === governance) return known.rules;
  const rules = policy.rules.map((rule) => statusOf(policy, rule, { posture, mode }));
  statuses.set(policy, { governance, rules });
  return rules;
}

/** Policies never change; each is asked about whenever anything is compiled. */
const statuses = new WeakMap<
  Policy,
  { governance: string; rules: readonly RuleStatus[] }
>();

/** As the settings have it, of which a namespace or a container may have another; of host policies as the node has it. */
function statusOf(policy: Policy, rule: Rule, { posture, mode }: Governance): RuleStatus {
  const reason = whyNotEnforced(policy, rule);
  if (reason !== undefined) return { policy, rule, state: "not enforced", reason };
  if (mode === "disabled") return { policy, rule, state: "not enforced", reason: TURNED_OFF };
  if (rule.group === "syscalls") return { policy, rule, state: "audited", reason: ONLY_TOLD };
  if (rule.action === "Audit") return { policy, rule, state: "audited" };
  if (mode === "audited") {
    const reason = policy.kind === "KubeArmorHostPolicy" ? ONLY_AUDITED_NODE : ONLY_AUDITED;
    return { policy, rule, state: "audited", reason };
  }
  const governing = postureOf(judgedGroup(rule) as PosturedGroup);
  if (rule.action === "Block" || posture[governing] === "block" || isExclusive(rule)) {
    return { policy, rule, state: "enforced", ...unseenBy(rule) };
  }
  return {
    policy,
    rule,
    state: "audited",
    reason: `${settingOf(policy, governing)} is audit: what no rule allows passes and is reported`,
  };
}

/** Name of the setting. */
function settingOf({ kind }: Policy, governing: keyof Posture): string {
  if (kind !== "KubeArmorHostPolicy") return `posture.${governing}`;
  return `posture.host${governing[0]!.toUpperCase()}${governing.slice(1)}`;
}

/** Whatever action is written above them, as upstream. */
const ONLY_TOLD = "rules about system calls tell of them and never refuse";

const ONLY_AUDITED = "policyMode is audited: what would be refused passes and is reported";

const ONLY_AUDITED_NODE =
  "policyMode, or kubearmor-policy among nodeLabels, is audited: what would be refused passes and is reported";

const TURNED_OFF = "kubearmor-policy=disabled among nodeLabels turns the node's policies off";

/** What the engine can't see of what a rule is about. */
function unseenBy({ target }: Rule): { reason?: string } {
  return target.kind === "domain" ? { reason: ONLY_PLAIN } : {};
}

const ONLY_PLAIN =
  "what is asked over TLS (port 853) or HTTPS can't be seen, nor what a packet socket sends";

/** Such a rule refuses to write, or what is others', whatever the posture. */
function isExclusive(rule: Rule): boolean {
  return rule.group === "file" && rule.readOnly || conditionsOf(rule) !== 0;
}
