/**
 * Random operations on files and programs: what is done, and what it asks of the policies. A kind of operation more is one
 * more line in OPERATIONS.
 */

import {
  OP_CREATE,
  OP_DELETE,
  OP_EXEC,
  OP_LINK,
  OP_MMAP_EXEC,
  OP_READ,
  OP_RENAME,
  OP_WRITE,
} from "../../../ffi/generated/agent_api.ts";
import type { Random } from "../random.ts";
import type { Step } from "./specification.ts";
import {
  directory,
  type Entry,
  file,
  type Inode,
  isOnMount,
  link,
  MOUNT,
  OWNERS,
  parentOf,
  ROOT,
  type Tree,
} from "./tree.ts";

/** Something that differ.c does, and the questions that the kernel then asks. */
export interface Operation {
  readonly words: readonly (string | number)[];
  readonly steps: readonly Step[];
  /** Who may do it; root if absent. */
  readonly anyone?: boolean;
}

/** What operations are made from. */
export interface World {
  readonly tree: Tree;
  readonly random: Random;
  /** Paths that rules name: most operations are near them. */
  readonly ruled: readonly string[];
  /** Who does it. */
  readonly uid: number;
}

const O_WRONLY = 1;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_DIRECTORY = 0o200000;
const O_PATH = 0o10000000;
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const S_IFIFO = 0o010000;
const S_IFREG = 0o100000;
const S_IFSOCK = 0o140000;

type Maker = (world: World) => Operation | undefined;

/** How often each is chosen, and how it is made; undefined where the tree has nothing for it. */
const OPERATIONS: readonly (readonly [weight: number, make: Maker])[] = [
  [14, openFile],
  [3, openDirectory],
  [2, openPath],
  [7, createFile],
  [3, mapCode],
  [2, mapShared],
  [5, execute],
  [8, rename],
  [3, exchange],
  [5, makeLink],
  [5, unlink],
  [3, removeDirectory],
  [4, makeDirectory],
  [3, makeSymbolicLink],
  [3, makeNode],
  [2, nameSocket],
  [5, changeMode],
  [4, changeOwner],
  [3, setAttribute],
  [4, truncate],
];
const WEIGHTS = OPERATIONS.reduce((sum, [weight]) => sum + weight, 0);

/** Any operation that the tree allows: without policies it would succeed. */
export function randomOperation(world: World): Operation {
  while (true) {
    let left = world.random.between(1, WEIGHTS);
    const [, make] = OPERATIONS.find(([weight]) => (left -= weight) <= 0)!;
    const operation = make(world);
    if (operation !== undefined && (operation.anyone === true || world.uid === 0)) return operation;
  }
}

// ---- operands ------------------------------------------------------------------------------------------------------------

function pick({ tree, random, ruled }: World, wanted: (entry: Entry) => boolean) {
  const entries = tree.entries.filter(wanted);
  if (entries.length === 0) return undefined;
  if (ruled.length === 0 || random.chance(0.5)) return random.pick(entries);
  return random.near(entries, random.pick(ruled));
}

const isFile = ({ inode }: Entry) => inode.kind === "file";
/** Whether its content may be lost. */
const isPlain = (entry: Entry) => isFile(entry) && entry.inode.program === undefined;
const isDirectory = ({ inode }: Entry) => inode.kind === "directory";
const canMove = ({ path }: Entry) => path !== ROOT && path !== MOUNT;

/** A free name that rules name, if there is one, or any. */
function freeName({ tree, random, ruled }: World, mount?: boolean): string | undefined {
  const fits = ruled.filter((path) =>
    tree.get(path) === undefined && tree.get(parentOf(path))?.kind === "directory" &&
    (mount === undefined || isOnMount(path) === mount)
  );
  if (fits.length > 0 && random.chance(0.5)) return random.pick(fits);
  return tree.freeName(mount);
}

