import assert from "node:assert/strict";
import { type CheckOptions, runCheck } from "./check.ts";
import { elfFile } from "./elf_samples.ts";
import { EXIT_OK, EXIT_POLICY, EXIT_USAGE } from "./exit_codes.ts";

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
  { paths = Object.keys(files), ...options }: Partial<CheckOptions> & { paths?: string[] } = {},
): Promise<{ status: number; out: string }> {
  const folder = await Deno.makeTempDir({ prefix: "ankylo-check-" });
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    let out = "";
    const io = { out: (text: string) => void (out += text), err: assert.fail };
    const status = await runCheck(
      paths.map((path) => `${folder}/${path}`),
      { format: "text", ...options },
      io,
    );
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
    "a.yaml": `${GOOD}  network: {matchDNSQueries: [{domain: "a..example,b.example"}]}\n`,
  });
  assert.equal(status, EXIT_OK);
  const lines = out.split("\n");
  assert.equal(
    lines[0],
    "a.yaml:7:31: warning: spec.network.matchDNSQueries[0]: Block a..example is not enforced: " +
      'domain "a..example" has two dots side by side: write "a.example"',
  );
  assert.match(lines[1] ?? "", /Block b.example is not enforced/);
  assert.equal(lines[3], "web  1 Block, 2 not enforced");
  assert.match(lines[4] ?? "", /3 rules \(1 enforced\): 0 errors, 2 warnings/);
});

