import assert from "node:assert/strict";
import { type KernelSupport, kernelTable, lossesOf } from "./gen_kernel_table.ts";

const SUPPORT: KernelSupport = {
  release: "6.1.0-56-cloud-amd64",
  date: "2026-11-22",
  missing: [],
  absent: ["file_truncate"],
  largest: { program: "decide_path_rename", steps: 17_000 },
};

Deno.test("lossesOf() says what is lost without a guard, and nothing of a hook whose work another does", () => {
  assert.deepEqual(lossesOf(["file_truncate", "path_notify"]), [
    "fanotify marks hand out descriptors of blocked files (no `path_notify`)",
  ]);
});

Deno.test("kernelTable() has a row for each kernel: what it lacks, what another hook does, its busiest program", () => {
  const lesser = { ...SUPPORT, absent: ["uring_override_creds"] };
  const [, , first, second] = kernelTable([["6.1", SUPPORT], ["6.12", lesser]]).split("\n");
  assert.match(
    first!,
    /^\| 6\.1 \| 6\.1\.0-56-cloud-amd64, 2026-11-22 \| nothing is lost \| no `file_truncate`: path_truncate decides/,
  );
  assert.match(first!, /\| `decide_path_rename`, 17,000 \|$/);
  assert.match(second!, /\| io_uring .* \(no `uring_override_creds`\) \| {2}\|/);
});

Deno.test("kernelTable() says of a kernel without what everything needs that nothing is enforced", () => {
  const { largest: _, ...rest } = SUPPORT;
  const old = { ...rest, missing: ["programs: none for this kernel"] };
  assert.match(
    kernelTable([["5.10", old]]),
    /\| nothing is enforced: programs: none for this kernel \| \| \|$/,
  );
  assert.match(
    kernelTable([["5.10", rest]]),
    /\| nothing is lost \| .* \| this kernel does not tell \|$/,
  );
});
