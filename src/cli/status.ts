import type { Settings } from "../config/config.ts";
import type { policiesView, policyView, statusView, workloadsView } from "../http/views.ts";
import { AgentClient } from "./client.ts";
import { EXIT_OK } from "./exit_codes.ts";
import type { CommandIo } from "./io.ts";
import { type AgentPicture, statusScreen } from "./status_screen.ts";

/** `ankylo status`: what the running agent enforces, on what, and what came of it. @throws {AgentUnreachableError} */
export async function runStatus(
  settings: Pick<Settings, "socket" | "listen" | "http">,
  options: { json: boolean },
  io: CommandIo,
): Promise<number> {
  using client = await AgentClient.open(settings);
  const picture = await readPicture(client);
  io.out(options.json ? `${JSON.stringify(picture, null, 2)}\n` : statusScreen(picture));
  return EXIT_OK;
}

async function readPicture(client: AgentClient): Promise<AgentPicture> {
  const status = await client.getJson<ReturnType<typeof statusView>>("/v1/status");
  const { policies, diagnostics } = await client.getJson<ReturnType<typeof policiesView>>(
    "/v1/policies",
  );
  const { workloads } = await client.getJson<ReturnType<typeof workloadsView>>("/v1/workloads");
  const details = policies.map(({ name, kind, namespace }) => {
    const query = new URLSearchParams({ kind, ...(namespace && { namespace }) });
    const path = `/v1/policies/${encodeURIComponent(name)}?${query}`;
    return client.getJson<ReturnType<typeof policyView>>(path);
  });
  return { status, diagnostics, workloads, policies: await Promise.all(details) };
}
