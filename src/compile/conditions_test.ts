/** Rules with ownerOnly and pts, by hand; precedence_test.ts has them among all others at random. */
import {
  OP_DELETE,
  OP_EXEC,
  OP_READ,
  OP_WRITE,
  VERDICT_ALLOW as ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK as DENY,
  VERDICT_POSTURE_AUDIT as POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK as POSTURE_BLOCK,
  VERDICT_SOURCE as SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { assertVector, type Vector } from "./test_comparison.ts";
import { about } from "./test_policies.ts";

const process = about("process");
const file = about("file");

/** Beside 12 to 14 of vectors_test.ts. */
const VECTORS: Vector[] = [
  {
    name: "a pattern of programs and one of files for their owners only",
    rules: [
      process("glob:/p*", { ownerOnly: true }),
      file("glob:/**.own", { ownerOnly: true, readOnly: true }),
    ],
    asks: [[OP_EXEC, "/px", DENY], [OP_WRITE, "/d/x.own", DENY]],
    owners: [[OP_EXEC, "/px", ALLOW], [OP_WRITE, "/d/x.own", DENY], [OP_READ, "/d/x.own", ALLOW]],
  },
  {
    name:
      "ownerOnly in an allow-list refuses others whatever the posture, and the owner asks no posture",
    rules: [
      process("/p", { action: "Allow", ownerOnly: true }),
      file("/d//", { ownerOnly: true }),
      file("/x", { action: "Allow" }),
    ],
    asks: [
      [OP_EXEC, "/p", POSTURE_BLOCK],
      [OP_EXEC, "/q", POSTURE_AUDIT],
      [OP_READ, "/d/y", DENY],
      [OP_READ, "/y", POSTURE_AUDIT],
    ],
    owners: [
      [OP_EXEC, "/p", ALLOW],
      [OP_EXEC, "/q", POSTURE_AUDIT],
      [OP_READ, "/d/y", ALLOW],
      [OP_READ, "/y", POSTURE_AUDIT],
    ],
  },
  {
    name: "ownerOnly with readOnly: the owner reads, others nothing",
    rules: [
      file("/p", { ownerOnly: true, readOnly: true }),
      file("/q", { action: "Audit", ownerOnly: true, readOnly: true }),
    ],
    asks: [[OP_READ, "/p", DENY], [OP_WRITE, "/p", DENY], [OP_READ, "/q", VERDICT_AUDIT]],
    owners: [
      [OP_READ, "/p", ALLOW],
      [OP_WRITE, "/p", DENY],
      [OP_DELETE, "/p", DENY],
      [OP_READ, "/q", ALLOW],
      [OP_WRITE, "/q", VERDICT_AUDIT],
    ],
  },
  {
    name: "ownerOnly beside a rule without it on the identical selector: the stricter for each",
    rules: [
      file("/p", { ownerOnly: true }),
      file("/p", { action: "Audit" }),
      file("/q", { ownerOnly: true, action: "Audit" }),
      file("/q"),
    ],
    asks: [[OP_READ, "/p", DENY], [OP_READ, "/q", DENY]],
    owners: [[OP_READ, "/p", VERDICT_AUDIT], [OP_READ, "/q", DENY]],
  },
  {
    name: "ownerOnly is asked where the rule decides, and not where another does",
    rules: [
      file("/d//", { ownerOnly: true }),
      file("/d/x"),
      file("/d/y", { from: ["/sbin/init"], ownerOnly: true }),
    ],
    asks: [
      [OP_READ, "/d/z", DENY],
      [OP_READ, "/d/x", DENY],
      [OP_READ, "/d/y", DENY | SOURCE],
      [OP_READ, "/d/y", DENY, "/bin/cat"],
    ],
    owners: [[OP_READ, "/d/z", ALLOW], [OP_READ, "/d/x", DENY], [OP_READ, "/d/y", ALLOW | SOURCE]],
  },
  {
    name: "pts with other conditions and actions",
    rules: [
      file("/a", { terminalOnly: true, ownerOnly: true }),
      file("/r", { terminalOnly: true, readOnly: true }),
      file("/s", { terminalOnly: true, action: "Audit" }),
      process("/l", { terminalOnly: true, action: "Allow" }),
      file("/d//", { terminalOnly: true }),
      file("/d//", { ownerOnly: true }),
    ],
    asks: [
      [OP_READ, "/a", DENY],
      [OP_READ, "/r", ALLOW],
      [OP_WRITE, "/r", DENY],
      [OP_READ, "/s", VERDICT_AUDIT],
      [OP_EXEC, "/l", POSTURE_BLOCK],
      [OP_READ, "/d/x", DENY],
    ],
    owners: [[OP_READ, "/a", ALLOW], [OP_EXEC, "/l", POSTURE_BLOCK], [OP_READ, "/d/x", DENY]],
    withoutTerminal: [
      [OP_READ, "/a", ALLOW],
      [OP_WRITE, "/r", ALLOW],
      [OP_READ, "/s", ALLOW],
      [OP_EXEC, "/l", ALLOW],
      [OP_READ, "/d/x", DENY],
    ],
  },
];

for (const vector of VECTORS) {
  Deno.test(`conditions ${vector.name}`, () => assertVector(vector));
}
