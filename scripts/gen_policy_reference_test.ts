import assert from "node:assert/strict";
import { findingsAbout } from "../src/cli/check_findings.ts";
import { compileImage } from "../src/compile/compile.ts";
import { randomKeys } from "../src/compile/hash.ts";
import { formatDiagnostic } from "../src/model/diagnostic.ts";
import { examplePolicy, policyFields } from "../src/model/fields.ts";
import { DEFAULT_POSTURE } from "../src/model/posture.ts";
import { checkPolicyReference, enforcedTable, referenceText } from "./gen_policy_reference.ts";
import { readExample, stateIn } from "./policy_states.ts";

const KEYS = randomKeys();
const ASKED = {
  posture: DEFAULT_POSTURE,
  hostPosture: DEFAULT_POSTURE,
  resolve: undefined,
  entrypoint: undefined,
};

for (const { path, kinds } of policyFields()) {
  Deno.test(`the example of ${path} is a policy that check has nothing to say about, and compiles`, () => {
    for (const kind of kinds) {
      const policy = readExample(kind, path);
      const findings = findingsAbout([policy], ASKED);
      const others = findings.filter(({ code }) => code !== "not-enforced");
      assert.deepEqual(others.map(formatDiagnostic), []);
      const { state } = stateIn(kind, path);
      assert.equal(findings.length > 0, state === "not enforced", kind);
      const image = compileImage(
        policy.notEnforced === undefined ? [policy] : [],
        DEFAULT_POSTURE,
        KEYS,
      );
      if (state !== "not enforced") assert.ok(image, kind);
    }
  });

  Deno.test(`the example of ${path} has the field`, () => {
    for (const kind of kinds) {
      const names = path.replaceAll("[]", ".0").split(".");
      let value: unknown = examplePolicy(kind, path);
      for (const name of names) value = (value as Record<string, unknown>)[name];
      assert.notEqual(value, undefined, kind);
    }
  });
}

Deno.test(
  "k8s/REFERENCE.md and k8s/POLICY.md are what the schema and the compiler say",
  checkPolicyReference,
);

Deno.test("referenceText({}) has a row for each field that is not inherited", () => {
  const [described] = referenceText({}).split("## Tests and kernels");
  const rows = described!.split("\n").filter((line) => /^\| `/.test(line));
  const inherited = policyFields().filter(({ path }) =>
    /\.(action|severity|tags|message)$/.test(path) && !path.startsWith("spec.presets")
  );
  const kindsAndHeader = 4 + 4;
  assert.equal(rows.length - kindsAndHeader, policyFields().length - inherited.length);
});

Deno.test("enforcedTable() puts fields of one list into the column that the compiler says", () => {
  assert.match(
    enforcedTable(),
    /^\| `process.matchPaths` \| `path`, .*`fromSource\[\]\.path`.* \| .* \|$/m,
  );
  assert.match(enforcedTable(), /^\| `apparmor` \| – \| `text` \|$/m);
});
