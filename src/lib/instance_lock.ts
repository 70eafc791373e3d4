/** One agent at a time: a lock on a file, which the kernel gives back when its owner ends, however that happens. */

/** Another agent holds the lock. */
export class AgentRunsError extends Error {
  override name = "AgentRunsError";
}

export const LOCK_FILE = "/run/ankylo/agent.lock";

/**
 * Takes the lock, for as long as the result is not disposed. The file stays: removing it would let two agents lock two
 * files of one name.
 * @throws {AgentRunsError} naming the other agent's process
 */
export async function lockInstance(path: string = LOCK_FILE): Promise<Disposable> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o755 });
  const file = await Deno.open(path, { create: true, read: true, write: true, mode: 0o644 });
  try {
    if (!await file.tryLock(true)) {
      const pid = (await Deno.readTextFile(path)).trim();
      throw new AgentRunsError(
        `Cannot lock ${path}: an agent runs already${pid === "" ? "" : ` as process ${pid}`}`,
      );
    }
    await file.truncate();
    await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}
