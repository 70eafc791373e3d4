import assert from "node:assert/strict";
import fc from "fast-check";
import { readElfNeeds } from "./elf.ts";
import { elfFile } from "./elf_samples.ts";

Deno.test("readElfNeeds() finds loader, libraries and where to search", () => {
  const parts = { interpreter: "/lib64/ld.so", needed: ["libc.so.6", "libm.so"] };
  assert.deepEqual(readElfNeeds(elfFile({ ...parts, runpath: "$ORIGIN/../lib:/opt/lib" })), {
    ...parts,
    searched: ["$ORIGIN/../lib", "/opt/lib"],
  });
  assert.deepEqual(readElfNeeds(elfFile({})), { needed: [], searched: [] });
});

Deno.test("readElfNeeds() reads this very program", () => {
  const needs = readElfNeeds(Deno.readFileSync(Deno.execPath()));
  assert.match(needs?.interpreter ?? "", /^\/lib.*\/ld-/);
  assert.ok(needs?.needed.some((name) => name.startsWith("libc.so")));
});

Deno.test("readElfNeeds() takes nothing else for a program", () => {
  for (const bytes of [new Uint8Array(), new TextEncoder().encode("#!/bin/sh\n")]) {
    assert.equal(readElfNeeds(bytes), undefined);
  }
});

Deno.test("readElfNeeds() reads damaged files without an error", () => {
  const good = elfFile({ interpreter: "/lib64/ld.so", needed: ["libc.so.6"] });
  const index = fc.nat({ max: good.length - 1 });
  const damage = fc.array(fc.tuple(index, fc.nat({ max: 255 })), { maxLength: 8 });
  fc.assert(fc.property(damage, fc.nat({ max: good.length }), (changes, length) => {
    const bytes = good.slice(0, length);
    for (const [at, value] of changes) if (at < length) bytes[at] = value;
    readElfNeeds(bytes);
  }));
});
