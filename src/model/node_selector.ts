/** Which nodes a host policy selects. */
import { compilePosixRegex } from "./posix_regex.ts";
import type { Selector } from "./selector.ts";

/** The node's name, as kubelets and as KubeArmor label it: exact, several with commas, or `*`. */
export const HOSTNAME_KEYS: readonly string[] = ["kubernetes.io/hostname", "kubearmor.io/hostname"];

/** The same as an expression that is found anywhere in the name, in which `*` stands for any text. */
export const HOSTNAME_PATTERN_KEYS: readonly string[] = [
  "kubernetes.io/hostnamereg",
  "kubearmor.io/hostnamereg",
];

/**
 * Labels of this node: those that are set, and its name by both keys where these do not say it.
 * @param hostname whole, as kubelets have it, where it is known: it counts as the name up to the first dot, too
 */
export function nodeLabelsOf(
  hostname: string,
  labels: Readonly<Record<string, string>>,
): Record<string, string> {
  return { ...Object.fromEntries(HOSTNAME_KEYS.map((key) => [key, hostname])), ...labels };
}

/** Whether a node with these labels has all that the selector asks for; one that asks for nothing selects every node. */
export function selectsNode(
  { matchLabels }: Selector,
  labels: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(matchLabels).every(([key, wanted]) => {
    const pattern = HOSTNAME_PATTERN_KEYS.indexOf(key);
    if (pattern >= 0) return namesOf(labels[HOSTNAME_KEYS[pattern]!]).some(hostnameTest(wanted));
    const found = Object.hasOwn(labels, key) ? labels[key] : undefined;
    if (!HOSTNAME_KEYS.includes(key)) return found === wanted;
    const known = ["*", ...namesOf(found)];
    return wanted.split(",").some((name) => known.includes(name.trim()));
  });
}

/** The whole name and the short one. */
function namesOf(hostname = ""): string[] {
  return [hostname, hostname.split(".")[0]!];
}

/** A test for names. @throws {SyntaxError} when the text is no POSIX extended regular expression */
export function hostnameTest(text: string): (name: string) => boolean {
  const pattern = text.replaceAll("*", ".*");
  return compilePosixRegex(`.*(${pattern}).*`);
}
