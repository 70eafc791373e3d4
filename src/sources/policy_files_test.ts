import assert from "node:assert/strict";
import { openShim } from "../../ffi/bpf.ts";
import { DirectoryWatch } from "../../ffi/watch.ts";
import { ManualClock } from "../lib/clock.ts";
import { formatDiagnostic } from "../model/diagnostic.ts";
import {
  isPolicyFile,
  PolicyFolder,
  type PolicyOptions,
  type PolicySet,
  watchPolicies,
} from "./policy_files.ts";

function policy(name: string, path = "/etc/shadow"): string {
  return `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: web}}
  file: {matchPaths: [{path: ${path}}]}
`;
}

const BROKEN = policy("web").replace("path:", "pth:");

/** What is in force, as `name:path`. */
function inForce(set: PolicySet): string[] {
  return set.policies.map(({ name, rules }) =>
    `${name}:${rules.map(({ target }) => target.kind === "path" && target.path).join(",")}`
  );
}

function messages(set: PolicySet, folder: string): string[] {
  return set.diagnostics.map((finding) => formatDiagnostic(finding).replaceAll(`${folder}/`, ""));
}

/** Lets so much time pass whenever someone sleeps, until there is a result. */
async function advanceUntil<T>(clock: ManualClock, ms: number, result: Promise<T>): Promise<T> {
  let done = false;
  result.finally(() => done = true);
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (done) return await result;
    clock.advance(ms);
  }
}

interface Watched {
  readonly folder: string;
  /** The next set that is yielded. */
  next(): Promise<PolicySet>;
  /** The next set of which this holds; others in between are what a slow writer shows. */
  until(wanted: (set: PolicySet) => boolean): Promise<PolicySet>;
}

const TIMES = { relistMs: 1 << 30, debounceMs: 2, leavingMs: 2 };

function refuseWatch(): never {
  throw new Error("no watches");
}

/** Runs a watcher on `policies` in a temporary folder; re-listing is off, so that only events can be the cause. */
async function watching(
  prepare: (folder: string) => Promise<void>,
  body: (watched: Watched) => Promise<void>,
  options: Partial<PolicyOptions> & { below?: string } = {},
): Promise<void> {
  const { below = "policies", ...rest } = options;
  const base = await Deno.makeTempDir({ prefix: "ankylo-policies-" });
  const folder = `${base}/${below}`;
  using shim = openShim();
  const openWatch = () => DirectoryWatch.open(shim);
  const stop = new AbortController();
  await prepare(folder);
  const sets = watchPolicies(folder, { signal: stop.signal, openWatch, ...TIMES, ...rest });
  try {
    const next = async () => {
      const { value, done } = await sets.next();
      assert.ok(!done);
      return value;
    };
    const until = async (wanted: (set: PolicySet) => boolean) => {
      for (;;) {
        const set = await next();
        if (wanted(set)) return set;
      }
    };
    await body({ folder, next, until });
    stop.abort();
    assert.equal((await sets.next()).done, true);
  } finally {
    stop.abort();
    // Before the shim goes, as a read of its may wait.
    await sets.return();
    await Deno.remove(base, { recursive: true });
  }
}

async function withFiles(folder: string, files: Record<string, string>): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, text);
  }
}

const has = (...wanted: string[]) => (set: PolicySet) =>
  JSON.stringify(inForce(set)) === JSON.stringify(wanted);

Deno.test("watchPolicies() yields what is there, by file name, and ignores other files", () =>
  watching(
    (folder) =>
      withFiles(folder, {
        "b.yml": policy("b"),
        "a.yaml": policy("a"),
        "c.json": JSON.stringify({}),
        "readme.txt": "text",
        ".hidden.yaml": policy("hidden"),
        "a.yaml~": policy("old"),
      }),
    async ({ folder, next }) => {
      const set = await next();
      assert.deepEqual(inForce(set), ["a:/etc/shadow", "b:/etc/shadow"]);
      assert.deepEqual(set.files, [`${folder}/a.yaml`, `${folder}/b.yml`, `${folder}/c.json`]);
      assert.match(messages(set, folder)[0] ?? "", /^c\.json:1:1: Cannot read policy/);
    },
  ));

