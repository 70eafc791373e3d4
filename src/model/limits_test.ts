import assert from "node:assert/strict";
import { COMPONENTS_MAX } from "./limits.ts";

Deno.test("COMPONENTS_MAX is the kernel programs' number", async () => {
  const header = await Deno.readTextFile(new URL("../../bpf/agent_api.h", import.meta.url));
  const found = /^#define COMPONENTS_MAX (\d+)$/m.exec(header)?.[1];
  assert.equal(Number(found), COMPONENTS_MAX);
});
