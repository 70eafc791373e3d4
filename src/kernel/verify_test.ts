import assert from "node:assert/strict";
import { verifiedText } from "./verify.ts";

const programs = [{ name: "decide_file_open", steps: 30519 }];

Deno.test("verifiedText() lists the programs with what they took", () => {
  assert.equal(
    verifiedText({ programs, refused: [] }),
    "Paths are read rightly.\nInstructions that the verifier followed\n  decide_file_open     30,519\n",
  );
});

Deno.test("verifiedText() says of each refused program what is not enforced, and which rules that concerns", () => {
  const refused = [
    { name: "sb_mount", state: "refused", reason: "EPERM" },
    { name: "task_kill", state: "refused", reason: "E2BIG" },
  ] as const;
  const text = verifiedText({ programs: [{ ...programs[0]!, steps: 0 }], refused });
  assert.match(
    text,
    /^Not enforced: the kernel refuses the program of hook sb_mount, so a bind mount gives objects another path: this concerns process and file rules \(EPERM\)$/m,
  );
  assert.match(text, /hook task_kill, so .*: this concerns the agent's safety \(E2BIG\)$/m);
  assert.match(text, /The verifier took 1 programs; this kernel does not tell/);
});