Deno.test("watchPolicies() waits neither for files beside the folder nor for those on their way to a name", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a") }),
    async ({ folder, next, until }) => {
      await next();
      using beside = await Deno.open(`${folder}/../being-written`, { create: true, write: true });
      using aside = await Deno.open(`${folder}/.b.yaml`, { create: true, write: true });
      for (const file of [beside, aside]) await file.write(new Uint8Array(1));
      await Deno.writeTextFile(`${folder}/../c.yaml`, policy("c"));
      await Deno.rename(`${folder}/../c.yaml`, `${folder}/c.yaml`);
      await until(has("a:/etc/shadow", "c:/etc/shadow"));
    },
    // Longer than any test: what is being written is never waited for.
    { debounceMs: 1 << 30 },
  ));

Deno.test("watchPolicies() sees a write in place, a new file and a deletion", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a") }),
    async ({ folder, next, until }) => {
      await next();
      await Deno.writeTextFile(`${folder}/a.yaml`, policy("a", "/x"));
      await until(has("a:/x"));
      await Deno.writeTextFile(`${folder}/b.yaml`, policy("b"));
      await until(has("a:/x", "b:/etc/shadow"));
      await Deno.remove(`${folder}/a.yaml`);
      await until(has("b:/etc/shadow"));
    },
  ));

Deno.test("watchPolicies() keeps policies whose file is away, or empty, until it is written again", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a"), "b.yaml": policy("b") }),
    async ({ folder, next, until }) => {
      await next();
      await Deno.remove(`${folder}/a.yaml`);
      assert.deepEqual((await next()).files, [`${folder}/b.yaml`]);
      await Deno.truncate(`${folder}/b.yaml`);
      await Deno.writeTextFile(`${folder}/c.yaml`, policy("c"));
      await until(has("c:/etc/shadow", "b:/etc/shadow", "a:/etc/shadow"));
      await Deno.writeTextFile(`${folder}/b.yaml`, policy("b", "/x"));
      await Deno.writeTextFile(`${folder}/moved.yaml`, policy("a", "/y"));
      await until(has("b:/x", "c:/etc/shadow", "a:/y"));
    },
    { leavingMs: 1 << 30 },
  ));

Deno.test("watchPolicies() sees an atomic rename, from outside too", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a") }),
    async ({ folder, next, until }) => {
      await next();
      await Deno.writeTextFile(`${folder}/.a.yaml.tmp`, policy("a", "/x"));
      await Deno.rename(`${folder}/.a.yaml.tmp`, `${folder}/a.yaml`);
      assert.deepEqual(inForce(await next()), ["a:/x"]);
      await Deno.writeTextFile(`${folder}/../outside`, policy("a", "/y"));
      await Deno.rename(`${folder}/../outside`, `${folder}/a.yaml`);
      await until(has("a:/y"));
    },
  ));

/** As the kubelet writes a ConfigMap: a new folder, then `..data` points to it. */
async function swap(folder: string, version: number, files: Record<string, string>): Promise<void> {
  await withFiles(`${folder}/..v${version}`, files);
  await Deno.symlink(`..v${version}`, `${folder}/..data_tmp`);
  await Deno.rename(`${folder}/..data_tmp`, `${folder}/..data`);
  if (version > 1) await Deno.remove(`${folder}/..v${version - 1}`, { recursive: true });
}

Deno.test("watchPolicies() sees every swap of a ConfigMap", () =>
  watching(async (folder) => {
    await Deno.mkdir(folder);
    await swap(folder, 1, { "a.yaml": policy("a", "/1") });
    await Deno.symlink("..data/a.yaml", `${folder}/a.yaml`);
  }, async ({ folder, next, until }) => {
    assert.deepEqual(inForce(await next()), ["a:/1"]);
    for (const version of [2, 3, 4]) {
      await swap(folder, version, { "a.yaml": policy("a", `/${version}`) });
      await until(has(`a:/${version}`));
    }
  }));

