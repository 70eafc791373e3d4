/** The kernels that can be tested. To add one, add a line: nothing else knows the series. */

/** Where each series comes from: Debian suites, and the package that leads to the series' newest version. */
export const KERNELS = {
  "6.1": { suites: ["bookworm", "bookworm-security"], package: "linux-image-cloud-amd64" },
  "6.12": { suites: ["bookworm", "bookworm-security"], package: "linux-image-6.12-cloud-amd64" },
} as const satisfies Record<string, { suites: readonly string[]; package: string }>;

/** A series of {@linkcode KERNELS}. */
export type KernelSeries = keyof typeof KERNELS;

/** Reads a series as a person types it. @throws {RangeError} naming the known ones */
export function parseKernelSeries(text: string): KernelSeries {
  if (Object.hasOwn(KERNELS, text)) return text as KernelSeries;
  const known = Object.keys(KERNELS).join(", ");
  throw new RangeError(
    `Choose a kernel: series must be one of ${known}: current value is "${text}"`,
  );
}