/** Other ways to write a path that lead to the same object. */
function spelled({ random, tree }: World, path: string): string {
  const directories = tree.entries.filter(isDirectory).map((entry) => entry.path);
  const way = random.between(0, 9);
  if (way === 0) return path.replaceAll("/", "//");
  if (way === 1) return `/proc/self/root${path}`;
  if (way === 2) {
    const through = random.pick(directories);
    return through + "/..".repeat(through.split("/").length - 1) + path;
  }
  if (way === 3) return `${parentOf(path)}/.${path.slice(path.lastIndexOf("/"))}`;
  return path;
}

// ---- open, map, execute ---------------------------------------------------------------------------------------------------

function opsOf(mode: number): number[] {
  if (mode === O_RDWR) return [OP_READ, OP_WRITE];
  return [mode === O_WRONLY ? OP_WRITE : OP_READ];
}

function access(world: World, ops: readonly number[], path: string, lsm: string): Step {
  return { kind: "access", ops, on: world.tree.named(path), lsm };
}

function openFile(world: World): Operation | undefined {
  const { tree, random } = world;
  const isLink = ({ inode }: Entry) =>
    inode.target !== undefined && tree.get(inode.target)?.kind === "file";
  const entry = pick(world, (entry) => isFile(entry) || isLink(entry));
  if (entry === undefined) return undefined;
  const path = entry.inode.target ?? entry.path;
  const inode = tree.get(path)!;
  const mode = random.pick([0, 0, O_WRONLY, O_RDWR]);
  const truncates = inode.program === undefined && random.chance(0.2);
  const more = random.pick([0, 0, 0, O_APPEND, O_CREAT]) | (truncates ? O_TRUNC : 0);
  return {
    words: ["open", spelled(world, entry.path), mode | more],
    steps: [
      access(world, opsOf(mode), path, "FILE_OPEN"),
      ...truncates ? [access(world, [OP_WRITE], path, "FILE_TRUNCATE")] : [],
    ],
    anyone: true,
  };
}

function openDirectory(world: World): Operation | undefined {
  const { path } = pick(world, isDirectory)!;
  return {
    words: ["open", spelled(world, path), O_DIRECTORY],
    steps: [access(world, [OP_READ], path, "FILE_OPEN")],
    anyone: true,
  };
}

function openPath(world: World): Operation | undefined {
  const { path } = pick(world, () => true)!;
  const nofollow = 0o400000;
  return { words: ["open", path, O_PATH | nofollow], steps: [], anyone: true };
}

function createFile(world: World): Operation | undefined {
  const { tree, random, uid } = world;
  const path = freeName(world);
  if (path === undefined) return undefined;
  const mode = random.pick([0, O_WRONLY, O_RDWR]);
  const more = O_CREAT | random.pick([0, O_EXCL, O_TRUNC, O_EXCL | O_TRUNC]);
  return {
    words: ["open", path, mode | more],
    steps: [
      {
        ...access(world, [OP_CREATE], path, "FILE_MKNOD"),
        then: () => tree.add(path, file(uid)),
      },
      // It belongs to who made it.
      { kind: "access", ops: opsOf(mode), on: { path, owner: uid }, lsm: "FILE_OPEN" },
    ],
    anyone: true,
  };
}

function mapCode(world: World): Operation | undefined {
  const entry = pick(world, isFile);
  if (entry === undefined) return undefined;
  const { path } = entry;
  const later = world.random.chance(0.4);
  const protection = later ? PROT_READ : PROT_READ | PROT_EXEC;
  return {
    words: ["map", path, 0, protection, MAP_PRIVATE, later ? PROT_READ | PROT_EXEC : 0],
    steps: [
      access(world, [OP_READ], path, "FILE_OPEN"),
      access(world, [OP_MMAP_EXEC], path, later ? "FILE_MPROTECT" : "MMAP_FILE"),
    ],
    anyone: true,
  };
}

function mapShared(world: World): Operation | undefined {
  const entry = pick(world, isPlain);
  if (entry === undefined) return undefined;
  const { path } = entry;
  return {
    words: ["map", path, O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED, 0],
    steps: [
      access(world, [OP_READ, OP_WRITE], path, "FILE_OPEN"),
      access(world, [OP_WRITE], path, "MMAP_FILE"),
    ],
    anyone: true,
  };
}

