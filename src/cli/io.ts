/** Where commands write. Tests capture it. */
export interface CommandIo {
  /** Results, on stdout. */
  out(text: string): void;
  /** Complaints, on stderr. */
  err(text: string): void;
}

const encoder = new TextEncoder();

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(to.writeSync(bytes));
}

export const processIo: CommandIo = {
  out: (text) => writeAll(Deno.stdout, text),
  err: (text) => writeAll(Deno.stderr, text),
};
