/**
 * Policies that change while the agent runs, however they are written; files with faults; rules that are not enforced
 * yet; and what the agent tells of all that.
 */

import { DENIED, onHost } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";

const block = (name: string, program: string) => `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: ${name}
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  process:
    matchPaths:
      - path: ${program}
  action: Block
`;

const onlyWithArguments = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: not-yet
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  process:
    matchPaths:
      - path: /bin/arch
        allowedArgs: [-h]
  file:
    matchPaths:
      - path: /etc/group
  action: Block
`;

/** For every namespace but one; that of the cluster's own pods is left alone without being named, too. */
const everywhere = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorClusterPolicy
metadata:
  name: deny-id
spec:
  severity: 4
  selector:
    matchExpressions:
      - key: namespace
        operator: NotIn
        values: [bank]
  process:
    matchPaths:
      - path: /bin/id
`;

/** A container of a pod, as the kubelet labels it. */
const inNamespace = (namespace: string) => ({
  labels: { "io.kubernetes.pod.namespace": namespace },
});

/** Changes files in the agent's folder, and waits until that is in force: what comes at once, what goes a second later. */
const change = (command: string, steps = 1) =>
  "generation() { curl -s $agent_url/v1/status | grep -o '\"generation\":[0-9]*' | head -n 1 | cut -d : -f 2; }; " +
  `applied() { [ "$(generation)" -ge $((before + ${steps})) ]; }; ` +
  `before=$(generation); cd /etc/ankylo/policies && ${command} && wait_until applied`;

const refused = (claim: string, program: string, name: string): Act => ({
  ...{ claim, in: "web", run: program, expect: "EACCES", control: "free" },
  alert: { ...DENIED, PolicyName: name, Operation: "Process", Resource: program },
});

const runs = (claim: string, program: string): Act => ({
  ...{ claim, in: "web", run: program, expect: "ok" },
});

/** The first alerts of a stream that a filter leaves, as their resources. */
const filtered = (query: string) => `first_alert '${query}' '"Resource":"[^"]*"'`;

scenario({
  name: "policy changes",
  policies: {
    "date.yaml": block("deny-date", "/bin/date"),
    "not-yet.yaml": onlyWithArguments,
    "everywhere.yaml": everywhere,
    "spare": block("deny-uname", "/bin/uname"),
    "spare-pwd": block("deny-pwd", "/bin/pwd"),
    "spare-arch": block("deny-arch", "/bin/arch"),
    "broken": "kind: KubeArmorPolicy\nspec: [",
  },
  containers: {
    web: {},
    free: {},
    shop: { ...inNamespace("shop"), start: "after" },
    bank: inNamespace("bank"),
    system: inNamespace("kube-system"),
  },
  acts: [
    refused("a policy that was there at the start is in force", "/bin/date", "deny-date"),

    runs(
      "a rule with allowedArgs, which is not enforced yet, refuses nothing",
      "/bin/arch",
    ),
    {
      claim: "its neighbour in the same policy is enforced",
      ...{ in: "web", run: "/bin/cat /etc/group", expect: "EACCES", control: "free" },
      alert: { ...DENIED, PolicyName: "not-yet", Resource: "/etc/group" },
    },
    onHost(
      "ankylo status names the rule that is not enforced, and why",
      "ankylo status",
      /\/bin\/arch.*not enforced: .*allowedArgs/,
    ),
    onHost(
      "the HTTP API names the rule that is not enforced, and why",
      "curl -s $agent_url/v1/policies/not-yet",
      /"target":"\/bin\/arch".*?"state":"not enforced","reason":"[^"]*allowedArgs/,
    ),
    onHost(
      "the HTTP API says which containers a policy selects",
      "curl -s $agent_url/v1/policies/deny-date",
      /"workloads":\[\{"id":"web","name":"web"\}\]/,
    ),

    onHost(
      "ankylo explain names the rule that decides, from the image that the kernel holds",
      "ankylo explain --container web --exec /bin/date --from /bin/sh",
      /REFUSED .* alert of deny-date\n[^]*date\.yaml:\d+:\d+ [^]*which the kernel holds/,
    ),
    onHost(
      "ankylo explain says that no policy selects a container",
      "ankylo explain --container bank --exec /bin/date",
      /passes, without an alert[^]*No policy with an enforced rule selects/,
    ),
    {
      claim:
        "a cluster policy holds for a container that came later, in a namespace that it does not except",
      ...{ in: "shop", run: "/bin/id -u", expect: "EACCES" },
      control: "bank",
      alert: {
        ...DENIED,
        ...{ PolicyName: "deny-id", Severity: "4", NamespaceName: "shop", Resource: "/bin/id -u" },
      },
    },
    {
      claim: "a cluster policy leaves pods of the cluster's own namespace alone",
      ...{ in: "system", run: "/bin/id -u", expect: "ok" },
    },

    onHost("a new file is applied", change("cp spare uname.yaml"), "ok"),
    refused("a new file is in force", "/bin/uname", "deny-uname"),
    onHost(
      "a file that is written anew in place is applied",
      change("sed s,/bin/uname,/bin/groups, spare >uname.yaml"),
      "ok",
    ),
    refused("what is written in place is in force", "/bin/groups", "deny-uname"),
    onHost(
      "a file that an editor replaces is applied",
      change("sed -i s,/bin/groups,/bin/nproc, uname.yaml"),
      "ok",
    ),
    refused("what the new text names is refused", "/bin/nproc", "deny-uname"),
    runs("what only the old text named runs", "/bin/uname"),
    onHost(
      "a file with a fault is told of with file, line and column",
      "cd /etc/ankylo/policies && cat broken >uname.yaml && " +
        "wait_until sh -c 'ankylo status | grep uname.yaml:[0-9]*:[0-9]*:'",
      /error +\S*uname\.yaml:\d+:\d+: /,
    ),
    refused("while a file is faulty its last good version holds", "/bin/nproc", "deny-uname"),
    refused("and so do the other files", "/bin/date", "deny-date"),
    onHost("a file is removed", change("rm uname.yaml"), "ok"),
    runs("what a removed file named runs again", "/bin/nproc"),

    onHost(
      "a ConfigMap's files, links to a folder that a link names, are applied",
      change(
        "mkdir ..1 && cp spare-pwd ..1/map.yaml && ln -s ..1 ..data && ln -s ..data/map.yaml map.yaml",
      ),
      "ok",
    ),
    refused("what a ConfigMap says is in force", "/bin/pwd", "deny-pwd"),
    onHost(
      "a ConfigMap's new version, one rename of the link, is applied",
      change(
        "mkdir ..2 && cp spare-arch ..2/map.yaml && ln -s ..2 ..new && mv -T ..new ..data && rm -r ..1",
        2,
      ),
      "ok",
    ),
    refused("what the new version says is in force", "/bin/arch", "deny-arch"),
    runs("what the old version said is no longer", "/bin/pwd"),

    onHost("alerts can be asked for by policy", filtered("policy=deny-arch"), /"\/bin\/arch"/),
    onHost("alerts can be asked for by operation", filtered("operation=File"), /"\/etc\/group"/),
    onHost(
      "alerts can be asked for by container and action",
      filtered("container=web&action=Block"),
      /"\/bin\/date"/,
    ),
    onHost(
      "an action that does not exist is refused with what there is",
      'curl -s "$agent_url/v1/alerts?action=Deny"',
      /"status":400.*Block/s,
    ),
  ],
});
