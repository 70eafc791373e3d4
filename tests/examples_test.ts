/** What the comments in k8s/examples promise, asked of the specification of precedence. */

import assert from "node:assert/strict";
import {
  OP_CREATE,
  OP_DELETE,
  OP_EXEC,
  OP_READ,
  OP_RENAME,
  OP_WRITE,
  VERDICT_ALLOW,
  VERDICT_AUDIT,
  VERDICT_BLOCK,
  VERDICT_NONE,
  VERDICT_POSTURE_AUDIT,
  VERDICT_POSTURE_BLOCK,
  VERDICT_SOURCE,
} from "../ffi/generated/agent_api.ts";
import { evaluate } from "../src/compile/evaluate.ts";
import { parsePolicies } from "../src/model/parse.ts";
import { DEFAULT_POSTURE } from "../src/model/posture.ts";

const examples = new URL("../k8s/examples/", import.meta.url);

const SHIM = "/usr/bin/containerd-shim-runc-v2";
const TOKENS = "/run/secrets/kubernetes.io/serviceaccount";

interface Case {
  readonly op: number;
  readonly path: string;
  /** The acting program; /usr/sbin/nginx, forked from nginx, when not given. */
  readonly caller?: string;
  /** What the acting program was forked from; the caller when not given. */
  readonly parent?: string;
  readonly verdict: number;
}

const read = (path: string, verdict: number, caller?: string): Case => ({
  op: OP_READ,
  path,
  verdict,
  ...(caller !== undefined && { caller }),
});
const exec = (path: string, verdict: number, caller?: string, parent?: string): Case => ({
  op: OP_EXEC,
  path,
  verdict,
  ...(caller !== undefined && { caller }),
  ...(parent !== undefined && { parent }),
});

const CASES: Record<string, Case[]> = {
  "deny-service-account-token": [
    read(`${TOKENS}/..2026_01_31_09_00_00.123/token`, VERDICT_BLOCK),
    read(`/var${TOKENS}/..2026_01_31_09_00_00.123/token`, VERDICT_BLOCK),
    read(TOKENS, VERDICT_BLOCK),
    read("/run/secrets/other", VERDICT_NONE),
  ],
  "deny-shells": [
    exec("/bin/sh", VERDICT_BLOCK),
    exec("/usr/bin/bash", VERDICT_BLOCK),
    exec("/bin/ls", VERDICT_NONE),
    read("/bin/sh", VERDICT_NONE),
  ],
  "deny-dropped-programs": [
    exec("/tmp/x", VERDICT_BLOCK),
    exec("/tmp/a/b/c", VERDICT_BLOCK),
    exec("/dev/shm/x", VERDICT_BLOCK),
    exec("/usr/bin/x", VERDICT_NONE),
    { op: OP_CREATE, path: "/tmp/x", verdict: VERDICT_NONE },
  ],
  "protect-web-root": [
    read("/usr/share/nginx/html/a/index.html", VERDICT_ALLOW),
    ...[OP_WRITE, OP_CREATE, OP_DELETE, OP_RENAME].map((op) => ({
      op,
      path: "/usr/share/nginx/html/index.html",
      verdict: VERDICT_BLOCK,
    })),
    read("/etc/nginx/nginx.conf", VERDICT_AUDIT),
  ],
  "only-backup-reads-keys": [
    read("/etc/keys/a/b.pem", VERDICT_BLOCK, "/bin/cat"),
    read("/etc/keys/a/b.pem", VERDICT_ALLOW, "/usr/bin/backup"),
    read("/etc/passwd", VERDICT_ALLOW, "/bin/cat"),
  ],
  "allow-only-nginx": [
    exec("/usr/sbin/nginx", VERDICT_ALLOW, SHIM),
    exec("/docker-entrypoint.d/10-listen.sh", VERDICT_ALLOW, "/usr/bin/dash", SHIM),
    exec("/docker-entrypoint.d/10-listen.sh", VERDICT_POSTURE_AUDIT),
    exec("/usr/bin/curl", VERDICT_POSTURE_AUDIT),
    read("/etc/passwd", VERDICT_NONE),
  ],
  "audit-package-managers": [
    exec("/usr/bin/apt", VERDICT_AUDIT),
    exec("/usr/bin/ls", VERDICT_NONE),
  ],
  "restrict-downloads": [
    exec("/usr/bin/curl", VERDICT_BLOCK, "/usr/bin/dash"),
    exec("/usr/bin/curl", VERDICT_BLOCK, "/usr/bin/python3", "/usr/bin/bash"),
    exec("/usr/bin/curl", VERDICT_NONE),
    // The rule's allowedArgs is not supported, so that it is left out whole.
    exec("/usr/bin/openssl", VERDICT_NONE),
    exec("/usr/bin/bash", VERDICT_BLOCK),
    read("/srv/api/key", VERDICT_BLOCK),
  ],
};

async function policiesOf(name: string) {
  return parsePolicies(await Deno.readTextFile(new URL(`${name}.yaml`, examples)), name).policies;
}

for (const [name, cases] of Object.entries(CASES)) {
  Deno.test(`evaluate() gives what k8s/examples/${name}.yaml promises`, async () => {
    const policies = await policiesOf(name);
    for (const { op, path, caller = "/usr/sbin/nginx", parent = caller, verdict } of cases) {
      const found = evaluate({ op, path, caller, parent }, policies, DEFAULT_POSTURE).verdict;
      assert.equal(found & ~VERDICT_SOURCE, verdict, `op ${op} on ${path} by ${caller}`);
    }
  });
}

Deno.test("evaluate() refuses what an allow-list leaves out when the posture says block", async () => {
  const policies = await policiesOf("allow-only-nginx");
  const question = { op: OP_EXEC, path: "/usr/bin/curl", caller: SHIM, parent: SHIM };
  const { verdict } = evaluate(question, policies, { ...DEFAULT_POSTURE, file: "block" });
  assert.equal(verdict, VERDICT_POSTURE_BLOCK);
});

Deno.test("every example has a case here", () => {
  const names = [...Deno.readDirSync(examples)].map((entry) => entry.name.replace(/\.yaml$/, ""));
  assert.deepEqual(Object.keys(CASES).sort(), names.sort());
});
