/** Rules with execname, by hand; precedence_test.ts has them among all others at random. */
import assert from "node:assert/strict";
import {
  OP_EXEC,
  OP_LOAD,
  OP_MMAP_EXEC,
  OP_READ,
  VERDICT_ALLOW as ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK as DENY,
  VERDICT_NONE as NONE,
  VERDICT_POSTURE_AUDIT as POSTURE_AUDIT,
  VERDICT_SOURCE as SOURCE,
} from "../../ffi/generated/agent_api.ts";
import { assertVector, read, type Vector } from "./test_comparison.ts";
import { AUDIT, policy, type RuleText } from "./test_policies.ts";

const process = (at: string, more: Partial<RuleText> = {}): RuleText => {
  return { group: "process", at, ...more };
};

const VECTORS: Vector[] = [
  {
    name: "a program's name, in any directory, between exact paths and directories",
    rules: [
      process("name:sh"),
      process("/bin/sh", { action: "Allow" }),
      process("/opt//", { action: "Allow" }),
      process("/x//", { action: "Audit", from: ["/b"] }),
      process("name:id", { from: ["/b"] }),
      process("name:id", { action: "Allow" }),
    ],
    asks: [
      [OP_EXEC, "/sh", DENY],
      [OP_EXEC, "/bin/sh", ALLOW],
      [OP_EXEC, "/opt/a/b/sh", DENY],
      [OP_MMAP_EXEC, "/opt/a/b/sh", DENY],
      [OP_LOAD, "/usr/sh", DENY],
      [OP_EXEC, "/usr/sh/x", POSTURE_AUDIT],
      [OP_EXEC, "/usr/xsh", POSTURE_AUDIT],
      [OP_EXEC, "/usr/shx", POSTURE_AUDIT],
      [OP_EXEC, "/opt/x", ALLOW],
      [OP_READ, "/usr/sh", NONE],
      [OP_EXEC, "/x/y/sh", VERDICT_AUDIT | SOURCE, "/b"],
      [OP_EXEC, "/x/y/id", DENY | SOURCE, "/b"],
      [OP_EXEC, "/x/y/id", DENY | SOURCE, "/c", "/b"],
      [OP_EXEC, "/x/y/id", ALLOW],
    ],
  },
];

for (const vector of VECTORS) {
  Deno.test(`program names: ${vector.name}`, () => assertVector(vector));
}

Deno.test("a program's name is guarded, and directories above it are not", () => {
  const { reader } = read([policy("p", process("name:sh"), process("/opt/a/x"))], AUDIT);
  const guarded = ["/sh", "/bin/sh", "/opt", "/opt/a", "/opt/a/x", "/opt/a/sh", "/opt/a/b/sh"];
  for (const path of guarded) assert.equal(reader.walk(path).guard, true, path);
  for (const path of ["/", "/bin", "/opt/b", "/opt/a/b", "/usr/local/bin"]) {
    assert.equal(reader.walk(path).guard, path === "/", path);
  }
});
