import assert from "node:assert/strict";
import fc from "fast-check";
import { frame, FrameDecoder } from "./grpc_frames.ts";
import { GrpcError } from "./grpc_status.ts";

Deno.test("FrameDecoder gives back what frame() framed, however the bytes are cut", () => {
  fc.assert(fc.property(
    fc.array(fc.uint8Array({ maxLength: 40 })),
    fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1 }).filter((sizes) =>
      sizes.some((size) => size > 0)
    ),
    (messages, sizes) => {
      const whole = messages.flatMap((message) => [...frame(message)]);
      const decoder = new FrameDecoder(40);
      const found: Uint8Array[] = [];
      for (let at = 0, turn = 0; at < whole.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1;
        found.push(...decoder.push(Uint8Array.from(whole.slice(at, at + size))));
        at += size;
      }
      decoder.end();
      assert.deepEqual(found.map((bytes) => [...bytes]), messages.map((bytes) => [...bytes]));
    },
  ));
});

Deno.test("FrameDecoder throws only GrpcError, whatever the bytes", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array()), (chunks) => {
    const decoder = new FrameDecoder(100);
    try {
      for (const chunk of chunks) decoder.push(chunk);
      decoder.end();
    } catch (error) {
      assert.ok(error instanceof GrpcError, `${error}`);
    }
  }));
});
