/**
 * Server-sent events for any number of subscribers.
 *
 * A record is encoded once. Every BATCH_MS the new records go out as one piece of bytes that all subscribers with the same
 * filter share: per subscriber and record the cost is next to nothing. Each subscriber has a bound; what does not fit is
 * dropped for that one alone, counted, and told to it by a `lost` event, so nobody can hold the agent up or fill its memory.
 *
 * `id:` is SEQUENCE-LIFE. One agent goes on where the one before stopped, as long as the kernel's programs stay, so that a
 * client which comes back to the next agent is continued, or told how many are gone. LIFE tells whose the numbers are: where
 * they have begun anew, nobody knows how many are gone, and the client is told that.
 */
import { type JsonRecord, textRecord } from "../alerts/json_record.ts";
import type { RecordFacets } from "../alerts/pipeline.ts";
import type { Clock } from "../lib/clock.ts";
import type { Sink } from "./sink.ts";
import { FrameBatch, type Frames, type Selection } from "./frame_batch.ts";
import { filterKey, matchesFilter, type SseFilter } from "./sse_filter.ts";

const BATCH_MS = 10;
/** Quiet streams get a comment, so that proxies keep them and dead clients are found. */
const HEARTBEAT_MS = 15_000;
/** Within this time a client that was cut off is back. */
const RETURN_MS = 60_000;
/** A batch that grows beyond this goes out at once. */
const BATCH_BYTES = 256 * 1024;
/** Some 8,000 alerts that a subscriber may lag behind. */
const SUBSCRIBER_BYTES = 1024 * 1024;
/** Latest records kept for those who come late or come back. Half a subscriber's bound, so that it always fits. */
const BACKLOG_BYTES = 512 * 1024;
const SUBSCRIBERS_MAX = 256;

export interface SseHubOptions {
  readonly clock: Clock;
  /** Names the sequence: letters and digits. */
  readonly life: string;
  /** The last number that agents before have given out; default 0. */
  readonly lastSeq?: number;
  /** Told of the last number before any client sees it, for the next agent. */
  readonly onNumbered?: (lastSeq: number) => void;
  readonly subscriberBytes?: number;
  readonly backlogBytes?: number;
  readonly subscribersMax?: number;
}

export interface SseHubCounts {
  /** The last record's number. */
  readonly published: number;
  /** Records held for who comes late. */
  readonly held: number;
  readonly subscribers: number;
  /** Records that did not fit into a subscriber's bound, over all subscribers. */
  readonly dropped: number;
  /** Subscribers refused because there were too many. */
  readonly refused: number;
}

/** Subscribers with one filter, who share bytes. */
class Group {
  readonly subscribers = new Set<Subscriber>();
  readonly #filter: SseFilter;
  readonly #wantsAll: boolean;
  /** Most records share their facets with others. */
  readonly #known = new WeakMap<RecordFacets, boolean>();

  constructor(filter: SseFilter) {
    this.#filter = filter;
    this.#wantsAll = Object.values(filter).every((wanted) => wanted === undefined);
  }

  /** The wanted records from `index` on. */
  select(frames: Frames, index = 0): Selection {
    if (this.#wantsAll) return index === 0 ? frames : frames.from(index);
    return frames.select((facets) => this.#wants(facets), index);
  }

  #wants(facets: RecordFacets): boolean {
    let wants = this.#known.get(facets);
    if (wants === undefined) {
      this.#known.set(facets, wants = matchesFilter(this.#filter, facets));
    }
    return wants;
  }
}

const encoder = new TextEncoder();
const HEARTBEAT = encoder.encode(": still here\n\n");
/** The response's headers leave with its first byte; an EventSource that loses us tries again after two seconds. */
const GREETING = encoder.encode("retry: 2000\n\n");

export class SseHub implements Sink {
  readonly #clock: Clock;
  readonly #life: string;
  readonly #onNumbered: (lastSeq: number) => void;
  readonly #subscriberBytes: number;
  readonly #subscribersMax: number;
  readonly #closed = new AbortController();
  readonly #groups = new Map<string, Group>();
  readonly #backlog: Backlog;
  readonly #batch: FrameBatch;
  #batchTimer = false;
  #heartbeat: AbortController | undefined;
  #subscribers = 0;
  #published: number;
  #dropped = 0;
  #refused = 0;
  #wantedUntilMs = 0;

  constructor(options: SseHubOptions) {
    this.#clock = options.clock;
    this.#life = options.life;
    this.#published = options.lastSeq ?? 0;
    this.#onNumbered = options.onNumbered ?? (() => {});
    this.#batch = new FrameBatch(BATCH_BYTES, options.life);
    this.#backlog = new Backlog(options.backlogBytes ?? BACKLOG_BYTES);
    this.#subscriberBytes = options.subscriberBytes ?? SUBSCRIBER_BYTES;
    this.#subscribersMax = options.subscribersMax ?? SUBSCRIBERS_MAX;
  }

