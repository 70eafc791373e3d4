/** What of policies `ankylo check --against` does not ask: what it lets pass may be refused all the same. */
import { whyNotEnforced } from "../compile/rules.ts";
import { formatPosition } from "../model/diagnostic.ts";
import type { Policy } from "../model/policy.ts";
import { namesFiles, type Rule, ruleField } from "../model/rule.ts";

/** One sentence about each kind of such rules that the policies have. */
export function notAsked(policies: readonly Policy[]): string[] {
  const refs = policies.flatMap((policy) => policy.rules.map((rule) => ({ policy, rule })));
  const idle = refs.map((ref) => ({ ...ref, why: whyNotEnforced(ref.policy, ref.rule) }))
    .filter(({ why }) => why !== undefined);
  const [first] = idle;
  return [
    ...refs.some(({ rule }) => rule.target.kind === "preset")
      ? ["presets of these files are not asked: what passes here they may refuse or report"]
      : [],
    ...refs.some(({ rule }) => isGuarded(rule))
      ? [
        "guards of Block rules are not asked: a rename, a link or a mount that passes here they may refuse",
      ]
      : [],
    ...first === undefined ? [] : [
      `${idle.length} rules are not asked, as they are not enforced (ankylo check names them); the first is ` +
      `${formatPosition(first.rule.where)} ${
        ruleField(first.rule)
      } of ${first.policy.name}: ${first.why}`,
    ],
  ];
}

function isGuarded({ action, target }: Rule): boolean {
  return action === "Block" && namesFiles(target);
}
