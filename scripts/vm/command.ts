/** Runs the host's tools (apt-get, tar, mksquashfs ...) for the VM harness. */

/** A tool ended with a status other than 0, or could not be started at all. */
export class CommandError extends Error {
  override name = "CommandError";

  /** `status`: exit status, or 127 when the program was not found. */
  constructor(readonly command: string, readonly status: number, readonly stderr: string) {
    super(`Run "${command}": exit status is ${status}: ${lastLines(stderr, 5)}`);
  }
}

/** What {@linkcode capture} and {@linkcode run} take beside the command line. */
export interface CommandOptions {
  /** Working directory; by default the caller's. */
  cwd?: string;
  /** Variables added to the caller's environment. */
  env?: Record<string, string>;
  /** Bytes for standard input; without them it is empty. */
  input?: Uint8Array;
  /** Accept any exit status: for decompressors, which complain about what follows their data. */
  anyStatus?: boolean;
}

/**
 * Runs a tool and returns its whole standard output.
 *
 * @throws {CommandError} when it cannot be started, or ends with a status other than 0
 */
export async function captureBytes(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<Uint8Array> {
  const child = spawn(argv, options);
  const written = options.input === undefined ? undefined : feed(child, options.input);
  const { code, stdout, stderr } = await child.output();
  await written;
  if (code !== 0 && !options.anyStatus) {
    throw new CommandError(argv.join(" "), code, new TextDecoder().decode(stderr));
  }
  return stdout;
}

/** {@linkcode captureBytes}, as text. */
export async function capture(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  return new TextDecoder().decode(await captureBytes(argv, options));
}

/** Runs a tool for its effect only. @throws {CommandError} as {@linkcode captureBytes} */
export async function run(argv: readonly string[], options: CommandOptions = {}): Promise<void> {
  await captureBytes(argv, options);
}

function spawn(argv: readonly string[], options: CommandOptions): Deno.ChildProcess {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError("Run a command: argv is empty");
  try {
    return new Deno.Command(program, {
      args,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { LC_ALL: "C", ...options.env },
      stdin: options.input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new CommandError(argv.join(" "), 127, `"${program}" not found: run scripts/setup`);
  }
}

async function feed(child: Deno.ChildProcess, input: Uint8Array): Promise<void> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(input);
    await writer.close();
  } catch (error) {
    // A tool may end before it has read everything, and says so by its status.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function lastLines(text: string, count: number): string {
  return text.trim().split("\n").slice(-count).join("\n");
}
