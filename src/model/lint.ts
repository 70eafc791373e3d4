/** Policies that are valid and probably do not do what they say. */
import type { Diagnostic } from "./diagnostic.ts";
import type { Policy } from "./policy.ts";
import { type Rule, ruleField, targetText } from "./rule.ts";

/** Directories that are links in most images, with what they point to: Debian, Ubuntu and Fedora merge /usr. */
const LINKS: readonly [link: string, real: string][] = [
  ["/bin", "/usr/bin"],
  ["/sbin", "/usr/sbin"],
  ["/lib", "/usr/lib"],
  ["/lib64", "/usr/lib64"],
  ["/var/run", "/run"],
  ["/var/lock", "/run/lock"],
];

/**
 * Warnings about rules whose path leads through such a link: the kernel compares real paths, so that the rule matches
 * nothing there. A policy that names both places, or enforces nothing, is not warned about.
 */
export function lintPolicy(policy: Policy): Diagnostic[] {
  if (policy.notEnforced !== undefined) return [];
  const rules = policy.rules.filter((rule) => rule.notEnforced === undefined);
  const named = new Set(rules.map(targetKey));
  return rules.flatMap((rule) => {
    const real = realTarget(rule);
    return real === undefined || named.has(targetKey(real)) ? [] : [warning(rule, real)];
  });
}

/** The same rule for the place that the link points to. */
function realTarget(rule: Rule): Rule | undefined {
  const { target } = rule;
  if (target.kind === "other") return undefined;
  const found = LINKS.find(([link]) => `${target.path}/`.startsWith(`${link}/`));
  if (found === undefined) return undefined;
  const path = found[1] + target.path.slice(found[0].length);
  return { ...rule, target: { ...target, path } };
}

function targetKey(rule: Rule): string {
  return `${rule.group} ${targetText(rule.target)}`;
}

function warning(rule: Rule, real: Rule): Diagnostic {
  return {
    severity: "warning",
    where: rule.where,
    field: ruleField(rule),
    message:
      `Found a path that leads through a link in many images: "${targetText(rule.target)}" ` +
      "matches nothing there",
    hint: `add a rule for "${
      targetText(real.target)
    }" too, or ignore this if your image has no such link`,
  };
}