/** It is opened, then executed; so is the interpreter of a script. */
function execute(world: World): Operation | undefined {
  const { tree } = world;
  const isReady = (inode: Inode | undefined) => inode?.program === true && inode.isExecutable;
  const entry = pick(world, ({ inode }) =>
    inode.isExecutable &&
    (isReady(inode) || typeof inode.program === "object" &&
        isReady(tree.get(inode.program.interpreter))));
  if (entry === undefined) return undefined;
  const { path, inode: { program } } = entry;
  const chain = typeof program === "object" ? [path, program.interpreter] : [path];
  return {
    words: ["exec", spelled(world, path)],
    steps: chain.flatMap((program) => [
      access(world, [OP_READ], program, "FILE_OPEN"),
      access(world, [OP_EXEC], program, "SECURITY_BPRM_CHECK"),
    ]),
    anyone: true,
  };
}

// ---- names ----------------------------------------------------------------------------------------------------------------

function rename(world: World): Operation | undefined {
  const { tree, random } = world;
  const entry = pick(world, canMove)!;
  const from = entry.path;
  const onto = random.chance(0.25)
    ? pick(world, (other) => canReplace(tree, entry, other))?.path
    : undefined;
  const to = onto ?? freeName(world, isOnMount(from));
  if (to === undefined || to.startsWith(`${from}/`)) return undefined;
  const flags = onto === undefined && random.chance(0.3) ? RENAME_NOREPLACE : 0;
  return {
    words: ["rename", spelled(world, from), to, flags],
    steps: [{ ...moving(world, OP_RENAME, from, to), then: () => tree.move(from, to) }],
    anyone: true,
  };
}

function moving({ tree }: World, op: number, from: string, to: string): Step {
  const lsm = op === OP_LINK ? "FILE_LINK" : "FILE_RENAME";
  return { kind: "move", op, from: tree.named(from), to: tree.named(to), lsm };
}

/** Two names of one file are left alone: the kernel then does nothing. */
function canReplace(tree: Tree, entry: Entry, other: Entry): boolean {
  if (!canMove(other) || other.inode === entry.inode) return false;
  if (isOnMount(other.path) !== isOnMount(entry.path)) return false;
  if (entry.path.startsWith(`${other.path}/`)) return false;
  if (isDirectory(entry) !== isDirectory(other)) return false;
  return !isDirectory(other) || tree.isEmpty(other.path);
}

function exchange(world: World): Operation | undefined {
  const { tree } = world;
  const one = pick(world, canMove)!;
  const other = pick(world, (other) =>
    canMove(other) && other.inode !== one.inode &&
    isOnMount(other.path) === isOnMount(one.path) &&
    !other.path.startsWith(`${one.path}/`) && !one.path.startsWith(`${other.path}/`));
  if (other === undefined) return undefined;
  return {
    words: ["rename", one.path, other.path, RENAME_EXCHANGE],
    steps: [
      moving(world, OP_RENAME, one.path, other.path),
      {
        ...moving(world, OP_RENAME, other.path, one.path),
        then: () => tree.exchange(one.path, other.path),
      },
    ],
    anyone: true,
  };
}

function makeLink(world: World): Operation | undefined {
  const { tree } = world;
  const entry = pick(world, isFile);
  const to = entry && freeName(world, isOnMount(entry.path));
  if (entry === undefined || to === undefined) return undefined;
  const step = moving(world, OP_LINK, entry.path, to);
  return {
    words: ["link", entry.path, to],
    steps: [{ ...step, then: () => tree.add(to, entry.inode) }],
    anyone: true,
  };
}

function unlink(world: World): Operation | undefined {
  const { tree } = world;
  // Most names stay, so that there is something to do.
  if (tree.entries.length < 35) return undefined;
  const entry = pick(world, (entry) => !isDirectory(entry));
  if (entry === undefined) return undefined;
  const { path } = entry;
  const step = access(world, [OP_DELETE], path, "FILE_UNLINK");
  return {
    words: ["unlink", path],
    steps: [{ ...step, then: () => tree.remove(path) }],
    anyone: true,
  };
}

