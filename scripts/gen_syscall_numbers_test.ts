import assert from "node:assert/strict";
import { NUMBERS_PATH, numbersText } from "./gen_syscall_numbers.ts";

Deno.test("numbers of system calls are those of the kernel's headers (else run scripts/gen_syscall_numbers.ts)", async () => {
  const written = await Deno.readTextFile(new URL(`../${NUMBERS_PATH}`, import.meta.url));
  assert.equal(written, await numbersText());
});
