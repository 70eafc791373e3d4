/** The busybox container image of the VM, made from the root image's own files, so that nothing is pulled. */

import { createHash } from "node:crypto";
import { capture, run } from "./command.ts";

/** What containerd calls the image. */
export const BUSYBOX_IMAGE = "docker.io/library/busybox:latest";

/** Empty directories that programs expect. */
const DIRECTORIES = ["bin", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run", "sys"]
  .concat(["tmp", "usr/bin", "usr/sbin", "var/tmp", "var/run", "var/log"]);

const FILES: Record<string, string> = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
  "etc/group": "root:x:0:\nnogroup:x:65534:\n",
  "etc/shadow": "root:*::0:::::\n",
};

/** A dynamically linked program with its loader, at the paths its ELF header names: for tests of the loader. */
const DYNAMIC = {
  "bin/cat-dyn": "usr/bin/cat",
  "lib64/ld-linux-x86-64.so.2": "usr/lib64/ld-linux-x86-64.so.2",
  "lib/x86_64-linux-gnu/libc.so.6": "usr/lib/x86_64-linux-gnu/libc.so.6",
};

/**
 * Writes the image as an OCI layout in a tar file.
 *
 * @param root an unpacked Debian root with busybox-static and coreutils
 * @param target path of the tar file to write
 */
export async function writeBusyboxImage(root: string, target: string): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "ankylo-image-" });
  try {
    await Deno.mkdir(`${work}/rootfs`);
    await fillRootfs(root, `${work}/rootfs`);
    await pack(`${work}/rootfs`, `${work}/layer.tar`);
    await Deno.mkdir(`${work}/layout/blobs/sha256`, { recursive: true });
    await writeLayout(`${work}/layout`, await Deno.readFile(`${work}/layer.tar`));
    await pack(`${work}/layout`, target);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function fillRootfs(root: string, rootfs: string): Promise<void> {
  for (const dir of DIRECTORIES) await Deno.mkdir(`${rootfs}/${dir}`, { recursive: true });
  for (const dir of ["tmp", "var/tmp"]) await Deno.chmod(`${rootfs}/${dir}`, 0o1777);
  for (const [path, text] of Object.entries(FILES)) {
    await Deno.writeTextFile(`${rootfs}/${path}`, text);
  }
  await Deno.chmod(`${rootfs}/etc/shadow`, 0o600);
  const busybox = `${rootfs}//bin/busybox`;
  await Deno.copyFile(`${root}/usr/bin/busybox`, busybox);
  // Hard links, as in the official image: each applet then has a path of its own for policies to name.
  for (const applet of (await capture([busybox, "--list"])).trim().split("\n")) {
    if (applet !== "busybox") await Deno.link(busybox, `${rootfs}/bin/${applet}`);
  }
  for (const [path, source] of Object.entries(DYNAMIC)) {
    await Deno.mkdir(`${rootfs}/${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    await Deno.copyFile(`${root}/${source}`, `${rootfs}/${path}`);
  }
}

/** Packs a directory so that equal content gives equal bytes. */
async function pack(dir: string, target: string): Promise<void> {
  const options = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
  await run(["tar", ...options, "-C", dir, "-cf", target, "."]);
}

async function writeLayout(layout: string, layer: Uint8Array<ArrayBuffer>): Promise<void> {
  const blob = async (bytes: Uint8Array<ArrayBuffer>, mediaType: string) => {
    const digest = createHash("sha256").update(bytes).digest("hex");
    await Deno.writeFile(`${layout}/blobs/sha256/${digest}`, bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const type = (kind: string) => `application/vnd.oci.image.${kind}`;
  const layerBlob = await blob(layer, type("layer.v1.tar"));
  const config = await blob(json(imageConfig(layerBlob.digest)), type("config.v1+json"));
  const manifest = await blob(
    json({
      schemaVersion: 2,
      mediaType: type("manifest.v1+json"),
      config,
      layers: [layerBlob],
    }),
    type("manifest.v1+json"),
  );
  const annotations = { "io.containerd.image.name": BUSYBOX_IMAGE };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  await Deno.writeFile(`${layout}/index.json`, json(index));
  await Deno.writeFile(`${layout}/oci-layout`, json({ imageLayoutVersion: "1.0.0" }));
}

function imageConfig(layerDigest: string): unknown {
  return {
    architecture: "amd64",
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config: { Cmd: ["/bin/sh"], Env: ["PATH=/bin"] },
    rootfs: { type: "layers", diff_ids: [layerDigest] },
  };
}

function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}
