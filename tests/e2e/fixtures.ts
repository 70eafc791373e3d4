/** What several scenarios are made of. What one alone needs is in its own file: a scenario should read as one text. */

import type { Act, AlertPattern } from "./scenario.ts";

/** Of every alert about a refusal. */
export const DENIED: AlertPattern = { Action: "Block", Result: "Permission denied" };

export function onHost(
  claim: string,
  run: string,
  expect: Act["expect"] = "ok",
  more: Partial<Act> = {},
): Act {
  return { claim, in: "host", run, expect, ...more };
}

/** Starts the agent, in a subshell of its own: its followers would hold the act's output open. */
export function startAgent(options = ""): string {
  return `(start_agent ${options}) >/dev/null 2>&1`;
}

/** What the agent did with what it found in the kernel. */
export const MODE = `ask /v1/status | grep -o '"mode":"[a-z]*"'`;

/** A shell command that makes a program which says that it ran. */
export function makeTool(path: string): string {
  return `printf '#!/bin/sh\\necho ran' > ${path} && chmod +x ${path}`;
}

/** An act that the rules refuse in container `web`, and that works in `free`, where no rule is. */
export function refusal(
  claim: string,
  run: Act["run"],
  alert: AlertPattern,
  more: Partial<Act> = {},
): Act {
  return {
    claim: `${claim} is refused`,
    in: "web",
    run,
    expect: "EACCES",
    alert,
    control: { in: "free", expect: /ontent|Linux|^[01]?\s*$/ },
    ...more,
  };
}

/** The alert about an object that a hook refused; without a resource, whatever its path. */
export function refusedBy(
  policy: string,
  lsm: string,
  resource?: string | RegExp,
  operation: "File" | "Process" = "File",
): AlertPattern {
  return {
    ...DENIED,
    PolicyName: policy,
    Operation: operation,
    ...resource === undefined ? {} : { Resource: resource },
    Data: new RegExp(`^lsm=${lsm}( |$)`),
  };
}

/** One file and one program that containers with the label `app: guarded` can't use. */
export const GUARDED = {
  labels: { app: "guarded" },
  policy: `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: keep
spec:
  selector:
    matchLabels:
      app: guarded
  file:
    matchPaths:
      - path: /data/secret
  process:
    matchPaths:
      - path: /bin/tac
      - path: /usr/bin/tac
  action: Block
`,
  prepare: "mkdir -p /data /opt && for f in secret text; do echo content >/data/$f; done",
  opened: {
    ...{ PolicyName: "keep", Operation: "File", Action: "Block", Resource: "/data/secret" },
  },
  executed: (program: string): AlertPattern => ({
    ...{ PolicyName: "keep", Operation: "Process", Action: "Block", ProcessName: program },
  }),
} as const;
