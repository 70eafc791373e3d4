import assert from "node:assert/strict";
import { readDomain } from "./domain.ts";

const GOOD: readonly [string, string, true?][] = [
  ["example.com", "example.com"],
  [" .Example.COM. ", "example.com"],
  ["*.example.com", "example.com", true],
  ["_sip._tcp.example.com", "_sip._tcp.example.com"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["localhost", "localhost"],
  ["1.0.0.127.in-addr.arpa", "1.0.0.127.in-addr.arpa"],
  [`${"a".repeat(63)}.example`, `${"a".repeat(63)}.example`],
];

for (const [text, domain, belowOnly] of GOOD) {
  Deno.test(`"${text}" is a domain`, () => {
    assert.deepEqual(readDomain(text), {
      kind: "domain",
      domain,
      ...(belowOnly && { belowOnly }),
    });
  });
}

const BAD: readonly [string, RegExp][] = [
  ["", /^has no name$/],
  ["*.", /^has a "\*" that is not its first label: name a domain$/],
  ["https://user@example.com:443/x", /^is no name of DNS: write "example.com"$/],
  ["example.com/x", /: write "example.com"$/],
  ["goo*.example.com", /: write "\*\.example\.com"$/],
  ["bücher.example", /: write "xn--bcher-kva.example"$/],
  ["192.0.2.1", /^is an address/],
  ["a..b", /: write "a\.b"$/],
  [`${"a".repeat(64)}.example`, /^has a label of 64 bytes: DNS allows 63$/],
  [`${"a.".repeat(126)}aa`, /^has 254 bytes: DNS allows 253$/],
  [`${"a.".repeat(27)}a`, /^has 28 labels: the engine compares 27$/],
];

for (const [text, why] of BAD) {
  Deno.test(`"${text.slice(0, 40)}" is no domain`, () => {
    assert.match(String(readDomain(text)), why);
  });
}
