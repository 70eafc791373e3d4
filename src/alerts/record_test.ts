import assert from "node:assert/strict";
import fc from "fast-check";
import { commandLine, cwdText, rfc3339Micros } from "./record.ts";

Deno.test("rfc3339Micros() rounds down and keeps six digits", () => {
  assert.equal(rfc3339Micros(1_697_038_422_211_351_999n), "2023-10-11T15:33:42.211351Z");
  assert.equal(rfc3339Micros(1_697_038_422_000_000_999n), "2023-10-11T15:33:42.000000Z");
  assert.equal(rfc3339Micros(0n), "1970-01-01T00:00:00.000000Z");
});

Deno.test("rfc3339Micros() names the same microsecond as the clock's own number, in any order", () => {
  fc.assert(fc.property(fc.bigInt(0n, 4_000_000_000_000_000_000n), (ns) => {
    const text = rfc3339Micros(ns);
    assert.equal(Date.parse(text.slice(0, 23) + "Z"), Number(ns / 1_000_000n));
    assert.equal(text.slice(23, 26), String((ns / 1_000n) % 1_000n).padStart(3, "0"));
  }));
});

Deno.test("commandLine() shows 20 arguments behind argv[0] and says when there are more", () => {
  const args = ["x", ...Array.from({ length: 20 }, (_, i) => String(i))];
  assert(commandLine("/bin/x", args).endsWith(" 18 19"));
  assert(commandLine("/bin/x", args, true).endsWith(" 19 ..."));
  assert(commandLine("/bin/x", [...args, "20"]).endsWith(" 19 ..."));
  assert.equal(commandLine("/bin/x", []), "/bin/x");
  assert.equal(commandLine("", []), "");
});

Deno.test("cwdText() ends with one slash", () => {
  assert.deepEqual(["/", "/root", ""].map(cwdText), ["/", "/root/", undefined]);
});
