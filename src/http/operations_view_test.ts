import assert from "node:assert/strict";
import { WORKLOAD } from "../alerts/samples.ts";
import { SEEN_PATH_MAX, type SeenLately, type SeenOperation } from "../alerts/seen.ts";
import type { Workload } from "../model/workload.ts";
import { operationsView } from "./operations_view.ts";
import { sampleState } from "./sample_state.ts";

const entry = (
  object: string,
  lastMicros: number,
  more: Partial<Workload> = {},
): SeenOperation => ({
  ...{ workload: { ...WORKLOAD, ...more }, access: "exec", object, terminal: false, count: 1 },
  ...{ from: "/bin/sh", parent: "/bin/sh", firstMicros: 1, lastMicros },
});

function viewOf(seen: Partial<SeenLately>) {
  const state = sampleState({ seen: () => ({ entries: [], dropped: 0, tooLong: 0, ...seen }) });
  state.alerts.close();
  state.events.close();
  return operationsView(state, new Date(0));
}

Deno.test("operationsView() keeps a container apart from the one before it of the same id", () => {
  const made = { cgroupId: 78n, labels: { app: "b" } };
  const { containers, operations } = viewOf({
    entries: [entry("/a", 1), entry("/b", 2, made), entry("/c", 3), entry("/d", 4, made)],
  });
  assert.deepEqual(operations.map(({ container }) => container), [0, 1, 0, 1]);
  assert.deepEqual(containers.map(({ labels }) => labels), [WORKLOAD.labels, made.labels]);
});

Deno.test("operationsView() describes a container as it was when it was seen last", () => {
  const { containers } = viewOf({
    entries: [entry("/a", 1), entry("/b", 5, { labels: { app: "new" } }), entry("/c", 3)],
  });
  assert.deepEqual(containers.map(({ labels }) => labels), [{ app: "new" }]);
});

Deno.test("operationsView() says how many operations had too long a path", () => {
  const { notRecorded, tooLong } = viewOf({ tooLong: 7 });
  assert.equal(tooLong, 7);
  assert.equal(
    notRecorded.at(-1),
    `operations with a path of more than ${SEEN_PATH_MAX} characters are not recorded: there were 7 or more`,
  );
  assert.equal(viewOf({}).notRecorded.length, notRecorded.length - 1);
});
