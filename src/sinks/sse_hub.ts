/**
 * Server-sent events for any number of subscribers.
 *
 * A record is encoded once. Every BATCH_MS the new records go out as one piece of bytes that all subscribers with the same
 * filter share: per subscriber and record the cost is next to nothing. Each subscriber has a bound; what does not fit is
 * dropped for that one alone, counted, and told to it by a `lost` event, so nobody can hold the agent up or fill its memory.
 *
 * `id:` is SEQUENCE-LIFE: sequences begin anew with each agent, and LIFE tells whose they are, so that a client which
 * comes back to another agent is told of its gap in place of being continued at a number that means something else.
 */
import type { RecordFacets } from "../alerts/pipeline.ts";
import type { Clock } from "../lib/clock.ts";
import type { Sink } from "./sink.ts";
import { concatFrames, type Frame, FrameBatch, type Frames, singleFrame } from "./frame_batch.ts";
import { filterKey, matchesFilter, type SseFilter } from "./sse_filter.ts";

const BATCH_MS = 10;
/** Quiet streams get a comment, so that proxies keep them and dead clients are found. */
const HEARTBEAT_MS = 15_000;
/** A batch that grows beyond this goes out at once. */
const BATCH_BYTES = 256 * 1024;
/** Some 8,000 alerts that a subscriber may lag behind. */
const SUBSCRIBER_BYTES = 1024 * 1024;
/** Latest records kept for those who come late or come back. Half a subscriber's bound, so that it always fits. */
const BACKLOG_BYTES = 512 * 1024;
const SUBSCRIBERS_MAX = 256;

export interface SseHubOptions {
  readonly clock: Clock;
  /** Names this agent's run: letters and digits. */
  readonly life: string;
  readonly subscriberBytes?: number;
  readonly backlogBytes?: number;
  readonly subscribersMax?: number;
}

export interface SseHubCounts {
  readonly published: number;
  readonly subscribers: number;
  /** Records that did not fit into a subscriber's bound, over all subscribers. */
  readonly dropped: number;
  /** Subscribers refused because there were too many. */
  readonly refused: number;
}

/** Subscribers with one filter, who share bytes. */
interface Group {
  readonly filter: SseFilter;
  readonly subscribers: Set<Subscriber>;
}

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(": still here\n\n");
/** The response's headers leave with its first byte; an EventSource that loses us tries again after two seconds. */
const GREETING = encoder.encode("retry: 2000\n\n");

export class SseHub implements Sink {
  readonly #clock: Clock;
  readonly #life: string;
  readonly #subscriberBytes: number;
  readonly #backlogBytes: number;
  readonly #subscribersMax: number;
  readonly #closed = new AbortController();
  readonly #groups = new Map<string, Group>();
  readonly #backlog: Frame[] = [];
  #backlogSize = 0;
  readonly #batch = new FrameBatch(BATCH_BYTES);
  #batchTimer = false;
  #heartbeat: AbortController | undefined;
  #subscribers = 0;
  #published = 0;
  #dropped = 0;
  #refused = 0;

  constructor(options: SseHubOptions) {
    this.#clock = options.clock;
    this.#life = options.life;
    this.#subscriberBytes = options.subscriberBytes ?? SUBSCRIBER_BYTES;
    this.#backlogBytes = options.backlogBytes ?? BACKLOG_BYTES;
    this.#subscribersMax = options.subscribersMax ?? SUBSCRIBERS_MAX;
  }