Deno.test("runCheck() warns once of a kind that is not enforced", async () => {
  const quota = "apiVersion: security.kubearmor.com/v1\nkind: KubeArmorNetworkPolicy\n" +
    'metadata: {name: web}\nspec:\n  nodeSelector: {matchLabels: {"kubernetes.io/hostname": one}}\n' +
    "  egress: [{ports: [{port: '80'}]}]\n";
  const { status, out } = await check({ "a.yaml": quota });
  assert.equal(status, EXIT_OK);
  assert.match(
    out,
    /^a\.yaml:3:18: warning: policy "web" is not enforced: .*network policies yet\n\nweb /,
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
  const { status, out } = await check({ "a.yaml": GOOD, "b.yaml": "x: [" }, { format: "json" });
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
  const status = await runCheck([folder], { format: "text" }, {
    out: (text) => void (out += text),
    err: assert.fail,
  });
  assert.equal(status, EXIT_OK);
  const warnings = out.split("\n").filter((line) => line.includes(": warning: "));
  assert.ok(warnings.every((line) => line.includes("is not enforced")), out);
});

const WARNED = `${HEAD}  file: {matchPaths: [{path: /etc/shadow}, {path: /etc/shadow}]}\n`;

Deno.test("runCheck() takes warnings for errors when it is strict", async () => {
  const relaxed = await check({ "a.yaml": WARNED });
  assert.equal(relaxed.status, EXIT_OK);
  assert.match(relaxed.out, /^a\.yaml:6:44: warning: /);
  const strict = await check({ "a.yaml": WARNED }, { strict: true });
  assert.equal(strict.status, EXIT_POLICY);
  assert.match(
    strict.out,
    /^a\.yaml:6:44: spec\.file\.matchPaths\[1\]: Block \/etc\/shadow stands twice/,
  );
  assert.match(strict.out, /: 1 error, 0 warnings\n$/);
  assert.equal((await check({ "a.yaml": GOOD }, { strict: true })).status, EXIT_OK);
});

Deno.test("runCheck() writes SARIF with the same findings", async () => {
  const { status, out } = await check({ "a.yaml": WARNED }, { format: "sarif", strict: true });
  assert.equal(status, EXIT_POLICY);
  const [{ results }] = JSON.parse(out).runs;
  assert.equal(results.length, 1);
  assert.deepEqual([results[0].ruleId, results[0].level], ["duplicate", "error"]);
});

const IN_ROOT = `${HEAD}  process:
    matchPaths:
      - {path: /bin/sh, fromSource: [{path: /bin/su}]}
      - {path: /usr/bin/dash}
      - {path: /usr/bin}
    matchDirectories: [{dir: /entry.sh/}, {dir: /usr/bin/}]
`;

Deno.test("runCheck() looks paths up in the container's file system", async () => {
  await withRoot(async (root) => {
    const { status, out } = await check({ "a.yaml": IN_ROOT }, { root });
    assert.equal(status, EXIT_OK);
    assert.equal(
      out,
      `a.yaml:8:9: warning: spec.process.matchPaths[0].fromSource[0]: Found a path that leads through a link: "/bin/su": it never matches
  hint: the kernel compares real paths: write "/usr/bin/su"
a.yaml:10:9: warning: spec.process.matchPaths[2]: Found a directory in matchPaths: "/usr/bin"
  hint: the rule is about the directory itself: use matchDirectories with "dir"
a.yaml:11:24: warning: spec.process.matchDirectories[0]: Found a file in matchDirectories: "/entry.sh/"
  hint: use matchPaths with "path"

web  5 Block
1 file, 1 valid policy, 5 rules (5 enforced): 0 errors, 3 warnings
`,
    );
  });
});

Deno.test("runCheck() says whether the container's first program would be refused", async () => {
  await withRoot(async (root) => {
    const found = async (policy: string, options: Partial<CheckOptions>) => {
      const { out } = await check({ "a.yaml": HEAD + policy }, { root, ...options });
      return out.split("\n").filter((line) => line.includes("first program"))
        .map((line) => line.replace(/^a\.yaml:\S+ warning: /, ""));
    };
    const entrypoint = "/entry.sh";
    const blocked = "  process: {matchPaths: [{path: /usr/bin/dash}]}\n";
    assert.deepEqual(await found(blocked, { entrypoint }), [
      'spec.process.matchPaths[0]: Block /usr/bin/dash refuses "/usr/bin/dash", the interpreter of the container\'s first program: it does not start',
    ]);
    const listed = "  process: {matchPaths: [{path: /usr/bin/dash, action: Allow}]}\n";
    assert.deepEqual(await found(listed, { entrypoint }), []);
    assert.deepEqual(await found(listed, { entrypoint, posture: BLOCK }), [
      'spec.process.matchPaths[0]: The process allow-list refuses the container\'s first program "/entry.sh", which no rule of it names: with posture.file block it does not start',
    ]);
    const files = "  file: {matchPaths: [{path: /usr/lib/libc.so, action: Allow}]}\n";
    assert.deepEqual(await found(files, { entrypoint, posture: BLOCK }), [
      'spec.file.matchPaths[0]: The file allow-list refuses reading the container\'s first program "/entry.sh", which no rule of it names: with posture.file block it does not start',
      'spec.file.matchPaths[0]: The file allow-list refuses reading "/usr/bin/dash", the interpreter of the container\'s first program, which no rule of it names: with posture.file block it does not start',
      'spec.file.matchPaths[0]: The file allow-list refuses the library "/usr/lib/ld.so" of the container\'s first program, which no rule of it names: with posture.file block it does not start',
    ]);
  });
});

const BAD_CONTAINERS: [options: Partial<CheckOptions>, message: RegExp][] = [
  [{ root: "/nonexistent" }, /^Cannot use --root: .*\n {2}hint: name a folder/],
  [
    { root: "/etc", entrypoint: "/gone" },
    /^Cannot use --entrypoint: found no entrypoint "\/gone" in "\/etc": nothing is there\n {2}hint: /,
  ],
  [
    { entrypoint: "nginx" },
    /^Cannot use --entrypoint: must start with "\/": current value is "nginx"/,
  ],
];

for (const [options, message] of BAD_CONTAINERS) {
  Deno.test(`runCheck() refuses ${JSON.stringify(options)}`, async () => {
    let err = "";
    const io = { out: assert.fail, err: (text: string) => void (err += text) };
    assert.equal(await runCheck(["x.yaml"], { format: "text", ...options }, io), EXIT_USAGE);
    assert.match(err, message);
  });
}

const BLOCK = { file: "block", network: "audit", capabilities: "audit" } as const;

/** A script and its shell, in a root with a merged /usr. */
async function withRoot(use: (root: string) => Promise<void>) {
  const root = await Deno.makeTempDir({ prefix: "ankylo-root-" });
  try {
    for (const folder of ["usr/bin", "usr/lib"]) {
      await Deno.mkdir(`${root}/${folder}`, { recursive: true });
    }
    await Deno.symlink("usr/bin", `${root}/bin`);
    await Deno.symlink("usr/lib", `${root}/lib`);
    await Deno.symlink("dash", `${root}/usr/bin/sh`);
    const shell = elfFile({ interpreter: "/lib/ld.so", needed: ["libc.so"] });
    await Deno.writeFile(`${root}/usr/bin/dash`, shell);
    await Deno.writeFile(`${root}/usr/lib/ld.so`, elfFile({}));
    await Deno.writeFile(`${root}/usr/lib/libc.so`, elfFile({}));
    await Deno.writeTextFile(`${root}/entry.sh`, "#!/bin/sh\n");
    await use(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}
