import assert from "node:assert/strict";
import { parse } from "yaml";
import { crdPath, crdText } from "./gen_crds.ts";
import { crdOf, KINDS } from "../src/model/crd.ts";

const root = new URL("../", import.meta.url);

for (const definition of KINDS) {
  Deno.test(`k8s/crds is fresh: ${definition.kind} (else run scripts/gen_crds.ts)`, async () => {
    const written = await Deno.readTextFile(new URL(crdPath(definition), root));
    assert.equal(written, crdText(definition));
  });

  Deno.test(`crdOf() survives being read as YAML 1.1, as kubectl does: ${definition.kind}`, () => {
    const read = parse(crdText(definition), { version: "1.1" });
    assert.deepEqual(read, JSON.parse(JSON.stringify(crdOf(definition))));
  });
}