  get counts(): SseHubCounts {
    const [published, subscribers] = [this.#published, this.#subscribers];
    return { published, subscribers, dropped: this.#dropped, refused: this.#refused };
  }

  publish(seq: number, json: string, facets: RecordFacets): void {
    if (this.#closed.signal.aborted) return;
    this.#published = seq;
    const text = `id: ${seq}-${this.#life}\ndata: ${json}\n\n`;
    if (!this.#batch.add(seq, text, facets)) {
      this.#flush();
      if (!this.#batch.add(seq, text, facets)) this.#deliver(singleFrame(seq, text, facets));
    }
    this.#flushLater();
  }

  /**
   * A new stream. Without `lastEventId` it begins with the next record; with one it goes on behind it as far as the
   * backlog reaches, and a `lost` event tells of what is gone. Cancel it to leave.
   * Undefined when there are too many subscribers, or the hub is closed.
   */
  subscribe(
    filter: SseFilter = {},
    lastEventId?: string,
  ): ReadableStream<Uint8Array<ArrayBuffer>> | undefined {
    if (this.#closed.signal.aborted) return undefined;
    if (this.#subscribers >= this.#subscribersMax) {
      this.#refused++;
      return undefined;
    }
    this.#flush(); // What was published before belongs to the backlog, not to this stream.
    const subscriber = new Subscriber(this.#subscriberBytes, () => this.#leave(key, subscriber));
    const key = filterKey(filter);
    this.#join(key, filter, subscriber);
    subscriber.push(GREETING, 0);
    if (lastEventId !== undefined) this.#resume(subscriber, filter, lastEventId);
    return subscriber.stream;
  }

  /** Ends every stream behind what it has been given. Idempotent. */
  close(): void {
    this.#flush();
    this.#closed.abort();
    this.#stopBeat();
    for (const group of this.#groups.values()) {
      for (const subscriber of group.subscribers) subscriber.end();
    }
    this.#groups.clear();
    this.#subscribers = 0;
  }

  #join(key: string, filter: SseFilter, subscriber: Subscriber): void {
    const group = this.#groups.get(key) ?? { filter, subscribers: new Set() };
    this.#groups.set(key, group);
    group.subscribers.add(subscriber);
    this.#subscribers++;
    if (this.#heartbeat === undefined) this.#beat();
  }

  #leave(key: string, subscriber: Subscriber): void {
    const group = this.#groups.get(key);
    if (!group?.subscribers.delete(subscriber)) return;
    if (group.subscribers.size === 0) this.#groups.delete(key);
    this.#subscribers--;
    if (this.#subscribers === 0) this.#stopBeat();
  }

  #resume(subscriber: Subscriber, filter: SseFilter, lastEventId: string): void {
    const last = this.#sequenceOf(lastEventId);
    const first = this.#backlog[0]?.seq ?? this.#published + 1;
    const from = last ?? 0;
    // Of another agent's records nothing is known but that some may be missing: then the number stays open.
    if (last === undefined) subscriber.push(lostEvent(null), 0);
    else if (from + 1 < first) subscriber.push(lostEvent(first - from - 1), 0);
    const missed = this.#backlog.filter((frame) =>
      frame.seq > from && matchesFilter(filter, frame.facets)
    );
    this.#send(subscriber, concatFrames(missed), missed.length);
  }

  /** The sequence in an `id:` of this agent (its life may be left out), else undefined. */
  #sequenceOf(lastEventId: string): number | undefined {
    const [, digits, life] = /^(\d{1,15})(?:-(\w+))?$/.exec(lastEventId.trim()) ?? [];
    if (digits === undefined || (life ?? this.#life) !== this.#life) return undefined;
    return Number(digits) <= this.#published ? Number(digits) : undefined;
  }

  async #flushLater(): Promise<void> {
    if (this.#batchTimer) return;
    this.#batchTimer = true;
    await this.#clock.sleep(BATCH_MS, this.#closed.signal);
    this.#batchTimer = false;
    this.#flush();
  }

  #flush(): void {
    if (!this.#batch.isEmpty) this.#deliver(this.#batch.take());
  }

  #deliver({ list, bytes }: Frames): void {
    for (const { filter, subscribers } of this.#groups.values()) {
      const wanted = list.filter((frame) => matchesFilter(filter, frame.facets));
      const shared = wanted.length === list.length ? bytes : concatFrames(wanted);
      for (const subscriber of subscribers) this.#send(subscriber, shared, wanted.length);
    }
    this.#remember(list);
  }

  #send(subscriber: Subscriber, bytes: Uint8Array<ArrayBuffer>, records: number): void {
    if (records > 0 && !subscriber.push(bytes, records)) this.#dropped += records;
  }

  #remember(frames: readonly Frame[]): void {
    this.#backlog.push(...frames);
    for (const { bytes } of frames) this.#backlogSize += bytes.length;
    let gone = 0;
    while (this.#backlogSize > this.#backlogBytes) {
      this.#backlogSize -= this.#backlog[gone++]!.bytes.length;
    }
    this.#backlog.splice(0, gone);
  }

  /** Runs while there are subscribers. */
  async #beat(): Promise<void> {
    const beating = this.#heartbeat = new AbortController();
    while (!beating.signal.aborted) {
      await this.#clock.sleep(HEARTBEAT_MS, beating.signal);
      if (beating.signal.aborted) break;
      for (const { subscribers } of this.#groups.values()) {
        for (const subscriber of subscribers) subscriber.push(HEARTBEAT, 0);
      }
    }
  }

  #stopBeat(): void {
    this.#heartbeat?.abort();
    this.#heartbeat = undefined;
  }
}

/** One client: a stream with a bound in bytes. */
class Subscriber {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #lost = 0;

  constructor(bytesMax: number, onLeave: () => void) {
    this.stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: onLeave,
    }, new ByteLengthQueuingStrategy({ highWaterMark: bytesMax }));
  }

  /** False: there was no room, and `records` are counted as lost. The bytes may be shared: nobody writes to them again. */
  push(bytes: Uint8Array<ArrayBuffer>, records: number): boolean {
    if ((this.#controller.desiredSize ?? 0) < bytes.length) {
      this.#lost += records;
      return false;
    }
    if (this.#lost > 0) this.#controller.enqueue(lostEvent(this.#lost));
    this.#lost = 0;
    this.#controller.enqueue(bytes);
    return true;
  }

  end(): void {
    if (this.#lost > 0) this.#controller.enqueue(lostEvent(this.#lost));
    this.#controller.close();
  }
}

/** Tells of records that this subscriber does not get; null: nobody knows how many. It has no id: the last one stays. */
function lostEvent(records: number | null): Uint8Array<ArrayBuffer> {
  return encoder.encode(`event: lost\ndata: {"Lost":${records}}\n\n`);
}
