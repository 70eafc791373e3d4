import assert from "node:assert/strict";
import { WORKLOAD } from "../alerts/samples.ts";
import { ACCESSES, explain } from "../compile/explain.ts";
import { randomKeys } from "../compile/hash.ts";
import { explanationView } from "./explanation_view.ts";

const KEYS = randomKeys();

Deno.test("explanationView() names each decision by an access that may be asked for", () => {
  for (const access of Object.keys(ACCESSES)) {
    const answer = explain(
      { access, object: "/a", from: "", parent: "", circumstances: 0 },
      undefined,
      [],
      KEYS,
    );
    const names = explanationView(answer, WORKLOAD).decisions.map((decision) => decision.access);
    assert.deepEqual(names, access === "exec" ? ["exec", "read"] : [access]);
  }
});
