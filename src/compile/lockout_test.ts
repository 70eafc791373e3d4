import assert from "node:assert/strict";
import type { Posture } from "../model/posture.ts";
import { type Entrypoint, findLockouts } from "./lockout.ts";
import { AUDIT, BLOCK, policy, type RuleText } from "./test_policies.ts";

const allow = { action: "Allow" } as const;
const program = (at: string, more: Partial<RuleText> = {}): RuleText => (
  { group: "process", at, ...more }
);
const NGINX: Entrypoint = {
  programs: ["/entry.sh", "/usr/bin/dash"],
  libraries: ["/usr/lib/ld.so", "/usr/lib/libc.so.6"],
};

const CASES: [
  claim: string,
  rules: RuleText[],
  posture: Posture,
  entrypoint: Entrypoint | undefined,
  lockouts: string[],
][] = [
  ["no allow-list", [program("/a"), { at: "/b" }], BLOCK, undefined, []],
  ["a posture of audit", [program("/a", { from: ["/x"], ...allow })], AUDIT, undefined, []],
  [
    "an allow-list for children only",
    [program("/a", { from: ["/x"], ...allow }), program("/b", { from: ["/y"], ...allow })],
    BLOCK,
    undefined,
    ["sources process 1"],
  ],
  [
    "an allow-list with a program for all",
    [program("/a", { from: ["/x"], ...allow }), program("/b", allow)],
    BLOCK,
    undefined,
    [],
  ],
  ["files without libraries", [{ at: "/etc//", ...allow }], BLOCK, undefined, ["libraries file 1"]],
  [
    "files with libraries",
    [{ at: "/etc//", ...allow }, { at: "/usr//", ...allow }],
    BLOCK,
    undefined,
    [],
  ],
  ["all files", [{ at: "///", ...allow }], BLOCK, undefined, []],
  ["the root, but not what is below", [{ at: "//", ...allow }], BLOCK, undefined, [
    "libraries file 1",
  ]],
  ["one library", [{ at: "/usr/lib/libc.so.6", ...allow }], BLOCK, undefined, []],
  [
    "a blocked interpreter",
    [program("/usr/bin/dash")],
    AUDIT,
    NGINX,
    ["blocked process 1 /usr/bin/dash"],
  ],
  [
    "a program that children may not execute",
    [program("/usr/bin/dash", { from: ["/x"] })],
    AUDIT,
    NGINX,
    [],
  ],
  [
    "an entrypoint that no rule names",
    [program("/usr/bin//", allow)],
    BLOCK,
    NGINX,
    ["unlisted process 1 /entry.sh"],
  ],
  [
    "an entrypoint that is allowed",
    [program("/usr/bin//", allow), program("/entry.sh", allow)],
    BLOCK,
    NGINX,
    [],
  ],
  [
    "a library that no rule names",
    [{ at: "/usr/lib/libc.so.6", ...allow }],
    BLOCK,
    NGINX,
    [
      "unlisted file 1 /entry.sh",
      "unlisted file 1 /usr/bin/dash",
      "unlisted file 1 /usr/lib/ld.so",
    ],
  ],
  [
    "files without the programs",
    [{ at: "/usr/lib//", ...allow }, { at: "/etc//", ...allow }],
    BLOCK,
    NGINX,
    ["unlisted file 1 /entry.sh", "unlisted file 1 /usr/bin/dash"],
  ],
  [
    "a program that must not be read",
    [{ at: "/usr/bin/dash" }],
    AUDIT,
    NGINX,
    ["blocked file 1 /usr/bin/dash"],
  ],
  [
    "files for the program alone",
    [{ at: "///", from: ["/usr/bin/dash"], ...allow }],
    BLOCK,
    NGINX,
    [
      "unlisted file 1 /entry.sh",
      "unlisted file 1 /usr/bin/dash",
      "unlisted file 1 /usr/lib/ld.so",
    ],
  ],
  [
    "a loader that the program may not open",
    [
      { at: "/usr/lib/ld.so", from: ["/usr/bin/dash"] },
    ],
    AUDIT,
    NGINX,
    [],
  ],
  [
    "files for some programs only",
    [{ at: "///", from: ["/usr/bin/dash"], ...allow }],
    BLOCK,
    undefined,
    ["sources file 1"],
  ],
  ["a blocked library", [{ at: "/usr/lib//" }], AUDIT, NGINX, [
    "blocked file 1 /usr/lib/ld.so",
    "blocked file 1 /usr/lib/libc.so.6",
  ]],
  ["a library for reading", [{ at: "/usr/lib//", readOnly: true }], AUDIT, NGINX, []],
];

for (const [claim, rules, posture, entrypoint, lockouts] of CASES) {
  Deno.test(`findLockouts() for ${claim}: ${lockouts.join(", ") || "none"}`, () => {
    const found = findLockouts([policy("p", ...rules)], posture, entrypoint);
    const lines = found.map(({ kind, group, ref, path = "" }) =>
      `${kind} ${group} ${ref.rule.where.line} ${path}`.trim()
    );
    assert.deepEqual(lines, lockouts);
  });
}

Deno.test("findLockouts() takes the rules of policies that select the same containers together", () => {
  const [one, other] = [
    policy("one", program("/entry.sh", allow)),
    policy("other", program("/usr/bin/dash", allow)),
  ].map((each) => ({ ...each, selector: { matchLabels: { app: "web" }, containerNames: [] } }));
  assert.deepEqual(findLockouts([one!, other!], BLOCK, NGINX), []);
  assert.equal(findLockouts([one!], BLOCK, NGINX).length, 1);
});
