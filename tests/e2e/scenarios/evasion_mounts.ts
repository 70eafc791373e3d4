/**
 * Evasions by mounts, namespaces and what the kernel opens for others: a ruled file shown under another name. The
 * containers are privileged, so nothing but the rules refuses; a second part is tried by a user without any right, in
 * a user namespace of their own. Claims begin with the row of tests/e2e/EVASIONS.md.
 */

import { refusal, refusedBy } from "../fixtures.ts";
import { type Act, scenario } from "../harness.ts";
import { compileTool } from "../tools/compile.ts";

const policy = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: keep
spec:
  selector:
    matchLabels:
      kubearmor.io/container.name: web
  file:
    matchPaths:
      - path: /data/secret
      - path: /vol/key
      - path: /vol/d/key
      - path: /proc/sys/kernel/ostype
      - path: /sys/kernel/fscaps
      - path: /proc/sys/kernel/core_pattern
        readOnly: true
  process:
    matchPaths:
      - path: /bin/tac
  action: Block
`;

const prepare = [
  "mkdir -p /data /mnt/m /mnt/e /vol /spare && mount -t tmpfs vol /vol && mkdir /vol/d /vol/w",
  "mount -t tmpfs spare /spare",
  "for f in /data/secret /data/public /vol/key /vol/d/key /spare/key; do echo content >$f; done",
  "chmod -R a+rwX /data /vol /mnt",
].join(" && ");

const NOBODY = 65534;
/** Root in a mount namespace of its own. */
const own = "unshare -m /files/mounts";
/** Anybody, in a user namespace and a mount namespace of their own. */
const ownUser = "unshare -Urm /files/mounts";

const refused = (lsm: string, resource?: string | RegExp) => refusedBy("keep", lsm, resource);

const opened = refused("FILE_OPEN", "/data/secret");
const mountOnM = refused("SB_MOUNT", "/mnt/m");

const asNobody = { user: NOBODY };

/** Runs a command in a namespace of a child that stays, with $p as the child's pid. */
const besideChild = (command: string) =>
  "mkfifo /tmp/up /tmp/down; unshare -m /bin/sh -c 'echo $$ >/tmp/up; read x </tmp/down' & " +
  `read p </tmp/up; ${command}; s=$?; echo >/tmp/down; rm /tmp/up /tmp/down; exit $s`;

const namespaces: Act[] = [
  refusal("S1 reading in an own mount namespace", "unshare -m /bin/cat /data/secret", opened),
  refusal(
    "S2 reading in an own user namespace",
    "unshare -Urm /bin/cat /data/secret",
    opened,
    asNobody,
  ),
  refusal("S3 reading in an own pid namespace", "unshare -p -f /bin/cat /data/secret", opened),
  refusal("S4 a program in an own namespace", "unshare -m /bin/sh -c 'echo content | /bin/tac'", {
    PolicyName: "keep",
    Operation: "Process",
    Action: "Block",
    ProcessName: "/bin/tac",
  }),
  refusal("S6 reading after setns", besideChild("nsenter -t $p -m /bin/cat /data/secret"), opened),
  refusal(
    "O22 reading through another namespace's root",
    besideChild("cat /proc/$p/root/data/secret"),
    refused("FILE_OPEN"),
  ),
];

/** What a task took along when it left its mount namespace has the names that it had there. */
const takenAlong: Act[] = [
  refusal(
    "O22 a ruled file by the old namespace's root",
    "unshare -m /bin/cat /proc/1/root/data/secret",
    opened,
  ),
  refusal(
    "O22 a ruled file below a directory opened before",
    "exec 5</data; unshare -m /bin/cat /proc/self/fd/5/secret",
    opened,
  ),
  refusal(
    "O22 the same in an own user namespace",
    "exec 5</data; unshare -Urm /bin/cat /proc/self/fd/5/secret",
    opened,
    asNobody,
  ),
  refusal(
    "O22 writing a ruled file of the old namespace",
    "exec 5</data; unshare -m /bin/sh -c 'echo content >/proc/self/fd/5/secret'",
    opened,
  ),
];

const aliases: Act[] = [
  refusal("O6 a bind mount", `${own} bind /data /mnt/m /mnt/m/secret`, mountOnM),
  refusal(
    "O6 a bind mount of a file",
    `touch /mnt/f; ${own} bind /data/secret /mnt/f /mnt/f`,
    refused("SB_MOUNT", "/mnt/f"),
  ),
  refusal(
    "O6 a bind mount with a flag of propagation",
    `${own} bind-shared /data /mnt/m /mnt/m/secret`,
    mountOnM,
    {
      control: { in: "free", run: "cat /data/secret", expect: /content/ },
    },
  ),
  refusal("O20 a recursive bind mount of /", `${own} bind / /mnt/m /mnt/m/data/secret`, mountOnM),
  refusal("O20 moving a mount", `${own} move /vol /mnt/m /mnt/m/key`, mountOnM),
  refusal("O20 pivot_root", `${own} pivot /mnt/m /old/data/secret`, refused("SB_PIVOTROOT")),
  refusal(
    "O20 open_tree and move_mount",
    `${own} tree-attached /data /mnt/m /mnt/m/secret`,
    refused("MOVE_MOUNT", "/mnt/m"),
  ),
  refusal(
    "O20 open_tree, an id mapping and move_mount",
    `${own} tree-mapped /vol /mnt/m /mnt/m/key`,
    refused("MOVE_MOUNT", "/mnt/m"),
  ),
  refusal(
    "O22 reading below open_tree's descriptor",
    `${own} tree-descriptor /data secret`,
    refused("FILE_OPEN"),
  ),
  refusal(
    "O22 open_tree's mount as root",
    `${own} tree-as-root /data /secret`,
    refused("FILE_OPEN"),
  ),
  refusal(
    "O22 reading below a mount after umount -l",
    `${own} lazy /spare key`,
    refused("FILE_OPEN"),
  ),
  refusal("O20 reading after chroot", "/files/mounts chroot /data /secret", opened),
  refusal(
    "O20 reading after leaving a chroot",
    "/files/mounts leave-chroot /mnt /data/secret",
    opened,
  ),
  refusal(
    "O7 a mount over a ruled directory",
    `${own} fresh tmpfs /vol/d`,
    refused("SB_MOUNT", "/vol/d"),
  ),
  refusal(
    "O7 a mount over a directory above",
    `${own} fresh tmpfs /data`,
    refused("SB_MOUNT", "/data"),
  ),
  refusal(
    "O7 unmounting what has ruled files in it",
    "unshare -m /bin/umount /vol",
    refused("SB_UMOUNT", "/vol"),
  ),
  refusal("O7 unmounting it lazily", `${own} lazy /vol key`, refused("SB_UMOUNT", "/vol")),
  refusal("O7 a mount over / itself", `${own} fresh tmpfs /`, refused("SB_MOUNT", "/")),
  refusal(
    "O7 a mount over a directory above, by move_mount",
    `${own} fresh-attached tmpfs /data`,
    refused("MOVE_MOUNT", "/data"),
  ),
  refusal(
    "O25 the same file in another mount of proc",
    `${own} fresh proc /mnt/m /mnt/m/sys/kernel/ostype`,
    refused("SB_KERN_MOUNT"),
  ),
  refusal(
    "O25 the same file in another mount of sysfs",
    `${own} fresh sysfs /mnt/m /mnt/m/kernel/fscaps`,
    refused("SB_KERN_MOUNT"),
  ),
  refusal(
    "O25 the same file in sysfs of an own network namespace",
    "unshare -mn /files/mounts fresh sysfs /mnt/m /mnt/m/kernel/fscaps",
    refused("SB_KERN_MOUNT"),
  ),
];

const corePattern = "/proc/sys/kernel/core_pattern";
aliases.push(refusal(
  "O24 having the kernel run a helper for core dumps",
  `p=$(cat ${corePattern}) && echo "$p" >${corePattern}`,
  refused("FILE_OPEN", corePattern),
));

const stacking = refused("SB_KERN_MOUNT");
const overlays: Act[] = [
  refusal(
    "O16 an own overlay",
    `${own} overlay lowerdir=/data:/mnt/e /mnt/m /mnt/m/secret`,
    stacking,
  ),
  refusal(
    "O16 an own overlay over /",
    `${own} overlay lowerdir=/:/vol/w /mnt/m /mnt/m/data/secret`,
    stacking,
  ),
  refusal(
    "O16 an own overlay over a volume",
    `${own} overlay lowerdir=/vol:/mnt/e /mnt/m /mnt/m/key`,
    stacking,
  ),
  refusal(
    "O16 an own overlay by fsmount, its descriptor",
    `${own} overlay-descriptor /data:/mnt/e secret`,
    stacking,
  ),
  refusal(
    "O16 an own overlay by fsmount and move_mount",
    `${own} overlay-attached /data:/mnt/e /mnt/m /mnt/m/secret`,
    stacking,
  ),
  refusal(
    "O17 running through an own overlay",
    "unshare -m /bin/sh -c '/files/mounts overlay lowerdir=/bin:/mnt/e /mnt/m /mnt/m/true >/dev/null && " +
      "echo content | /mnt/m/tac'",
    stacking,
  ),
];

const descriptors: Act[] = [
  ...["web", "free"].map((container): Act => ({
    claim: `O21 a handle of ${container}'s layer is at hand`,
    in: "host",
    run: `pid=$(ctr task ls | awk '$1 == "${container}" { print $2 }'); ` +
      "upper=$(sed -n 's/.*upperdir=\\([^,]*\\).*/\\1/p' /proc/$pid/mountinfo | head -n 1); " +
      `/job/files/mounts save-handle $upper/data/secret /job/files/${container}.handle`,
    expect: "ok",
  })),
  refusal(
    "O21 open_by_handle_at by a neighbour mount",
    "/files/mounts handle /near /files/web.handle",
    refused("FILE_OPEN"),
    {
      control: {
        in: "free",
        run: "/files/mounts handle /near /files/free.handle",
        expect: /content/,
      },
    },
  ),
  refusal(
    "O21 an attribute by handle and io_uring, whose worker has other credentials than the task,",
    "/files/mounts handle-run /near /files/web.handle /files/open uring-attribute /proc/self/fd/9",
    refused("FILE_SETXATTR"),
    {
      control: {
        in: "free",
        run:
          "/files/mounts handle-run /near /files/free.handle /files/open uring-attribute /proc/self/fd/9",
      },
    },
  ),
  refusal(
    "O18 a fanotify mark of a file system",
    "/files/mounts fanotify /near /data secret",
    refused("PATH_NOTIFY"),
  ),
  refusal(
    "O19 an io_uring personality",
    "/files/open uring-personality /data/secret",
    refused("URING_OVERRIDE_CREDS"),
  ),
];

