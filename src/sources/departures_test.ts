import assert from "node:assert/strict";
import { parsePolicies } from "../model/parse.ts";
import type { Policy } from "../model/policy.ts";
import { Departures } from "./departures.ts";

function policy(name: string, path = "/etc/shadow"): Policy {
  const { policies } = parsePolicies(
    `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: ${name}}
spec: {selector: {}, file: {matchPaths: [{path: ${path}}]}}
`,
    `${name}.yaml`,
  );
  return policies[0]!;
}

const [A, B] = [policy("a"), policy("b")];

Deno.test("a policy that is gone is withdrawn after its time, and not before", () => {
  const departures = new Departures(1_000);
  assert.deepEqual(departures.inForce([A, B], 0), [A, B]);
  assert.equal(departures.nextMs(0), undefined);
  assert.deepEqual(departures.inForce([B], 500), [B, A]);
  assert.equal(departures.nextMs(600), 900);
  assert.deepEqual(departures.inForce([B], 1_499), [B, A]);
  assert.deepEqual(departures.inForce([B], 1_500), [B]);
  assert.equal(departures.nextMs(1_500), undefined);
});

Deno.test("a policy that comes back is as it came back, and may leave again", () => {
  const departures = new Departures(1_000);
  departures.inForce([A], 0);
  departures.inForce([], 900);
  const other = policy("a", "/x");
  assert.deepEqual(departures.inForce([other], 1_800), [other]);
  assert.deepEqual(departures.inForce([], 2_700), [other]);
  assert.deepEqual(departures.inForce([], 3_699), [other]);
  assert.deepEqual(departures.inForce([], 3_700), []);
});

Deno.test("each policy leaves in its own time", () => {
  const departures = new Departures(1_000);
  departures.inForce([A, B], 0);
  departures.inForce([B], 100);
  departures.inForce([], 400);
  assert.equal(departures.nextMs(400), 700);
  assert.deepEqual(departures.inForce([], 1_100), [B]);
  assert.equal(departures.nextMs(1_100), 300);
});