/** Does something once, right after the next file was read; the result undoes that. */
function afterNextRead(act: () => void): Disposable {
  const readFileSync = Deno.readFileSync;
  const restore = () => void (Deno.readFileSync = readFileSync);
  Deno.readFileSync = (path) => {
    const bytes = readFileSync(path);
    restore();
    act();
    return bytes;
  };
  return { [Symbol.dispose]: restore };
}

Deno.test("a ConfigMap that is swapped between two of its files is read anew", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await swap(folder, 1, { "a.yaml": "", "b.yaml": policy("moved") });
    for (const name of ["a.yaml", "b.yaml"]) {
      await Deno.symlink(`..data/${name}`, `${folder}/${name}`);
    }
    await withFiles(`${folder}/..v2`, { "a.yaml": policy("moved"), "b.yaml": "" });
    await Deno.symlink("..v2", `${folder}/..data_tmp`);
    using _swap = afterNextRead(() => Deno.renameSync(`${folder}/..data_tmp`, `${folder}/..data`));
    assert.deepEqual(inForce(new PolicyFolder(folder).read()), ["moved:/etc/shadow"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("watchPolicies() waits for a folder, and for the folders above it", () =>
  watching(async () => {}, async ({ folder, next, until }) => {
    const first = await next();
    assert.deepEqual(inForce(first), []);
    assert.deepEqual(first.diagnostics.map((finding) => finding.severity), ["warning"]);
    await withFiles(folder, { "a.yaml": policy("a") });
    const set = await until(has("a:/etc/shadow"));
    assert.deepEqual(set.diagnostics, []);
  }));

Deno.test("watchPolicies() sees a folder that is made deep below what exists", () =>
  watching(async () => {}, async ({ folder, next, until }) => {
    await next();
    await withFiles(folder, { "a.yaml": policy("a") });
    await until(has("a:/etc/shadow"));
    await Deno.writeTextFile(`${folder}/a.yaml`, policy("a", "/x"));
    await until(has("a:/x"));
  }, { below: "etc/ankylo/policies" }));

Deno.test("watchPolicies() keeps the policies of a folder that vanished, and follows its successor", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a") }),
    async ({ folder, next, until }) => {
      await next();
      await Deno.rename(folder, `${folder}.old`);
      const gone = await next();
      assert.deepEqual(inForce(gone), ["a:/etc/shadow"]);
      assert.match(messages(gone, folder)[0] ?? "", /it is gone: keeping its 1 policies/);
      await withFiles(folder, { "b.yaml": policy("b") });
      await until(has("b:/etc/shadow"));
      await Deno.writeTextFile(`${folder}/b.yaml`, policy("b", "/x"));
      await until(has("b:/x"));
    },
  ));

Deno.test("watchPolicies() follows a folder that is removed and made anew, again and again", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a") }),
    async ({ folder, next, until }) => {
      await next();
      for (const path of ["/1", "/2", "/3"]) {
        await Deno.remove(folder, { recursive: true });
        await withFiles(folder, { "a.yaml": policy("a", path) });
        await until(has(`a:${path}`));
      }
    },
  ));

Deno.test("watchPolicies() follows a folder whose place others take, before it has looked", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a") }),
    async ({ folder, next, until }) => {
      await next();
      for (const path of ["/1", "/2", "/3"]) {
        await withFiles(`${folder}.next`, { "a.yaml": policy("a", path) });
        // In one turn of the event loop, so that nobody looks in between.
        // deno-lint-ignore no-sync-fn-in-async-fn
        Deno.removeSync(folder, { recursive: true });
        // deno-lint-ignore no-sync-fn-in-async-fn
        Deno.renameSync(`${folder}.next`, folder);
        await until(has(`a:${path}`));
        await Deno.writeTextFile(`${folder}/a.yaml`, policy("a", `${path}/in-place`));
        await until(has(`a:${path}/in-place`));
      }
    },
  ));