const unprivileged: Act[] = [
  refusal(
    "O6 a bind mount in an own user namespace",
    `${ownUser} bind /data /mnt/m /mnt/m/secret`,
    mountOnM,
    asNobody,
  ),
  refusal(
    "O20 a recursive bind mount of / in an own user namespace",
    `${ownUser} bind / /mnt/m /mnt/m/data/secret`,
    mountOnM,
    asNobody,
  ),
  refusal(
    "O20 open_tree and move_mount in an own user namespace",
    `${ownUser} tree-attached /data /mnt/m /mnt/m/secret`,
    refused("MOVE_MOUNT", "/mnt/m"),
    asNobody,
  ),
  refusal(
    "O22 open_tree's descriptor in an own user namespace",
    `${ownUser} tree-descriptor /data secret`,
    refused("FILE_OPEN"),
    asNobody,
  ),
  refusal(
    "O20 pivot_root in an own user namespace",
    `${ownUser} pivot /mnt/m /old/data/secret`,
    refused("SB_PIVOTROOT"),
    asNobody,
  ),
  refusal(
    "O16 an own overlay in an own user namespace",
    `${ownUser} overlay lowerdir=/data:/mnt/e /mnt/m /mnt/m/secret`,
    stacking,
    asNobody,
  ),
  refusal(
    "O16 fsmount's overlay in an own user namespace",
    `${ownUser} overlay-attached /data:/mnt/e /mnt/m /mnt/m/secret`,
    stacking,
    asNobody,
  ),
  refusal(
    "O7 a mount over a ruled directory in an own user namespace",
    `${ownUser} fresh tmpfs /data`,
    refused("SB_MOUNT", "/data"),
    asNobody,
  ),
  refusal(
    "O19 an io_uring personality in an own user namespace",
    "unshare -Ur /files/open uring-personality /data/secret",
    refused("URING_OVERRIDE_CREDS"),
    {
      ...asNobody,
      control: { in: "web", run: "/files/open uring /data/public", expect: /content/ },
    },
  ),
];

