/** Records of the kernel's rings: bytes that only our programs write, and that a wrong one could write wrongly. */

import { buildAlert } from "../../../src/alerts/alert.ts";
import { ACTOR, REPORTER } from "../../../src/alerts/samples.ts";
import { decodeEvent } from "../../../src/events/decode.ts";
import {
  containerRecord,
  decisionRecord,
  execRecord,
  exitRecord,
  names,
  viewOf,
  words,
} from "../../../src/events/samples.ts";
import { corpusOf, type Target } from "../target.ts";

/** Whatever the bytes, decoding says "malformed" or gives an event of which an alert can be made. */
export function recordsTarget(): Target {
  return {
    name: "records",
    seeds: async () => [
      ...await corpusOf("records"),
      decisionRecord({ path: names("/etc/shadow"), cwd: names("/root") }),
      decisionRecord({
        path: names("/bin/sh"),
        path2: names("/tmp/sh"),
        args: words(["sh", "-c"]),
      }),
      execRecord({ path: "/bin/sh", args: ["sh"], cwd: "/" }),
      exitRecord({}, 9),
      containerRecord("/default/web"),
    ],
    tokens: [],
    run: (input) => {
      const event = decodeEvent(viewOf(input));
      if (event?.type !== "decision") return event?.type ?? "malformed";
      const alert = buildAlert({
        ...{ seq: 1, event, unixNs: event.timeNs, actor: ACTOR, workload: undefined },
        rule: undefined,
      }, REPORTER);
      JSON.parse(JSON.stringify(alert));
      return `${event.hook} ${event.opName} ${event.verdict} ${event.reason}`;
    },
    close: () => Promise.resolve(),
  };
}
