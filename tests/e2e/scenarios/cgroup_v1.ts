/**
 * Containers under cgroup v1, each controller in a hierarchy of its own, and in the places that runtimes under systemd use.
 * One kernel: nothing about it differs between them but the numbers of controllers, which are asked for by name.
 */

import { GUARDED } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";

const { labels, policy, prepare, opened } = GUARDED;
const executed = GUARDED.executed("/bin/tac");

const refused = (where: string): Act[] => [
  {
    claim: `a blocked file is refused in a container of ${where}`,
    ...{ in: where, run: "cat /data/secret", expect: "EACCES", alert: opened, control: "free" },
  },
  {
    claim: `a blocked program that enters a container of ${where} is refused`,
    ...{ in: where, run: ["/bin/tac", "/data/secret"], expect: "EACCES", alert: executed },
    control: "free",
  },
];

/** The cgroup's place as containerd's Kubernetes plugin asks for under the kubelet's systemd driver, made by hand. */
const SLICE = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice";
const inSlice = (name: string, label: string) =>
  `ctr run --rm --label app=${label} --cgroup ${SLICE}/cri-containerd-${name}.scope ` +
  `$image ${name} /bin/tac /proc/version`;

scenario({
  name: "cgroup v1",
  kernels: ["6.1"],
  cgroups: "v1",
  agentStarts: "last",
  policies: { "keep.yaml": policy },
  containers: {
    runc: { labels, prepare },
    crun: { labels, prepare, runtime: "crun" },
    free: { prepare },
  },
  acts: [
    {
      claim: "the agent follows the hierarchy of pids",
      in: "host",
      run: "ankylo probe",
      expect: /cgroups +cgroup v1, pids at \/sys\/fs\/cgroup\/pids/,
    },
    ...refused("runc"),
    ...refused("crun"),
    {
      claim: "a task that leaves the container's cgroup of pids stays the container's",
      in: "host",
      run: "ctr task exec --exec-id leaver runc /bin/sh -c 'sleep 1; cat /data/secret' & " +
        "wait_until sh -c 'grep -l sleep.1 /proc/[0-9]*/cmdline' >/dev/null; " +
        "for p in $(cat /sys/fs/cgroup/pids/default/runc/cgroup.procs); do " +
        "echo $p >/sys/fs/cgroup/pids/cgroup.procs; done; wait $!",
      expect: "EACCES",
      alert: opened,
    },
    {
      claim: "a new container's blocked first program is refused, in a slice of systemd's too",
      in: "host",
      run: inSlice("first", "guarded"),
      expect: { output: /permission denied/i },
      alert: executed,
      control: { in: "host", run: inSlice("first-free", "other"), expect: /Linux version/ },
    },
  ],
});