  get counts(): SseHubCounts {
    const [published, subscribers] = [this.#published, this.#subscribers];
    const first = this.#backlog.firstSeq ?? this.#batch.firstSeq ?? published + 1;
    const [held, dropped, refused] = [published + 1 - first, this.#dropped, this.#refused];
    return { published, held, subscribers, dropped, refused };
  }

  publish(seq: number, json: JsonRecord | string, facets: RecordFacets): void {
    if (this.#closed.signal.aborted) return;
    const record = typeof json === "string" ? textRecord(json) : json;
    if (!this.#batch.fits(record)) this.#flush();
    this.#batch.add(seq, record, facets);
    this.#published = seq;
    if (!this.#batchTimer) this.#flushLater();
  }

  /** Whether a record has a reader, or may still get one that comes back. */
  get isWanted(): boolean {
    return this.#subscribers > 0 || this.#clock.nowMs() < this.#wantedUntilMs;
  }

  /** In place of `publish`: there is no record of this number, and who comes back is told of the gap. */
  skip(seq: number): void {
    if (!this.#batch.isEmpty) this.#flush();
    this.#backlog.clear();
    this.#published = seq;
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
    const group = this.#join(key, filter, subscriber);
    subscriber.push(GREETING, 0);
    if (lastEventId !== undefined) this.#resume(subscriber, group, lastEventId);
    return subscriber.stream;
  }

  /** Ends every stream behind what it has been given. Idempotent. */
  close(): void {
    this.#flush();
    if (!this.#closed.signal.aborted) this.#onNumbered(this.#published);
    this.#closed.abort();
    this.#stopBeat();
    for (const group of this.#groups.values()) {
      for (const subscriber of group.subscribers) subscriber.end();
    }
    this.#groups.clear();
    this.#subscribers = 0;
  }

  #join(key: string, filter: SseFilter, subscriber: Subscriber): Group {
    const group = this.#groups.get(key) ?? new Group(filter);
    this.#groups.set(key, group);
    group.subscribers.add(subscriber);
    this.#subscribers++;
    if (this.#heartbeat === undefined) this.#beat();
    return group;
  }

  #leave(key: string, subscriber: Subscriber): void {
    const group = this.#groups.get(key);
    if (!group?.subscribers.delete(subscriber)) return;
    if (group.subscribers.size === 0) this.#groups.delete(key);
    this.#subscribers--;
    this.#wantedUntilMs = this.#clock.nowMs() + RETURN_MS;
    if (this.#subscribers === 0) this.#stopBeat();
  }

  #resume(subscriber: Subscriber, group: Group, lastEventId: string): void {
    const last = this.#sequenceOf(lastEventId);
    const first = this.#backlog.firstSeq ?? this.#published + 1;
    const from = last ?? 0;
    // Of another sequence's records nothing is known but that some may be missing: then the number stays open.
    if (last === undefined) subscriber.push(lostEvent(null), 0);
    else if (from + 1 < first) subscriber.push(lostEvent(first - from - 1), 0);
    for (const [frames, index] of this.#backlog.behind(from)) {
      this.#send(subscriber, group.select(frames, index));
    }
  }

  /** The number in an `id:` of this sequence (its life may be left out), else undefined. */
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

  #deliver(frames: Frames): void {
    this.#onNumbered(this.#published);
    for (const group of this.#groups.values()) {
      const shared = group.select(frames);
      for (const subscriber of group.subscribers) this.#send(subscriber, shared);
    }
    this.#backlog.add(frames);
  }

  #send(subscriber: Subscriber, { bytes, count }: Selection): void {
    if (count > 0 && !subscriber.push(bytes, count)) this.#dropped += count;
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

/** The latest records, up to a bound in bytes. */
class Backlog {
  readonly #bytesMax: number;
  #pieces: Frames[] = [];
  #bytes = 0;
  /** Records of the first piece that are beyond the bound. */
  #skipped = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Number of the oldest record; undefined when there is none. */
  get firstSeq(): number | undefined {
    const [first] = this.#pieces;
    return first && first.firstSeq + this.#skipped;
  }

  add(frames: Frames): void {
    this.#pieces.push(frames);
    this.#bytes += frames.bytes.length;
    let gone = 0;
    while (this.#bytes > this.#bytesMax) {
      const piece = this.#pieces[gone]!;
      this.#bytes -= piece.sizeOf(this.#skipped++);
      if (this.#skipped < piece.count) continue;
      this.#skipped = 0;
      gone++;
    }
    if (gone > 0) this.#pieces.splice(0, gone);
  }

  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#skipped = 0;
  }

  /** The pieces that hold records behind `seq`, each with the index of the first of them. */
  *behind(seq: number): Generator<[Frames, number]> {
    for (const [i, piece] of this.#pieces.entries()) {
      const index = Math.max(i === 0 ? this.#skipped : 0, seq + 1 - piece.firstSeq);
      if (index < piece.count) yield [piece, index];
    }
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