Deno.test("watchPolicies() says why it can't watch, and sees changes when it lists again", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a") }),
    async ({ folder, next, until }) => {
      const [message] = messages(await next(), folder);
      assert.match(message ?? "", /Cannot watch folder: no watches: reading it again/);
      await Deno.writeTextFile(`${folder}/a.yaml`, policy("a", "/x"));
      await until(has("a:/x"));
    },
    { relistMs: 1, openWatch: refuseWatch },
  ));

Deno.test("watchPolicies() keeps the last good version of a bad file, and says so", () =>
  watching(
    (folder) => withFiles(folder, { "a.yaml": policy("a"), "b.yaml": policy("b") }),
    async ({ folder, next, until }) => {
      await next();
      await Deno.writeTextFile(`${folder}/a.yaml`, BROKEN);
      const bad = await until((set) => set.diagnostics.some((finding) => finding.field !== ""));
      assert.deepEqual(inForce(bad), ["a:/etc/shadow", "b:/etc/shadow"]);
      const [kept, , error] = messages(bad, folder);
      assert.match(kept ?? "", /^a\.yaml:1:1: warning: .*keeping its last good version, with a$/m);
      assert.match(error ?? "", /^a\.yaml:6:24: spec\.file\.matchPaths\[0\]: .*"pth"/);
      await Deno.writeTextFile(`${folder}/a.yaml`, policy("a", "/x"));
      const good = await until(has("a:/x", "b:/etc/shadow"));
      assert.deepEqual(good.diagnostics, []);
      await Deno.writeTextFile(`${folder}/a.yaml`, BROKEN);
      await until((set) => set.diagnostics.length > 0);
      await Deno.remove(`${folder}/a.yaml`);
      await until(has("b:/etc/shadow"));
    },
  ));

Deno.test("watchPolicies() sees a change behind a link to another folder when it lists again", () =>
  watching(
    async (folder) => {
      await Deno.mkdir(folder);
      await withFiles(`${folder}/../elsewhere`, { "target": policy("a") });
      await Deno.symlink("../elsewhere/target", `${folder}/a.yaml`);
    },
    async ({ folder, next, until }) => {
      await next();
      await Deno.writeTextFile(`${folder}/../elsewhere/target`, policy("a", "/x"));
      await until(has("a:/x"));
    },
    { relistMs: 1 },
  ));

Deno.test("watchPolicies() reads a file as soon as it is closed, and one that stays open after the quiet time", async () => {
  const base = await Deno.makeTempDir({ prefix: "ankylo-policies-" });
  const [clock, stop] = [new ManualClock(), new AbortController()];
  using shim = openShim();
  const openWatch = () => DirectoryWatch.open(shim);
  const watch = async (debounceMs: number) => {
    const sets = watchPolicies(base, { signal: stop.signal, openWatch, clock, debounceMs });
    await sets.next();
    const next = sets.next();
    await clock.sleeping();
    return { sets, next };
  };
  const patient = await watch(1 << 30);
  await Deno.writeTextFile(`${base}/a.yaml`, policy("web"));
  const closed = await advanceUntil(clock, 2, patient.next);
  assert.deepEqual(inForce(closed.value!), ["web:/etc/shadow"]);
  const usual = await watch(50);
  using file = await Deno.open(`${base}/b.yaml`, { write: true, createNew: true });
  await file.write(new TextEncoder().encode(policy("db")));
  const open = await advanceUntil(clock, 50, usual.next);
  assert.deepEqual(inForce(open.value!), ["web:/etc/shadow", "db:/etc/shadow"]);
  stop.abort();
  await Promise.all([patient.sets.return(), usual.sets.return()]);
  await Deno.remove(base, { recursive: true });
});

