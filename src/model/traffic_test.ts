import assert from "node:assert/strict";
import { parsePolicies } from "./parse.ts";

/** Complaints about one entry, as `field: message`. */
function complaints(entry: string): string[] {
  const { diagnostics } = parsePolicies(
    `{apiVersion: security.kubearmor.com/v1, kind: KubeArmorNetworkPolicy, metadata: {name: n},
      spec: {nodeSelector: {matchLabels: {a: b}}, ingress: [${entry}]}}`,
    "n.yaml",
  );
  return diagnostics.filter(({ severity }) => severity === "error")
    .map(({ field, message }) => `${field}: ${message}`);
}

const GOOD = [
  ...["10.0.0.0/8", "192.168.1.1", "0.0.0.0/0", "::/0", "fd00::1", "fe80::/10", "::ffff:10.0.0.1"]
    .map((cidr) => `{from: [{ipBlock: {cidr: "${cidr}"}}]}`),
  ...["1", "65535", "https", "http-alt", "x11"].map((port) => `{ports: [{port: "${port}"}]}`),
  ...["10s", "20m", "1h30m", "1.5h", "100ms"].map((time) => `{duration: ${time}}`),
  '{ports: [{port: "80", endPort: 80}, {port: "80", endPort: 90}, {port: http, endPort: 90}]}',
];

for (const entry of GOOD) {
  Deno.test(`a network policy may have ${entry}`, () => assert.deepEqual(complaints(entry), []));
}

const BAD: [entry: string, complaint: RegExp][] = [
  ...[
    "10.0.0.0/33",
    "10.0.0",
    "10.0.0.256",
    "010.0.0.1",
    "::/129",
    "fd00:::1",
    "any",
    "10.0.0.0/8/8",
    "",
  ]
    .map((cidr): [string, RegExp] => [
      `{from: [{ipBlock: {cidr: "${cidr}"}}]}`,
      /^spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr: Cannot use value: must be an address/,
    ]),
  ...["0", "65536", "-1", "a--b", "averylongservicename", "80-90"].map((port): [string, RegExp] => [
    `{ports: [{port: "${port}"}]}`,
    /^spec\.ingress\[0\]\.ports\[0\]\.port: Cannot use value: must be a number from 1 to 65535/,
  ]),
  ...["10", "soon", "10 s", "-5m", "1d"].map((time): [string, RegExp] => [
    `{duration: "${time}"}`,
    /^spec\.ingress\[0\]\.duration: Cannot use value: must be a time as Go writes it/,
  ]),
  [
    '{ports: [{port: "90", endPort: 80}]}',
    /^spec\.ingress\[0\]\.ports\[0\]\.endPort: Cannot use range: .* first port, 90: current value is 80$/,
  ],
];

for (const [entry, complaint] of BAD) {
  Deno.test(`a network policy may not have ${entry}`, () => {
    const [first, ...others] = complaints(entry);
    assert.match(first ?? "", complaint);
    assert.deepEqual(others, []);
  });
}
