/**
 * Different operations that the agent has seen lately, for `ankylo check --against`: would a policy have refused any?
 *
 * Executions are all seen. The kernel tells of files, sockets and capabilities only where a rule or an allow-list refuses or
 * reports them, so that of these only such are here. What self-protection refuses, and what has no path, is not. Containers
 * choose the paths, so that these are bounded one by one and together.
 */
import { nameOfNumber } from "../compile/numbered_names.ts";
import { REFERENCE_CAPABILITIES } from "../../ffi/generated/agent_api.ts";
import { socketKind } from "../compile/socket_kind.ts";
import type { Actor } from "../events/enrich.ts";
import type { DecisionEvent, ExecEvent, OpName } from "../events/event.ts";
import { readDomain } from "../model/domain.ts";
import { CAPABILITIES } from "../model/grammars.ts";
import type { Operation } from "../model/operation.ts";
import { type Workload, workloadKey } from "../model/workload.ts";

/** Of 50-byte paths they take 3.8 MB. */
export const SEEN_MAX = 8_192;

/** Characters of a path as alerts write it; what has a longer one is counted and not kept. */
export const SEEN_PATH_MAX = 512;

/** Characters of all paths that are kept; each stands here twice, in 1 byte or in 2: 16 MiB at most. */
export const SEEN_TEXT_MAX = 4 << 20;

/** An eighth of them makes room at a time. */
const ROOM_SHIFT = 3;

/** What was seen of one operation. Times: µs since the Unix epoch. */
export interface SeenOperation extends Operation {
  /** As it was described when the operation was last added. */
  workload: Workload;
  count: number;
  readonly firstMicros: number;
  lastMicros: number;
}

/** All that is kept, and how often something was not. */
export interface SeenLately {
  readonly entries: readonly SeenOperation[];
  readonly dropped: number;
  readonly tooLong: number;
}

/** Classes of operations that rules can decide about, as `ankylo explain` calls them. */
const ACCESSES: Readonly<Partial<Record<OpName, string>>> = {
  exec: "exec",
  load: "load",
  "mmap-exec": "mmap-exec",
  read: "read",
  write: "write",
  create: "create",
  delete: "delete",
  rename: "rename",
  link: "link",
  attributes: "attributes",
  mount: "mount",
  connect: "connect",
  network: "socket",
  capability: "capability",
  dns: "dns",
};

/** What has no path shows one all the same: no mount has such files, whose names may have slashes. */
const MEMFD_PREFIX = "/memfd:";

export class SeenOperations {
  readonly #max: number;
  readonly #textMax: number;
  /** By all that makes it another operation; in the order in which they were first seen, or last spared. */
  readonly #entries = new Map<string, SeenOperation>();
  /** Count at which an entry was last spared. */
  readonly #spared = new WeakMap<SeenOperation, number>();
  /** Characters of the entries' paths. */
  #text = 0;
  #dropped = 0;
  #tooLong = 0;

  constructor(max = SEEN_MAX, textMax = SEEN_TEXT_MAX) {
    this.#max = max;
    this.#textMax = textMax;
  }

  /** Operations that had to make room for others. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Times that an operation was not kept because a path of it is longer than SEEN_PATH_MAX. */
  get tooLong(): number {
    return this.#tooLong;
  }

  entries(): readonly SeenOperation[] {
    return [...this.#entries.values()];
  }

  /** A program that began to run; one of a memfd has no path and is left out. `from`: the image before it; `parent`: what that was forked from. */
  addExec(
    event: ExecEvent,
    workload: Workload,
    actor: { readonly from: string; readonly parent: string },
    micros: number,
  ): void {
    if (event.path.startsWith(MEMFD_PREFIX)) return;
    const terminal = event.tty !== "";
    this.#add({ access: "exec", object: event.path, ...actor, terminal }, workload, micros);
  }

  /** What was refused or reported; undefined where no rule could name it, or a path is too long. */
  addDecision(
    event: DecisionEvent,
    workload: Workload | undefined,
    actor: Actor,
    micros: number,
  ): SeenOperation | undefined {
    const access = ACCESSES[event.opName];
    const object = objectOf(event);
    if (workload === undefined || access === undefined || object === "") return undefined;
    const { exe: from, parentExe: parent } = actor;
    return this.#add(
      { access, object, from, parent, terminal: event.tty !== "" },
      workload,
      micros,
    );
  }

  #add(operation: Operation, workload: Workload, micros: number): SeenOperation | undefined {
    const { access, object, from, parent, terminal } = operation;
    if (Math.max(object.length, from.length, parent.length) > SEEN_PATH_MAX) {
      this.#tooLong++;
      return undefined;
    }
    const container = containerKey(workload);
    const key = `${container}\0${access}\0${object}\0${from}\0${parent}\0${terminal}`;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.workload = workload;
      touch(known, micros);
      return known;
    }
    const entry = { ...operation, workload, count: 1, firstMicros: micros, lastMicros: micros };
    this.#entries.set(key, entry);
    this.#text += textOf(entry);
    if (this.#entries.size > this.#max || this.#text > this.#textMax) this.#makeRoom();
    return entry;
  }

  /**
   * Drops the oldest that were not seen again since they were last spared: what a container does all the time stays. Several
   * at once, as finding the first entry of a Map from which others were deleted takes as long as there were such.
   */
  #makeRoom(): void {
    const wanted = this.#max - (this.#max >> ROOM_SHIFT);
    const textWanted = this.#textMax - (this.#textMax >> ROOM_SHIFT);
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= wanted && this.#text <= textWanted) return;
      this.#entries.delete(key);
      if (entry.count <= (this.#spared.get(entry) ?? 1)) {
        this.#dropped++;
        this.#text -= textOf(entry);
        continue;
      }
      this.#spared.set(entry, entry.count);
      this.#entries.set(key, entry);
    }
  }
}

/** Of this container and no other: one that is made anew may have the id of the one before, and no cgroup comes twice. */
export function containerKey(workload: Workload): string {
  return `${workloadKey(workload)}/${workload.cgroupId}`;
}

function textOf({ object, from, parent }: Operation): number {
  return object.length + from.length + parent.length;
}

/** The same operation once more. */
export function touch(entry: SeenOperation, micros: number): void {
  entry.count++;
  entry.lastMicros = micros;
}

/** Empty where no rule could name it. */
function objectOf({ opName, openFlags, path, reason }: DecisionEvent): string {
  if (opName === "network") {
    const kind = socketKind({
      family: openFlags & 0xff,
      type: openFlags >> 8 & 0xff,
      protocol: openFlags >>> 16,
    });
    return kind === undefined ? "" : nameOfNumber(kind);
  }
  if (opName === "capability") {
    return openFlags < CAPABILITIES.length ? nameOfNumber(REFERENCE_CAPABILITIES + openFlags) : "";
  }
  // A name that no rule could have, as the root's.
  if (opName === "dns" && typeof readDomain(path) === "string") return "";
  const isPlace = (opName === "dns" || path.startsWith("/")) && reason !== "unreachable" &&
    reason !== "gave-up";
  return isPlace ? path : "";
}
