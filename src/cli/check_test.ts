import assert from "node:assert/strict";
import { runCheck } from "./check.ts";
import { EXIT_OK, EXIT_POLICY } from "./exit_codes.ts";

const HEAD = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
`;
const GOOD = `${HEAD}  file: {matchPaths: [{path: /etc/shadow}]}\n`;

/** Checks these files of a temporary folder; its name is cut from the output. */
async function check(
  files: Record<string, string>,
  { paths = Object.keys(files), json = false }: { paths?: string[]; json?: boolean } = {},
): Promise<{ status: number; out: string }> {
  const folder = await Deno.makeTempDir({ prefix: "ankylo-check-" });
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    let out = "";
    const io = { out: (text: string) => void (out += text), err: assert.fail };
    const status = await runCheck(paths.map((path) => `${folder}/${path}`), { json }, io);
    return { status, out: out.replaceAll(`${folder}/`, "") };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("runCheck() has one line for a good policy, and a summary", async () => {
  assert.deepEqual(await check({ "a.yaml": GOOD }), {
    status: EXIT_OK,
    out: "web  1 Block\n" +
      "1 file, 1 valid policy, 1 rule (1 enforced): 0 errors, 0 warnings\n",
  });
});

Deno.test("runCheck() prints place, field, message and hint of an error", async () => {
  const { status, out } = await check({
    "a.yaml": `${HEAD}  action: Blok\n${GOOD.slice(HEAD.length)}`,
  });
  assert.equal(status, EXIT_POLICY);
  assert.equal(
    out,
    'a.yaml:6:11: spec.action: Cannot use value: must be one of "Allow", "Audit", "Block": current value is "Blok"\n' +
      '  hint: did you mean "Block"?\n\n' +
      "1 file, 0 valid policies, 0 rules (0 enforced): 1 error, 0 warnings\n",
  );
});

Deno.test("runCheck() warns of each rule that is not enforced, and succeeds", async () => {
  const { status, out } = await check({
    "a.yaml": `${GOOD}  network: {matchProtocols: [{protocol: "tcp,udp"}]}\n`,
  });
  assert.equal(status, EXIT_OK);
  const lines = out.split("\n");
  assert.equal(
    lines[0],
    "a.yaml:7:30: warning: spec.network.matchProtocols[0]: Block tcp is not enforced: " +
      "this engine does not support network rules yet",
  );
  assert.match(lines[1] ?? "", /Block udp is not enforced/);
  assert.equal(lines[3], "web  1 Block, 2 not enforced");
  assert.match(lines[4] ?? "", /3 rules \(1 enforced\): 0 errors, 2 warnings/);
});

Deno.test("runCheck() warns once of a kind that is not enforced", async () => {
  const host = GOOD.replace("KubeArmorPolicy", "KubeArmorHostPolicy").replace(
    "selector",
    "nodeSelector",
  );
  const { status, out } = await check({ "a.yaml": host });
  assert.equal(status, EXIT_OK);
  assert.match(
    out,
    /^a\.yaml:3:18: warning: policy "web" is not enforced: .*host\n\nweb +1 not enforced\n/,
  );
});

Deno.test("runCheck() finds one name in two files, and reads folders", async () => {
  const { status, out } = await check({ "a.yaml": GOOD, "b.json": GOOD, "c.txt": "x" }, {
    paths: ["."],
  });
  assert.equal(status, EXIT_POLICY);
  assert.match(out, /^b\.json:3:18: .*exists already at a\.yaml:3:18/);
  assert.match(out, /^2 files, /m);
});

Deno.test("runCheck() reads a file once that is named twice", async () => {
  const { status } = await check({ "a.yaml": GOOD }, { paths: ["a.yaml", "a.yaml"] });
  assert.equal(status, EXIT_OK);
});

Deno.test("runCheck() reports a file that does not exist, and an empty folder", async () => {
  const missing = await check({}, { paths: ["nope.yaml"] });
  assert.equal(missing.status, EXIT_POLICY);
  assert.match(missing.out, /^nope\.yaml:1:1: Cannot read file: it does not exist/);
  const empty = await check({}, { paths: [""] });
  assert.equal(empty.status, EXIT_OK);
  assert.match(empty.out, /warning: Found no policy files in this folder/);
});

Deno.test("runCheck() gives the same as JSON", async () => {
  const { status, out } = await check({ "a.yaml": GOOD, "b.yaml": "x: [" }, { json: true });
  assert.equal(status, EXIT_POLICY);
  const value = JSON.parse(out);
  assert.deepEqual(value.summary, {
    files: 2,
    policies: 1,
    rules: 1,
    enforced: 1,
    errors: 1,
    warnings: 0,
  });
  assert.deepEqual(value.policies[0].rules, [{
    field: "spec.file.matchPaths[0]",
    action: "Block",
    target: "/etc/shadow",
    where: { file: "a.yaml", line: 6, column: 23 },
  }]);
  assert.equal(value.diagnostics[0].where.file, "b.yaml");
});

Deno.test("runCheck() finds nothing wrong with k8s/examples", async () => {
  const folder = new URL("../../k8s/examples", import.meta.url).pathname;
  let out = "";
  const status = await runCheck([folder], { json: false }, {
    out: (text) => void (out += text),
    err: assert.fail,
  });
  assert.equal(status, EXIT_OK);
  const warnings = out.split("\n").filter((line) => line.includes(": warning: "));
  assert.ok(warnings.every((line) => line.includes("is not enforced")), out);
});
