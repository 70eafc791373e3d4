/** Asks the agent of the demonstration, over its HTTP API and from outside, as any client would. */

import type { AgentPicture } from "../../src/cli/status_screen.ts";
import { readServerSentEvents } from "../../src/lib/sse_parser.ts";

/** Everything that the first part of the screen shows. */
export async function readPicture(api: string): Promise<AgentPicture> {
  const { policies, diagnostics } = await getJson<
    { policies: { name: string }[]; diagnostics: AgentPicture["diagnostics"] }
  >(`${api}/v1/policies`);
  const details: AgentPicture["policies"][number][] = [];
  for (const { name } of policies) {
    details.push(await getJson(`${api}/v1/policies/${encodeURIComponent(name)}`));
  }
  const status = await getJson<AgentPicture["status"]>(`${api}/v1/status`);
  const { workloads } = await getJson<Pick<AgentPicture, "workloads">>(`${api}/v1/workloads`);
  return { status, policies: details, diagnostics, workloads };
}

/** A record of the alert stream, in KubeArmor's schema. */
export type AlertRecord = Readonly<Record<string, unknown>>;

/** Alerts from the first on, as they come; ends when the agent does. */
export async function* followAlerts(api: string): AsyncGenerator<AlertRecord> {
  const response = await fetch(`${api}/v1/alerts`, { headers: { "last-event-id": "0" } });
  if (!response.ok) throw new Error(`Follow alerts: ${response.status} from ${api}/v1/alerts`);
  for await (const { type, data } of readServerSentEvents(response.body!)) {
    if (type !== "lost") yield JSON.parse(data) as AlertRecord;
  }
}

async function getJson<T>(url: string): Promise<T> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`Ask the agent: ${response.status} from ${url}`);
  return await response.json() as T;
}
