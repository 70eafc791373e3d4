/** What containerd answers: frames of gRPC, messages of protobuf, and the JSON in them. */

import { containerd, TaskStatus } from "../../../src/sources/runtime/containerd_api.ts";
import { readSpec } from "../../../src/sources/runtime/describe.ts";
import { frame, FrameDecoder } from "../../../src/sources/runtime/grpc_frames.ts";
import { GrpcError } from "../../../src/sources/runtime/grpc_status.ts";
import { ProtobufError } from "../../../src/sources/runtime/protobuf.ts";
import { corpusOf, kindOf, type Target } from "../target.ts";

const MESSAGE_BYTES_MAX = 1 << 20;
const RESPONSES = Object.entries(containerd).map(([name, { response }]) => ({ name, response }));

/** Bytes of a stream either are messages, or end it with the error that the client knows how to handle. */
export function grpcTarget(): Target {
  return {
    name: "grpc",
    seeds: async () => [...await corpusOf("grpc"), ...answers()],
    tokens: [
      "\u0000\u0000\u0000\u0000\u0005",
      '{"linux":{"cgroupsPath":"/a"}}',
      "\u0001",
      '"annotations":[]',
    ],
    run: (input) => {
      const outcomes = new Set<string>();
      for (const message of framesOf(input, outcomes)) {
        for (const { name, response } of RESPONSES) {
          outcomes.add(`${name} ${readMessage(response, message)}`);
        }
      }
      outcomes.add(expected(() => readSpec(input)));
      return [...outcomes].sort().join();
    },
    close: () => Promise.resolve(),
  };
}

function framesOf(input: Uint8Array, outcomes: Set<string>): Uint8Array[] {
  const decoder = new FrameDecoder(MESSAGE_BYTES_MAX);
  const messages: Uint8Array[] = [];
  outcomes.add(expected(() => {
    // In two pieces, as a network gives them.
    const half = input.length >> 1;
    messages.push(...decoder.push(input.subarray(0, half)), ...decoder.push(input.subarray(half)));
    decoder.end();
  }));
  return messages;
}

function readMessage(
  { decode }: { decode(bytes: Uint8Array): unknown },
  message: Uint8Array,
): string {
  return expected(() => decode(message));
}

/** "read", or the kind of an error that its caller expects. */
function expected(read: () => unknown): string {
  try {
    read();
    return "read";
  } catch (error) {
    const known = [GrpcError, ProtobufError, SyntaxError].some((kind) => error instanceof kind);
    if (!known) throw error;
    return kindOf((error as Error).message);
  }
}

function answers(): Uint8Array[] {
  const spec = new TextEncoder().encode(
    '{"linux":{"cgroupsPath":"/kubepods/pod1/c1"},"annotations":{"io.kubernetes.cri.sandbox-id":"s"}}',
  );
  const container = {
    id: "c1",
    labels: new Map([["app", "web"]]),
    image: "docker.io/library/nginx:1.27",
    spec: { typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Spec", value: spec },
  };
  const process = { containerId: "c1", id: "c1", pid: 42, status: TaskStatus.RUNNING };
  const event = { typeUrl: "containerd.events.TaskStart", value: new Uint8Array([10, 2, 99, 49]) };
  return [
    containerd.version.response.encode({ version: "v2.1.0", revision: "abc" }),
    containerd.listContainers.response.encode({ containers: [container, container] }),
    containerd.listTasks.response.encode({ tasks: [process] }),
    containerd.subscribe.response.encode({ namespace: "default", topic: "/tasks/start", event }),
  ].map(frame);
}
