import assert from "node:assert/strict";
import { createLog, errorText, type LogFormat, type LogLevel } from "./log.ts";

const TIME = new Date("2026-01-02T03:04:05.678Z");

function capture(level: LogLevel, format: LogFormat) {
  const lines: string[] = [];
  const log = createLog({ level, format, write: (line) => lines.push(line), now: () => TIME });
  return { log, lines };
}

Deno.test("createLog() writes text with fields as words, quoted where they are not one word", () => {
  const { log, lines } = capture("info", "text");
  log.info("Applied policies", { images: 2, name: "a b", id: 7n, none: undefined });
  assert.deepEqual(lines, [
    '2026-01-02T03:04:05.678Z info  Applied policies images=2 name="a b" id=7\n',
  ]);
});

Deno.test("createLog() cannot be made to forge a line", () => {
  const { log, lines } = capture("info", "text");
  log.info("Container", { name: 'x"\n2026 error forged=1' });
  assert.equal(lines.join("").split("\n").length, 2);
  assert.match(lines[0]!, /name="x\\"\\n2026 error forged=1"/);
});

Deno.test("createLog() writes JSON and errors with their causes", () => {
  const { log, lines } = capture("debug", "json");
  log.error("Cannot open", { error: new Error("outer", { cause: new Error("inner") }) });
  assert.deepEqual(JSON.parse(lines[0]!), {
    time: TIME.toISOString(),
    level: "error",
    message: "Cannot open",
    error: "outer: inner",
  });
});

Deno.test("createLog() leaves out what is less severe than its level", () => {
  const { log, lines } = capture("warn", "text");
  log.info("no");
  log.debug("no");
  log.warn("yes");
  log.error("yes");
  assert.equal(lines.length, 2);
});

Deno.test("errorText() takes what is not an Error as it is", () => {
  assert.equal(errorText("plain"), "plain");
});