function removeDirectory(world: World): Operation | undefined {
  const { tree } = world;
  const entry = pick(
    world,
    (entry) => isDirectory(entry) && canMove(entry) && tree.isEmpty(entry.path),
  );
  if (entry === undefined) return undefined;
  const { path } = entry;
  const step = access(world, [OP_DELETE], path, "FILE_RMDIR");
  return {
    words: ["rmdir", path],
    steps: [{ ...step, then: () => tree.remove(path) }],
    anyone: true,
  };
}

/** A new name, made by an act of one word. */
function make(
  world: World,
  words: (path: string) => readonly (string | number)[],
  lsm: string,
  inode: Inode,
): Operation | undefined {
  const path = freeName(world);
  if (path === undefined) return undefined;
  const step = access(world, [OP_CREATE], path, lsm);
  return {
    words: words(path),
    steps: [{ ...step, then: () => world.tree.add(path, inode) }],
    anyone: true,
  };
}

function makeDirectory(world: World): Operation | undefined {
  return make(world, (path) => ["mkdir", path], "FILE_MKDIR", directory(world.uid));
}

function makeSymbolicLink(world: World): Operation | undefined {
  const target = pick(world, isFile)?.path;
  if (target === undefined) return undefined;
  const inode = link(world.uid, target);
  return make(world, (path) => ["symlink", path, target], "FILE_SYMLINK", inode);
}

function makeNode(world: World): Operation | undefined {
  const [mode, kind] = world.random.pick(
    [[S_IFIFO, "pipe"], [S_IFREG, "file"], [S_IFSOCK, "socket"]] as const,
  );
  const inode = { kind, owner: world.uid, isExecutable: false };
  return make(world, (path) => ["mknod", path, mode | 0o666], "FILE_MKNOD", inode);
}

/** Its mode is 0777, as the process's mask leaves it. */
function nameSocket(world: World): Operation | undefined {
  const inode = { kind: "socket", owner: world.uid, isExecutable: true } as const;
  return make(world, (path) => ["name", path], "FILE_MKNOD", inode);
}

// ---- attributes and content --------------------------------------------------------------------------------------------------

const notLink = ({ inode }: Entry) => inode.kind !== "link";

function changeMode(world: World): Operation | undefined {
  const { tree, random } = world;
  const { path, inode } = pick(world, notLink)!;
  const executable = inode.kind === "directory" || random.chance(0.5);
  const hidesProgram = inode.kind === "file" && inode.isExecutable && !executable;
  return {
    words: ["chmod", spelled(world, path), executable ? 0o777 : 0o666],
    steps: [{
      ...{ kind: "attributes", on: tree.named(path), hidesProgram, lsm: "FILE_CHMOD" },
      then: () => void (inode.isExecutable = executable),
    }],
  };
}

function changeOwner(world: World): Operation | undefined {
  const { tree, random } = world;
  const { path, inode } = pick(world, () => true)!;
  const owner = random.pick(OWNERS);
  const changesOwner = inode.kind === "file" && inode.isExecutable;
  return {
    words: ["chown", path, owner],
    steps: [{
      ...{ kind: "attributes", on: tree.named(path), changesOwner, lsm: "FILE_CHOWN" },
      then: () => void (inode.owner = owner),
    }],
  };
}

function setAttribute(world: World): Operation | undefined {
  const { path } = pick(world, notLink)!;
  return {
    words: ["setxattr", path],
    steps: [{ kind: "attributes", on: world.tree.named(path), lsm: "FILE_SETXATTR" }],
  };
}

function truncate(world: World): Operation | undefined {
  const entry = pick(world, isPlain);
  if (entry === undefined) return undefined;
  const { path } = entry;
  const step = access(world, [OP_WRITE], path, "FILE_TRUNCATE");
  return world.random.chance(0.5)
    ? { words: ["truncate", spelled(world, path)], steps: [step], anyone: true }
    : {
      words: ["ftruncate", path],
      steps: [access(world, [OP_WRITE], path, "FILE_OPEN"), step],
      anyone: true,
    };
}