/** What rules on other files must leave alone; no alert is expected of any of it. */
const undisturbed: [claim: string, run: string, user?: number][] = [
  ["a tmpfs is mounted elsewhere", `${own} fresh tmpfs /mnt/m`],
  ["a tmpfs is mounted elsewhere by move_mount", `${own} fresh-attached tmpfs /mnt/m`],
  ["a tmpfs is mounted in an own user namespace", `${ownUser} fresh tmpfs /mnt/m`, NOBODY],
  ["a file system is mounted read-only again", "unshare -m /bin/mount -o remount,ro /vol"],
  ["umount", "unshare -m /bin/umount /spare"],
  ["O22 a program that left its mount namespace opens itself", "unshare -m cat /data/public"],
  ["O22 and what is beside it there", "unshare -m /bin/cat /proc/1/root/data/public"],
  ["propagation is changed", "unshare -m /bin/mount --make-rshared /"],
  ["what no rule names is read after chroot", "/files/mounts chroot /data /public"],
];

/** The only mount of its file system, cloned and unmounted, looks like a new one. Last: /spare is gone afterwards. */
const onlyMount = refusal(
  "O20 open_tree and move_mount of a file system's only mount",
  "/files/mounts tree-alone /spare /mnt/m /mnt/m/key",
  refused("MOVE_MOUNT", "/mnt/m"),
);

const near =
  "type=bind,src=/var/lib/containerd/io.containerd.content.v1.content,dst=/near,options=rbind:rw";
const container = { prepare, privileged: true, options: ["--mount", near] };

scenario({
  name: "evasion by mounts",
  policies: { "keep.yaml": policy },
  containers: { web: container, free: container },
  files: await Promise.all(["open", "mounts"].map(compileTool)),
  acts: [
    ...namespaces,
    ...takenAlong,
    ...aliases,
    ...overlays,
    ...descriptors,
    ...unprivileged,
    ...undisturbed.map(([claim, run, user]): Act => ({
      claim: `work: ${claim}`,
      in: "web",
      run,
      expect: "ok",
      ...user === undefined ? {} : { user },
    })),
    onlyMount,
    {
      claim: "P2 the kernel left no program out that nothing makes up for",
      in: "host",
      run: `ask /v1/status | grep -o '"recursion_misses":[0-9]*'`,
      expect: /:0$/m,
    },
  ],
});
