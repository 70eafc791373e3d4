import assert from "node:assert/strict";
import { BpfError, checked, VerifierError } from "./errors.ts";

Deno.test("BpfError says what failed, on what, and the errno's name and meaning", () => {
  const error = new BpfError("Pin", "images", -1);
  assert.equal(error.message, 'Pin "images": EPERM: operation not permitted');
  assert.deepEqual([error.errno, error.code], [1, "EPERM"]);
});

Deno.test("BpfError knows the kernel's own number, and shows one that no one knows", () => {
  assert.equal(new BpfError("Attach", "x", -524).message, 'Attach "x": ENOTSUPP');
  assert.equal(new BpfError("Attach", "x", -9999).code, "errno 9999");
});

Deno.test("checked() passes on what is not negative", () => {
  assert.equal(checked(0, "Do", "it"), 0);
  assert.equal(checked(7, "Do", "it"), 7);
  assert.throws(() => checked(-2, "Do", "it"), BpfError);
});

Deno.test("VerifierError picks the reason, the instruction and the source line", () => {
  const log = [
    "0: R1=ctx(off=0,imm=0) R10=fp0",
    "; __u64 *value = bpf_map_lookup_elem(&numbers, &key);",
    "1: (85) call bpf_map_lookup_elem#1",
    "; return *value;",
    "2: (79) r0 = *(u64 *)(r0 +0)",
    "R0 invalid mem access 'map_value_or_null'",
    "processed 3 insns (limit 1000000) max_states_per_insn 0",
    "",
  ].join("\n");
  const error = new VerifierError("Load object", "x", -13, log);
  assert.equal(
    error.message,
    'Load object "x": EACCES: permission denied: ' +
      "R0 invalid mem access 'map_value_or_null' at 2: (79) r0 = *(u64 *)(r0 +0) at ; return *value;",
  );
  assert.equal(error.log, log);
});
