import { GrpcError, GrpcStatus } from "./grpc_status.ts";

/** Before each message: one byte that says whether it is compressed, four with its length, big-endian. */
const HEADER_BYTES = 5;

/** A message with its header. */
export function frame(content: Uint8Array): Uint8Array {
  const framed = new Uint8Array(HEADER_BYTES + content.length);
  new DataView(framed.buffer).setUint32(1, content.length);
  framed.set(content, HEADER_BYTES);
  return framed;
}

/** Cuts a stream of bytes into messages, however the bytes arrive. */
export class FrameDecoder {
  readonly #messageBytesMax: number;
  #chunks: Uint8Array[] = [];
  #size = 0;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /**
   * The messages that are whole now.
   *
   * @throws {GrpcError} RESOURCE_EXHAUSTED for a message over the limit, before its bytes are collected; INTERNAL for a
   * compressed one, which the client never asked for.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const messages: Uint8Array[] = [];
    for (let content = this.#take(); content !== undefined; content = this.#take()) {
      messages.push(content);
    }
    return messages;
  }

  /** @throws {GrpcError} INTERNAL when the bytes ended within a message. */
  end(): void {
    if (this.#size > 0) {
      throw new GrpcError(
        GrpcStatus.INTERNAL,
        `stream ended within a message: ${this.#size} bytes left over`,
      );
    }
  }

  #take(): Uint8Array | undefined {
    if (this.#size < HEADER_BYTES) return undefined;
    const header = this.#peekHeader();
    const length = header.getUint32(1);
    if (header.getUint8(0) !== 0) {
      throw new GrpcError(GrpcStatus.INTERNAL, "server sent a compressed message");
    }
    if (length > this.#messageBytesMax) {
      const limit = this.#messageBytesMax;
      throw new GrpcError(
        GrpcStatus.RESOURCE_EXHAUSTED,
        `message of ${length} bytes is over the limit of ${limit}`,
      );
    }
    if (this.#size < HEADER_BYTES + length) return undefined;
    const all = this.#join();
    const rest = all.subarray(HEADER_BYTES + length);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#size = rest.length;
    return all.subarray(HEADER_BYTES, HEADER_BYTES + length);
  }

  /** Joins only when the header lies across chunks: a long message would else be copied once for every chunk. */
  #peekHeader(): DataView {
    const first = this.#chunks[0];
    const start = first !== undefined && first.length >= HEADER_BYTES ? first : this.#join();
    return new DataView(start.buffer, start.byteOffset, HEADER_BYTES);
  }

  #join(): Uint8Array {
    const [first] = this.#chunks;
    if (first !== undefined && this.#chunks.length === 1) return first;
    const joined = new Uint8Array(this.#size);
    let offset = 0;
    for (const chunk of this.#chunks) {
      joined.set(chunk, offset);
      offset += chunk.length;
    }
    this.#chunks = [joined];
    return joined;
  }
}
