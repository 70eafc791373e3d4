/** Names of DNS as rules have them. */

/** A domain and what lies below it, or with `*.` only that. */
export interface DomainTarget {
  readonly kind: "domain";
  /** In lower case, without a dot at either end. */
  readonly domain: string;
  /** Not the name itself. */
  readonly belowOnly?: true;
}

/** On the wire a name has 255 bytes, with a length for each label and the root's. */
const TEXT_MAX = 253;
const LABEL_MAX = 63;
/** As many as the kernel compares: LABELS_MAX of bpf/agent_api.h, less those that a search list adds. */
const LABELS_MAX = 27;

/** The target that a text means; a text: why it means none, behind `domain "…" `. */
export function readDomain(written: string): DomainTarget | string {
  const text = written.trim().toLowerCase().replace(/^\.+|\.+$/g, "");
  const belowOnly = text.startsWith("*.");
  const domain = belowOnly ? text.slice(2) : text;
  const defect = defectOf(domain);
  if (defect !== undefined) return defect;
  return { kind: "domain", domain, ...(belowOnly && { belowOnly }) };
}

function defectOf(domain: string): string | undefined {
  if (domain === "") return "has no name";
  if (/[/:@\s]/.test(domain)) {
    const host = /^(?:[a-z+.-]+:\/\/)?(?:[^@/]*@)?([^/:\s]+)/.exec(domain)?.[1];
    return `is no name of DNS${host === undefined ? "" : `: write "${host}"`}`;
  }
  if (domain.includes("*")) {
    const rest = domain.replace(/^.*\*[^.]*\.?/, "");
    const advice = rest === "" ? "name a domain" : `write "*.${rest}"`;
    return `has a "*" that is not its first label: ${advice}`;
  }
  if (/[^\x21-\x7e]/.test(domain)) {
    return `has letters that DNS does not: write "${new URL(`http://${domain}`).hostname}"`;
  }
  if (/^[\d.]+$/.test(domain)) return "is an address: nobody asks DNS for its name that way";
  return lengthDefect(domain);
}

function lengthDefect(domain: string): string | undefined {
  const labels = domain.split(".");
  if (labels.includes("")) {
    return `has two dots side by side: write "${domain.replace(/\.+/g, ".")}"`;
  }
  const long = labels.find((label) => label.length > LABEL_MAX);
  if (long !== undefined) return `has a label of ${long.length} bytes: DNS allows ${LABEL_MAX}`;
  if (domain.length > TEXT_MAX) return `has ${domain.length} bytes: DNS allows ${TEXT_MAX}`;
  if (labels.length <= LABELS_MAX) return undefined;
  return `has ${labels.length} labels: the engine compares ${LABELS_MAX}`;
}
