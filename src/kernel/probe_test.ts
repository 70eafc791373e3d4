import assert from "node:assert/strict";
import { CGROUP_HOOKS, DECIDING_HOOKS, isLsmHook, LSM_HOOKS, lsmHookOf } from "./hooks.ts";
import { KERNEL_FUNCTIONS, type KernelFacts, probe, probeText, programsFor } from "./probe.ts";

const GOOD: KernelFacts = {
  release: "6.12.0",
  lsms: ["capability", "landlock", "apparmor", "bpf"],
  btf: true,
  hooks: new Set([...LSM_HOOKS, ...CGROUP_HOOKS]),
  functions: new Set(KERNEL_FUNCTIONS),
  symbols: new Set(["rename_lock", "mount_lock"]),
  cgroups: { controller: "unified", id: 0, root: "/sys/fs/cgroup" },
  bpffs: true,
  root: true,
};

function without(...hooks: string[]): KernelFacts {
  return { ...GOOD, hooks: new Set([...GOOD.hooks].filter((name) => !hooks.includes(name))) };
}

/** What is only there with CONFIG_SECURITY_PATH. */
const PATH_HOOKS = LSM_HOOKS.filter((name) => name.startsWith("path_") && name !== "path_notify");

Deno.test("probe() finds nothing wrong with a good kernel", () => {
  const report = probe(GOOD);
  assert.equal(report.canEnforce, true);
  assert.ok([...report.features, ...report.hooks].every(({ state }) => state === "ok"));
  assert.doesNotMatch(probeText(report), /What to do/);
});

Deno.test("probe() gives the command line that is wanted when bpf is not among the LSMs", () => {
  const report = probe({ ...GOOD, lsms: ["capability", "landlock", "apparmor"] });
  assert.equal(report.canEnforce, false);
  assert.match(
    probeText(report),
    /cannot enforce.*\nWhat to do\n {2}BPF LSM: add "lsm=landlock,apparmor,bpf"/s,
  );
});

Deno.test("programsFor() gives 5.10 its own, but not where io_uring's workers are nobody's, and others before 5.17 none", () => {
  const programs = (...functions: string[]) => programsFor({ functions: new Set(functions) });
  assert.equal(programs(...KERNEL_FUNCTIONS), "5.17");
  assert.equal(programs("bpf_per_cpu_ptr", "create_io_thread", "migrate_disable"), undefined);
  assert.equal(programs("bpf_per_cpu_ptr", "create_io_thread"), "5.10");
  assert.equal(programs("bpf_per_cpu_ptr"), undefined);
  assert.equal(programs(), undefined);
});

const FATAL: readonly [string, Partial<KernelFacts>][] = [
  ["securityfs", { lsms: undefined }],
  ["BTF", { btf: false }],
  ["cgroups", { cgroups: undefined }],
  ["bpffs", { bpffs: false }],
  ["rename_lock", { symbols: new Set(["mount_lock"]) }],
  ["programs", { functions: new Set(["bpf_per_cpu_ptr", "create_io_thread", "migrate_disable"]) }],
  ["task_alloc", without("task_alloc")],
  ["path hooks", without(...PATH_HOOKS)],
  ["root", { root: false }],
];

for (const [name, facts] of FATAL) {
  Deno.test(`probe() says that nothing is enforced without ${name}, and what to do`, () => {
    const report = probe({ ...GOOD, ...facts });
    assert.equal(report.canEnforce, false);
    const bad = report.features.filter(({ state }) => state === "missing");
    assert.equal(bad.length, 1);
    assert.ok(bad[0]!.hint);
  });
}

Deno.test("probe() says nothing of symbols that nobody looked for", () => {
  const report = probe({ ...GOOD, symbols: undefined });
  assert.equal(report.canEnforce, true);
  assert.ok(report.features.every(({ name }) => name !== "rename_lock"));
});

Deno.test("probe() calls file_truncate absent on a kernel that has it in path_truncate", () => {
  const report = probe(without("file_truncate"));
  assert.equal(report.hooks.find(({ name }) => name === "file_truncate")!.state, "absent");
  assert.doesNotMatch(probeText(report), /What to do/);
});

const needed = DECIDING_HOOKS.filter(({ name, need }) => need !== "variant" && isLsmHook(name));
for (const hook of needed) {
  const { name } = hook;
  Deno.test(`probe() names what is lost without ${name}`, () => {
    const report = probe(without(lsmHookOf(hook)));
    assert.equal(report.canEnforce, true);
    assert.match(
      probeText(report),
      new RegExp(`weaker +${name} +not in this kernel[^]*  ${name}: `),
    );
  });
}

Deno.test("probe() names CONFIG_SECURITY_PATH where it is off, and what can't be enforced then", () => {
  assert.match(
    probeText(probe(without(...PATH_HOOKS))),
    /cannot enforce[^]* path hooks: objects of rules are renamed.* no rule is enforced.*CONFIG_SECURITY_PATH=y/,
  );
});
