/** The VM's root file system: Debian packages, unpacked without running their scripts, as one squashfs file. */

import { run } from "./command.ts";
import { writeBusyboxImage } from "./container_image.ts";
import { Apt, packSquashfs, unpack } from "./debian.ts";
import { step } from "./progress.ts";
import { cached, digestOf, ownText } from "./store.ts";

const SUITES = ["bookworm", "bookworm-security"];

const PACKAGES = [
  // What Debian marks essential, as far as the VM uses it.
  ...["base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "grep", "gzip"],
  ...["hostname", "libc-bin", "mawk", "mount", "netbase", "sed", "tar", "util-linux"],
  // What containers need.
  ...["containerd", "crun", "runc", "iptables"],
  // What jobs use.
  ...["apparmor", "bpftool", "busybox-static", "ca-certificates", "curl", "iproute2", "kmod"],
  ...["libcap2-bin", "procps", "socat", "strace"],
];

const DIRECTORIES = ["dev", "etc/ankylo", "etc/ssl/certs", "home", "job", "mnt", "opt", "proc"]
  .concat(["root", "run", "srv", "sys", "tmp", "usr/local/bin", "usr/share/vm", "var/log"])
  .concat(["var/cache/ankylo", "var/lib/containerd", "var/tmp"]);

/** Links that maintainer scripts would have made. */
const LINKS = { "usr/bin/sh": "dash", "usr/bin/awk": "mawk", "usr/sbin/iptables": "iptables-nft" };

/** A root image in the cache. */
export interface RootImage {
  /** The squashfs file. */
  path: string;
  /** Digest of the file. */
  digest: string;
}

/** Returns the root image, building it when the cache has none. */
export async function prepareRootImage(): Promise<RootImage> {
  const sources = ["root_image.ts", "container_image.ts", "guest/init.sh"];
  const inputs = await Promise.all(sources.map(ownText));
  const dir = await cached(
    "root",
    inputs,
    (dir) => step("make the VM's root image from Debian packages", () => build(dir)),
  );
  return { path: `${dir}/root.sqfs`, digest: await Deno.readTextFile(`${dir}/digest`) };
}

async function build(dir: string): Promise<void> {
  const root = `${dir}/root`;
  await makeMergedUsr(root);
  const apt = await Apt.open(SUITES);
  for (const deb of await apt.download(PACKAGES)) await unpack(deb, root);
  await apt.clean();
  await configure(root);
  await writeBusyboxImage(root, `${root}/usr/share/vm/busybox.tar`);
  await packSquashfs(root, `${dir}/root.sqfs`);
  await Deno.writeTextFile(`${dir}/digest`, await digestOf([`${dir}/root.sqfs`]));
  await Deno.remove(root, { recursive: true });
}

/** Debian's packages still name /bin and /lib; as links made beforehand they lead to /usr. */
async function makeMergedUsr(root: string): Promise<void> {
  for (const name of ["bin", "sbin", "lib", "lib64"]) {
    await Deno.mkdir(`${root}/usr/${name}`, { recursive: true });
    await Deno.symlink(`usr/${name}`, `${root}/${name}`);
  }
}

/** Does what the packages' own scripts would have done, as far as the VM depends on it. */
async function configure(root: string): Promise<void> {
  for (const name of DIRECTORIES) await Deno.mkdir(`${root}/${name}`, { recursive: true });
  for (const name of ["tmp", "var/tmp"]) await Deno.chmod(`${root}/${name}`, 0o1777);
  for (const [path, target] of Object.entries(LINKS)) {
    // Only some packages bring it; what can't be removed makes the link fail, which is told.
    await Deno.remove(`${root}/${path}`).catch(() => {});
    await Deno.symlink(target, `${root}/${path}`);
  }
  for (const name of ["passwd", "group"]) {
    await Deno.copyFile(`${root}/usr/share/base-passwd/${name}.master`, `${root}/etc/${name}`);
  }
  await writeConfiguration(root);
  await run(["ldconfig", "-r", root]);
  // ldconfig's cache of inode numbers and times would make every build differ.
  await Deno.remove(`${root}/var/cache/ldconfig`, { recursive: true });
}

async function writeConfiguration(root: string): Promise<void> {
  const certificates = await Array.fromAsync(
    Deno.readDir(`${root}/usr/share/ca-certificates/mozilla`),
  );
  const bundle = certificates.map((file) => file.name).sort().map((name) =>
    Deno.readTextFileSync(`${root}/usr/share/ca-certificates/mozilla/${name}`)
  ).join("");
  await Deno.writeTextFile(`${root}/etc/ssl/certs/ca-certificates.crt`, bundle);
  await Deno.writeTextFile(`${root}/etc/hostname`, "vm\n");
  await Deno.writeTextFile(`${root}/etc/hosts`, "127.0.0.1 localhost vm\n");
  // containerd refuses to make a pod without this file.
  await Deno.writeTextFile(`${root}/etc/resolv.conf`, "");
  // The empty file is what the agent's binary is mounted on.
  await Deno.writeTextFile(`${root}/usr/local/bin/ankylo`, "", { mode: 0o755 });
  const init = await ownText("guest/init.sh");
  await Deno.writeTextFile(`${root}/usr/sbin/vm-init`, init, { mode: 0o755 });
}
