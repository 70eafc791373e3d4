/** The kernels that can be tested. To add one, add a line: nothing else knows the series. */

/** Where a series comes from, and what is tested on it. */
export interface KernelSource {
  /** Debian suites. */
  readonly suites: readonly string[];
  /** Leads to the series' newest version; `*` stands for what changes from one to the next. */
  readonly package: string;
  /** `all`: every scenario. `chosen`: those that name the series. */
  readonly scenarios: "all" | "chosen";
}

const BACKPORTS = ["trixie", "trixie-security", "trixie-backports"];

export const KERNELS = {
  "5.10": {
    suites: ["bullseye", "bullseye-security"],
    package: "linux-image-5.10.0-*-cloud-amd64",
    scenarios: "chosen",
  },
  "6.1": {
    suites: ["bookworm", "bookworm-security"],
    package: "linux-image-cloud-amd64",
    scenarios: "all",
  },
  "6.12": {
    suites: ["bookworm", "bookworm-security"],
    package: "linux-image-6.12-cloud-amd64",
    scenarios: "all",
  },
  "6.18": { suites: BACKPORTS, package: "linux-image-6.18.*-cloud-amd64", scenarios: "chosen" },
  // The newest there is, whatever its number.
  "7.x": { suites: BACKPORTS, package: "linux-image-cloud-amd64", scenarios: "chosen" },
} as const satisfies Record<string, KernelSource>;

/** A series of {@linkcode KERNELS}. */
export type KernelSeries = keyof typeof KERNELS;

/** Every series, oldest first. */
export const KERNEL_SERIES = Object.keys(KERNELS) as KernelSeries[];

/** Reads a series as a person types it. @throws {RangeError} naming the known ones */
export function parseKernelSeries(text: string): KernelSeries {
  if (Object.hasOwn(KERNELS, text)) return text as KernelSeries;
  const known = KERNEL_SERIES.join(", ");
  throw new RangeError(
    `Choose a kernel: series must be one of ${known}: current value is "${text}"`,
  );
}
