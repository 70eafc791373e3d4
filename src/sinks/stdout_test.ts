import assert from "node:assert/strict";
import { textRecord } from "../alerts/json_record.ts";
import { StdoutSink } from "./stdout.ts";

Deno.test("StdoutSink writes whole lines through short writes", () => {
  const written: number[] = [];
  const sink = new StdoutSink((bytes) => {
    written.push(...bytes.subarray(0, 3));
    return Math.min(3, bytes.length);
  });
  sink.publish(1, textRecord('{"a":"é"}'));
  sink.publish(2, textRecord("{}"));
  sink.close();
  assert.equal(new TextDecoder().decode(Uint8Array.from(written)), '{"a":"é"}\n{}\n');
});
