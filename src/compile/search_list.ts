/** What resolvers put behind a name that they were asked for: the search list of a Kubernetes pod. */
import type { Policy } from "../model/policy.ts";

/** As KubeArmor has them, the last of a namespace. `domain.name` is its own. */
const SUFFIXES = ["cluster.local", "svc.cluster.local", "domain.name"];

/**
 * A domain with what may stand behind it: a query for `example.com.svc.cluster.local` asks for `example.com`, and tells its name.
 * The domain itself comes first.
 */
export function spellings(domain: string, { namespace }: Pick<Policy, "namespace">): string[] {
  const own = namespace === "" ? [] : [`${namespace}.svc.cluster.local`];
  return [domain, ...[...SUFFIXES, ...own].map((suffix) => `${domain}.${suffix}`)];
}
