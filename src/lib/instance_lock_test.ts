import assert from "node:assert/strict";
import { AgentRunsError, lockInstance } from "./instance_lock.ts";

Deno.test("lockInstance() lets one in at a time and names who is there", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/run/agent.lock`;
  try {
    {
      using _lock = await lockInstance(path);
      await assert.rejects(lockInstance(path), (error) => {
        assert.ok(error instanceof AgentRunsError);
        assert.match(error.message, new RegExp(`as process ${Deno.pid}$`));
        return true;
      });
    }
    using _again = await lockInstance(path);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
