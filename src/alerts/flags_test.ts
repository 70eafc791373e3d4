import assert from "node:assert/strict";
import { mountFlagsText, openFlagsText } from "./flags.ts";

for (
  const [flags, architecture, text] of [
    [0o100000, "x86_64", "O_RDONLY"],
    [0o2101102, "x86_64", "O_RDWR|O_CREAT|O_TRUNC|O_CLOEXEC"],
    [0o2640000, "x86_64", "O_RDONLY|O_DIRECT|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC"],
    [0o2200000, "x86_64", "O_RDONLY|O_DIRECTORY|O_CLOEXEC"],
    [0o2040000, "aarch64", "O_RDONLY|O_DIRECTORY|O_CLOEXEC"],
    [0o0700001, "aarch64", "O_WRONLY|O_NOFOLLOW|O_DIRECT"],
    [3, "aarch64", "O_ACCMODE"],
  ] as const
) {
  Deno.test(`openFlagsText() of 0${flags.toString(8)} on ${architecture} is ${text}`, () => {
    assert.equal(openFlagsText(flags, architecture), text);
  });
}

Deno.test("mountFlagsText() names what is set, and nothing without any", () => {
  assert.equal(mountFlagsText(4096 | 16384), "MS_BIND|MS_REC");
  assert.equal(mountFlagsText(0), "");
});
