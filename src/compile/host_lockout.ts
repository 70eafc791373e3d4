/** Host policies under which nobody gets into the node any more, or that stop what keeps it alive. */
import {
  CIRCUMSTANCES,
  NO_TERMINAL,
  OP_EXEC,
  OP_READ,
  VERDICT_BLOCK,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../../ffi/generated/agent_api.ts";
import type { Policy } from "../model/policy.ts";
import type { Posture } from "../model/posture.ts";
import { evaluateRules } from "./evaluate.ts";
import { rankRules } from "./explain.ts";
import { railsOf } from "./rails.ts";
import { enforcedRules, type RuleRef } from "./rules.ts";

export interface HostLockout {
  /** What refuses; for an allow-list an Allow rule that makes it. */
  readonly ref: RuleRef;
  readonly kind: "blocked" | "unlisted";
  /** The program that can't be executed, or read for that. */
  readonly path: string;
  /** What is lost. */
  readonly without: string;
}

/** Where Debian, Ubuntu, Fedora and SUSE have them. */
const LOGIN: readonly (readonly [path: string, without: string])[] = [
  ["/usr/sbin/sshd", "nobody logs in from elsewhere"],
  ["/usr/bin/login", "nobody logs in at the console"],
  ["/usr/bin/bash", "who logs in has no shell"],
];

/** What only a forced policy judges. */
const ALIVE: readonly (readonly [path: string, without: string])[] = [
  ["/usr/lib/systemd/systemd", "the node has no init"],
  ["/usr/bin/kubelet", "the node leaves its cluster"],
  ["/usr/bin/containerd", "no container starts"],
];

/** Whatever directory of theirs is blocked: only a rule that names the very path refuses them. */
const RAILS = railsOf(["/usr/bin/kubelet", "/usr/bin/containerd"], []);

/** Root runs its own programs; daemons do without a terminal, who logs in has one. */
const AS_DAEMON = [CIRCUMSTANCES];
const AS_ANYBODY = [CIRCUMSTANCES, CIRCUMSTANCES & ~NO_TERMINAL];

/** Of each host policy by itself the first program that it refuses of what the node needs. */
export function findHostLockouts(policies: readonly Policy[], posture: Posture): HostLockout[] {
  return policies.filter(({ kind }) => kind === "KubeArmorHostPolicy").flatMap((policy) => {
    const rules = enforcedRules([policy, RAILS]);
    const refusalsOf = (programs: typeof LOGIN, situations: readonly number[]) =>
      programs.flatMap(([path, without]) =>
        [OP_EXEC, OP_READ].flatMap((op) =>
          situations.flatMap((situation) =>
            refusal(op, path, without, rules, posture, situation) ?? []
          )
        )
      );
    const found = [
      ...(policy.isForced ? refusalsOf(ALIVE, AS_DAEMON) : []),
      ...refusalsOf(LOGIN, AS_ANYBODY),
    ];
    return found.slice(0, 1);
  });
}

function refusal(
  op: number,
  path: string,
  without: string,
  rules: readonly RuleRef[],
  posture: Posture,
  circumstances: number,
): HostLockout | undefined {
  // Started by nobody whom a rule would name.
  const question = { op, path, caller: "", parent: "", circumstances };
  const verdict = evaluateRules(question, rules, posture).verdict & ~VERDICT_SOURCE;
  if (verdict === VERDICT_BLOCK) {
    return { ref: rankRules(question, rules)[0]!, kind: "blocked", path, without };
  }
  if (verdict !== VERDICT_POSTURE_BLOCK) return undefined;
  const group = op === OP_EXEC ? "process" : "file";
  const ref = rules.find(({ rule }) => rule.group === group && rule.action === "Allow")!;
  return { ref, kind: "unlisted", path, without };
}
