import assert from "node:assert/strict";
import { compilePosixRegex } from "./posix_regex.ts";

const MATCHES: [source: string, name: string, matches: boolean][] = [
  ["web", "web", true],
  ["web", "web-1", false],
  ["web", "my-web", false],
  ["web.*", "web-1", true],
  ["web-(a|b)+", "web-aab", true],
  ["web-(a|b)+", "web-", false],
  ["a|bc", "bc", true],
  ["a|bc", "ac", false],
  ["[[:digit:]_]+", "12_3", true],
  ["[^[:alpha:]]", "x", false],
  ["[]a]+", "a]", true],
  ["[a\\]+", "a\\", true],
  ["web\\.1", "web.1", true],
  ["web\\.1", "webx1", false],
  ["a{2,3}", "aaa", true],
  ["^web$", "web", true],
  ["a-b", "a-b", true],
  ["a]", "a]", true],
];

for (const [source, name, matches] of MATCHES) {
  Deno.test(`compilePosixRegex() of ${source} ${matches ? "takes" : "refuses"} ${name}`, () => {
    assert.equal(compilePosixRegex(source)(name), matches);
  });
}

for (
  const source of ["(", "[a", "a{2", "*", "\\d+", "(?:a)", "a+?", "[[:nope:]]", "[[.a.]]", "\\"]
) {
  Deno.test(`compilePosixRegex() refuses ${source}`, () => {
    assert.throws(() => compilePosixRegex(source), SyntaxError);
  });
}

Deno.test("compilePosixRegex() refuses a very long expression", () => {
  assert.throws(() => compilePosixRegex("a".repeat(257)), SyntaxError);
});
