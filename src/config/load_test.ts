import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFINITIONS, flagOf, SETTING_NAMES, variableOf } from "./config.ts";
import {
  ConfigError,
  type ConfigSources,
  loadSettings,
  printSettings,
  resolveSettings,
} from "./load.ts";

function resolve(sources: Partial<ConfigSources> & { yaml?: string }) {
  const { yaml, ...rest } = sources;
  const file = yaml === undefined ? {} : { file: { path: "/c.yaml", text: yaml } };
  return resolveSettings({ flags: {}, environment: {}, ...file, ...rest });
}

function problemsOf(sources: Parameters<typeof resolve>[0]): string {
  try {
    resolve(sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "";
}

Deno.test("resolveSettings() with nothing given takes every default", () => {
  const { settings, given } = resolve({});
  assert.equal(settings.policies, "/etc/ankylo/policies");
  assert.deepEqual(settings.governance.posture, {
    file: "audit",
    network: "audit",
    capabilities: "audit",
  });
  assert.deepEqual(settings.listen, { hostname: "127.0.0.1", port: 8420 });
  assert.deepEqual([...given.keys()], SETTING_NAMES);
  assert.ok([...given.values()].every(({ origin }) => origin === "default"));
});

Deno.test("resolveSettings() prefers flag over environment over file over default", () => {
  const yaml = "cluster: file\nhostname: file\nposture:\n  file: block\n";
  const environment = { ANKYLO_CLUSTER: "variable", ANKYLO_HOSTNAME: "variable" };
  const { settings, given } = resolve({ yaml, environment, flags: { cluster: "flag" } });
  assert.equal(settings.cluster, "flag");
  assert.equal(settings.hostname, "variable");
  assert.equal(settings.governance.posture.file, "block");
  assert.equal(given.get("cluster")!.origin, "flag --cluster");
  assert.equal(given.get("hostname")!.origin, "environment ANKYLO_HOSTNAME");
  assert.equal(given.get("posture.file")!.origin, "/c.yaml:4:9");
});

Deno.test("resolveSettings() reads postures of namespaces", () => {
  const text = "web.file=block, web.network=audit,build.capabilities=block";
  const { settings: { governance } } = resolve({ flags: { "posture.namespaces": text } });
  assert.deepEqual([...governance.namespaces], [
    ["web", { file: "block", network: "audit" }],
    ["build", { capabilities: "block" }],
  ]);
  for (const wrong of ["web", "web.file", "web.files=block", "web.file=deny", "", ".file=block"]) {
    const message = problemsOf({ flags: { "posture.namespaces": wrong } });
    assert.match(message, /must be NAMESPACE\.CLASS=ACTION.*current value is/);
  }
});

Deno.test("resolveSettings() takes dotted keys, lists and off", () => {
  const { settings } = resolve({
    yaml: "posture.file: block\nvisibility: [process, file]\nlisten: off\nsocket: off\n",
  });
  assert.equal(settings.governance.posture.file, "block");
  assert.deepEqual(settings.visibility, ["process", "file"]);
  assert.equal(settings.listen, undefined);
  assert.equal(settings.socket, undefined);
});

const BAD: readonly { name: string; sources: Parameters<typeof resolve>[0]; message: RegExp }[] = [
  {
    name: "a bad value in the file",
    sources: { yaml: "log:\n  level: inof\n" },
    message:
      /^\/c\.yaml:2:10: Cannot use log\.level: must be one of .*"inof", did you mean "info"\?$/,
  },
  {
    name: "a bad flag",
    sources: { flags: { "posture.file": "deny" } },
    message:
      /^flag --posture-file: Cannot use posture\.file: must be one of audit, block: current value is "deny"$/,
  },
  {
    name: "a bad variable",
    sources: { environment: { ANKYLO_LISTEN: "8420" } },
    message: /^environment ANKYLO_LISTEN: Cannot use listen: must be "host:port" or "off"/,
  },
  {
    name: "a port out of range",
    sources: { flags: { listen: "[::1]:65536" } },
    message: /^flag --listen/,
  },
  {
    name: "a misspelt variable",
    sources: { environment: { ANKYLO_POSTUR_FILE: "block" } },
    message: /^environment ANKYLO_POSTUR_FILE: Unknown setting\n {2}hint: .*ANKYLO_POSTURE_FILE/,
  },
  {
    name: "a misspelt key",
    sources: { yaml: "polcies: /x\n" },
    message: /^\/c\.yaml:1:1: Unknown setting "polcies"\n {2}hint: did you mean "policies"\?$/,
  },
  {
    name: "a key below posture",
    sources: { yaml: "posture:\n  fiel: block\n" },
    message: /^\/c\.yaml:2:3: Unknown setting "posture\.fiel"\n {2}hint: .*"posture\.file"/,
  },
  {
    name: "KubeArmor's name",
    sources: { yaml: "defaultFilePosture: block\n" },
    message: /hint: did you mean "posture\.file"\?/,
  },
  {
    name: "a value given twice",
    sources: { yaml: "posture.file: block\nposture:\n  file: audit\n" },
    message: /^\/c\.yaml:3:9: Cannot use posture\.file: it is given twice$/,
  },
  {
    name: "a mapping for a value",
    sources: { yaml: "cluster: {a: b}\n" },
    message: /must be a single value/,
  },
  { name: "a list for a file", sources: { yaml: "- a\n" }, message: /must be a mapping/ },
  {
    name: "broken YAML",
    sources: { yaml: 'cluster: "x\n' },
    message: /^\/c\.yaml:\d+:\d+: Cannot parse YAML/,
  },
  {
    name: "a relative path",
    sources: { flags: { policies: "policies" } },
    message: /absolute path: current value is "policies"$/,
  },
  {
    name: "a word that pendingContainers does not have",
    sources: { yaml: "pendingContainers: blok\n" },
    message: /^\/c\.yaml:1:20: .*must be one of audit, block, hold.*did you mean "block"\?/,
  },
  {
    name: "a time limit without end",
    sources: { yaml: "pendingTimeout: 0\n" },
    message: /^\/c\.yaml:1:17: .*whole number of seconds from 1 to 3600: current value is "0"/,
  },
];

for (const { name, sources, message } of BAD) {
  Deno.test(`resolveSettings() refuses ${name} and says where`, () => {
    assert.match(problemsOf(sources), message);
  });
}

Deno.test("resolveSettings() reports all problems at once", () => {
  const text = problemsOf({ yaml: "cluster: ''\nlisten: x\n", flags: { "log.level": "loud" } });
  assert.equal(text.split("\n").length, 3);
});

Deno.test("resolveSettings() leaves variables of others alone", () => {
  assert.equal(problemsOf({ environment: { ANKYLO_CACHE: "/c", ANKYLO_KVM: "1" } }), "");
});

Deno.test("resolveSettings() takes an empty file", () => {
  assert.equal(problemsOf({ yaml: "" }), "");
  assert.equal(problemsOf({ yaml: "# nothing\n" }), "");
});

Deno.test("resolveSettings() throws nothing but ConfigError, whatever the file says", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 80 }), (yaml) => {
    problemsOf({ yaml });
  }));
});

Deno.test("names: three spellings, each unique", () => {
  assert.equal(flagOf("pendingContainers"), "--pending-containers");
  assert.equal(variableOf("posture.file"), "ANKYLO_POSTURE_FILE");
  assert.equal(new Set(SETTING_NAMES.map(flagOf)).size, SETTING_NAMES.length);
  for (const name of SETTING_NAMES) {
    assert.doesNotThrow(() => DEFINITIONS[name].parse(DEFINITIONS[name].initial()));
  }
});

Deno.test("printSettings() shows each setting with its origin", () => {
  const text = printSettings(resolve({ flags: { cluster: "prod" } }));
  assert.match(text, /^cluster +prod +flag --cluster$/m);
  assert.match(text, /^posture\.file +audit +default$/m);
});

Deno.test("loadSettings() needs a file that was named, not the default one", async () => {
  await assert.rejects(loadSettings({}, "/nonexistent/config.yaml", {}), {
    name: "ConfigError",
    message: /^\/nonexistent\/config\.yaml: Cannot read configuration/,
  });
  await assert.rejects(loadSettings({}, undefined, { ANKYLO_CONFIG: "/nonexistent/c" }), {
    name: "ConfigError",
  });
});
