/** Which rule an event is told with. The kernel decided; nothing here changes a verdict. */
import type { RuleRef } from "../compile/compile.ts";
import { ruleBelow } from "../compile/rules.ts";
import { OP_EXEC } from "../events/decode.ts";
import type { DecisionEvent } from "../events/event.ts";

export type { RuleRef };

/** What a policy image (`CompiledImage`) can tell about its own decisions. */
export interface RuleTable {
  /** The rule behind `row` for `op` (`enum op_class`); undefined for posture. */
  explain(row: number, op: number): RuleRef | undefined;
  /** What a guard is due to where no path tells; undefined: to the posture. */
  readonly guardRule: RuleRef | undefined;
  /** What a DNS query is due to whose name can't be read; undefined: to the posture. */
  readonly nameRule?: RuleRef | undefined;
  /** Every Block rule about paths: what the guard of ancestors protects is one of them. */
  readonly blockRules: readonly RuleRef[];
}

/**
 * The rule that `event` is due to, or undefined when it is due to the default posture, or to an image that the agent no
 * longer holds.
 */
export function attribute(event: DecisionEvent, table: RuleTable | undefined): RuleRef | undefined {
  if (table === undefined || isPosture(event)) return undefined;
  switch (event.reason) {
    case "rule":
      return table.explain(event.row, event.op);
    case "launder": // The old name was judged as a program.
      return table.explain(event.row, OP_EXEC) ?? table.guardRule;
    case "ancestor":
      return ruleBelow(event.path, table.blockRules) ?? table.guardRule;
    case "query":
      return table.nameRule;
    case "image":
    case "pending":
      return undefined;
    default:
      return table.guardRule;
  }
}

/** The operation was not in an allow-list, and no rule named it. */
export function isPosture(event: DecisionEvent): boolean {
  return event.verdict === "posture-audit" || event.verdict === "posture-block";
}