Deno.test("watchPolicies() yields nothing when nothing differs", () =>
  watching((folder) => withFiles(folder, { "a.yaml": policy("a") }), async ({ folder, next }) => {
    await next();
    await Deno.writeTextFile(`${folder}/notes.txt`, "not a policy");
    await Deno.utime(`${folder}/a.yaml`, 1, 1);
    const found = next();
    await Deno.writeTextFile(`${folder}/.b.yaml.tmp`, policy("b"));
    await Deno.rename(`${folder}/.b.yaml.tmp`, `${folder}/b.yaml`);
    assert.deepEqual(inForce(await found), ["a:/etc/shadow", "b:/etc/shadow"]);
  }));

Deno.test("watchPolicies() ends at once when the signal aborts while it waits", async () => {
  const folder = await Deno.makeTempDir({ prefix: "ankylo-policies-" });
  const clock = new ManualClock();
  const stop = new AbortController();
  using shim = openShim();
  const openWatch = () => DirectoryWatch.open(shim);
  const sets = watchPolicies(folder, { signal: stop.signal, openWatch, clock });
  await sets.next();
  const end = sets.next();
  await clock.sleeping();
  stop.abort();
  assert.equal((await end).done, true);
  await Deno.remove(folder);
});

async function readOnce(prepare: (folder: string) => Promise<void>): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "ankylo-policies-" });
  try {
    await prepare(folder);
    return messages(await new PolicyFolder(folder).read(), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const UNREADABLE: [claim: string, prepare: (folder: string) => Promise<void>, message: RegExp][] = [
  ["a link to nothing", (folder) => Deno.symlink("nowhere", `${folder}/a.yaml`), /link to nothing/],
  [
    "a file over 1 MiB",
    (folder) => Deno.writeTextFile(`${folder}/a.yaml`, "#".repeat((1 << 20) + 1)),
    /has 1048577 bytes, and at most 1048576/,
  ],
  [
    "what is not UTF-8",
    (folder) => Deno.writeFile(`${folder}/a.yaml`, new Uint8Array([0xff, 0xfe])),
    /not encoded in UTF-8/,
  ],
  [
    "a named pipe, without waiting for a writer",
    async (folder) => {
      await new Deno.Command("mkfifo", { args: [`${folder}/a.yaml`] }).output();
    },
    /no regular file/,
  ],
];

for (const [claim, prepare, message] of UNREADABLE) {
  Deno.test(`PolicyFolder reports ${claim}`, async () => {
    const found = await readOnce(prepare);
    assert.equal(found.length, 1);
    assert.match(found[0]!, message);
  });
}

Deno.test("PolicyFolder keeps the first of two files with one policy and names both", async () => {
  const found = await readOnce((folder) =>
    withFiles(folder, { "b.yaml": policy("one"), "a.yaml": policy("one") })
  );
  assert.equal(found.length, 1);
  assert.match(found[0]!, /^b\.yaml:3:18: .*exists already at a\.yaml:3:18: keeping that one/);
});

Deno.test("PolicyFolder reads at most 1,000 files and names the first that is left out", async () => {
  const found = await readOnce((folder) => {
    const names = Array.from({ length: 1001 }, (_, n) => `${String(n).padStart(4, "0")}.yaml`);
    return withFiles(folder, Object.fromEntries(names.map((name) => [name, ""])));
  });
  assert.equal(found.length, 1);
  assert.match(found[0]!, /it has 1001/);
  assert.match(found[0]!, /"1000\.yaml" and what follows is left out/);
});

Deno.test("PolicyFolder says that a folder is a file", async () => {
  const path = await Deno.makeTempFile();
  const { diagnostics } = await new PolicyFolder(path).read();
  await Deno.remove(path);
  assert.match(diagnostics[0]?.message ?? "", /it is no folder/);
});

Deno.test("isPolicyFile() knows policies from what editors leave behind", () => {
  const names = [
    "a.yaml",
    "a.YML",
    "a.b.json",
    ".a.yaml",
    "a.yaml~",
    "#a.yaml#",
    ".#a.yaml",
    "a.yaml.swp",
    "yaml",
  ];
  assert.deepEqual(names.filter(isPolicyFile), ["a.yaml", "a.YML", "a.b.json"]);
});
