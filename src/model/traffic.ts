/** What the schema can't say about the entries of a network policy: addresses, ports and times. */
import type { Report } from "./diagnostic.ts";
import { child, childItems, childNumber, childText, type Tree } from "./tree.ts";
import { shorten, whereOf } from "./validate.ts";

const PORT_MAX = 65535;

/** Reports what is wrong with one entry of `ingress` or `egress`. */
export function checkTraffic(
  entry: Tree,
  peers: "from" | "to",
  field: string,
  report: Report,
): void {
  childItems(entry, peers).forEach((peer, index) => {
    const block = child(peer, "ipBlock");
    checkText(block, "cidr", isAddresses, ADDRESSES, `${field}.${peers}[${index}].ipBlock`, report);
  });
  childItems(entry, "ports").forEach((port, index) => {
    const at = `${field}.ports[${index}]`;
    checkText(port, "port", isPort, PORT, at, report);
    checkRange(port, at, report);
  });
  checkText(entry, "duration", isDuration, DURATION, field, report);
}

interface Words {
  readonly wanted: string;
  readonly hint: string;
}

const ADDRESSES: Words = {
  wanted: "be an address, or addresses with the length of their prefix",
  hint: 'for example "10.0.0.0/8", "192.168.1.1" or "fd00::/8"',
};

const PORT: Words = {
  wanted: `be a number from 1 to ${PORT_MAX} or a service's name`,
  hint: 'for example "443" or "https"',
};

const DURATION: Words = {
  wanted: "be a time as Go writes it",
  hint: 'for example "30s", "20m" or "1h30m"',
};

function checkText(
  tree: Tree | undefined,
  name: string,
  isRight: (text: string) => boolean,
  { wanted, hint }: Words,
  field: string,
  report: Report,
): void {
  const value = child(tree, name);
  // Of another type the schema has complained.
  if (value?.kind !== "scalar" || typeof value.value !== "string" || isRight(value.value)) return;
  report({
    severity: "error",
    where: value.where,
    field: `${field}.${name}`,
    message: `Cannot use value: must ${wanted}: current value is "${shorten(value.value)}"`,
    hint,
  });
}

function checkRange(port: Tree, field: string, report: Report): void {
  const [first, last] = [Number(childText(port, "port")), childNumber(port, "endPort")];
  if (last === 0 || !(last < first)) return;
  report({
    severity: "error",
    where: whereOf(port, "endPort"),
    field: `${field}.endPort`,
    message: `Cannot use range: must end behind its first port, ${first}: current value is ${last}`,
    hint: "exchange the two",
  });
}

function isAddresses(text: string): boolean {
  const [address = "", prefix, ...more] = text.split("/");
  const bits = isIpv4(address) ? 32 : isIpv6(address) ? 128 : undefined;
  if (bits === undefined || more.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 &&
    parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
}

/** The URL parser knows the grammar of RFC 4291. */
function isIpv6(text: string): boolean {
  return /^[0-9a-f:.]+$/i.test(text) && text.includes(":") && URL.canParse(`http://[${text}]/`);
}

/** @see RFC 6335 §5.1 for names */
function isPort(text: string): boolean {
  if (/^\d+$/.test(text)) return Number(text) >= 1 && Number(text) <= PORT_MAX;
  return /^(?=.*[a-z])[a-z0-9](?:-?[a-z0-9]){0,14}$/i.test(text);
}

/** @see time.ParseDuration in Go */
function isDuration(text: string): boolean {
  return /^(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(text);
}
