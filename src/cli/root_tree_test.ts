import assert from "node:assert/strict";
import { elfFile } from "./elf_samples.ts";
import { RootTree } from "./root_tree.ts";

/** Links as texts that begin with "-> ". */
const TREE: Record<string, string | Uint8Array> = {
  "usr/bin/dash": elfFile({
    interpreter: "/lib64/ld.so",
    needed: ["libc.so.6", "libown.so"],
    runpath: "$ORIGIN/../own",
  }),
  "usr/bin/sh": "-> dash",
  "usr/bin/static": elfFile({}),
  "usr/bin/lost": elfFile({ interpreter: "/lib64/gone.so" }),
  "bin": "-> usr/bin",
  "lib": "-> /usr/lib",
  "lib64": "-> usr/lib64",
  "usr/lib64/ld.so": elfFile({}),
  "usr/lib/x86_64-linux-gnu/libc.so.6": elfFile({ needed: ["libdeep.so"] }),
  "usr/lib/x86_64-linux-gnu/libdeep.so": elfFile({}),
  "usr/own/libown.so": elfFile({ needed: ["libc.so.6"] }),
  "entry.sh": "#! /bin/sh -e\n",
  "lost.sh": "#!/bin/none\n",
  "loop.sh": "#!/loop.sh\n",
  "round": "-> round",
  "out": "-> ../../../../../../etc",
  "etc/hosts": "",
};

async function withTree(use: (tree: RootTree) => void) {
  const root = await Deno.makeTempDir({ prefix: "ankylo-root-" });
  try {
    for (const [name, content] of Object.entries(TREE)) {
      const path = `${root}/${name}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      if (content instanceof Uint8Array) await Deno.writeFile(path, content);
      else if (content.startsWith("-> ")) await Deno.symlink(content.slice(3), path);
      else await Deno.writeTextFile(path, content);
    }
    use(new RootTree(root));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const PATHS: [path: string, real: string | undefined, kind?: string][] = [
  ["/etc/hosts", "/etc/hosts", "file"],
  ["/bin/sh", "/usr/bin/dash", "file"],
  ["/bin/gone", "/usr/bin/gone", "missing"],
  ["/gone/away", "/gone/away", "missing"],
  ["/bin", "/usr/bin", "directory"],
  ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "directory"],
  ["/out/hosts", "/etc/hosts", "file"],
  ["/etc/hosts/x", "/etc/hosts/x", "missing"],
  ["/", "/", "directory"],
  ["/round/x", undefined],
];

Deno.test("RootTree.resolve() follows links as a container's kernel does", async () => {
  await withTree((tree) => {
    for (const [path, real, kind] of PATHS) {
      assert.deepEqual(tree.resolve(path), real && { path: real, kind }, path);
    }
  });
});

Deno.test("RootTree.entrypoint() finds interpreter, loader and libraries", async () => {
  await withTree((tree) => {
    const { programs, libraries } = tree.entrypoint("/entry.sh");
    assert.deepEqual(programs, ["/entry.sh", "/usr/bin/dash"]);
    assert.deepEqual(libraries, [
      "/usr/lib64/ld.so",
      "/usr/lib/x86_64-linux-gnu/libc.so.6",
      "/usr/own/libown.so",
      "/usr/lib/x86_64-linux-gnu/libdeep.so",
    ]);
    assert.deepEqual(tree.entrypoint("/bin/static"), {
      programs: ["/usr/bin/static"],
      libraries: [],
    });
  });
});

Deno.test("RootTree.resolve() does not know what it may not look at", async () => {
  await withTree((tree) => {
    withForbidden("/etc/", () => {
      assert.equal(tree.resolve("/etc/hosts"), undefined);
      assert.equal(tree.resolve("/out/hosts"), undefined);
      assert.throws(() => tree.entrypoint("/etc/hosts"), Deno.errors.PermissionDenied);
      assert.deepEqual(tree.resolve("/bin"), { path: "/usr/bin", kind: "directory" });
    });
    assert.equal(tree.resolve(`/${"a".repeat(300)}`), undefined);
  });
});

/** Whoever runs the tests may look at everything: here not at places with `part` in their path. */
function withForbidden(part: string, use: () => void): void {
  const real = Deno.lstatSync;
  Deno.lstatSync = (place) => {
    if (String(place).includes(part)) throw new Deno.errors.PermissionDenied("lstat");
    return real(place);
  };
  try {
    use();
  } finally {
    Deno.lstatSync = real;
  }
}

const BAD: [path: string, message: RegExp][] = [
  ["/gone", /found no entrypoint "\/gone" in ".*": nothing is there/],
  ["/etc", /found no entrypoint "\/etc" in ".*": it is a directory/],
  ["/lost.sh", /found no interpreter "\/bin\/none"/],
  ["/bin/lost", /found no dynamic loader "\/lib64\/gone\.so"/],
  ["/loop.sh", /"\/loop\.sh" has too many interpreters/],
];

Deno.test("RootTree.entrypoint() says what is not there", async () => {
  await withTree((tree) => {
    for (const [path, message] of BAD) assert.throws(() => tree.entrypoint(path), message);
  });
});

Deno.test("RootTree refuses what is no folder", () => {
  assert.throws(() => new RootTree("/etc/hosts"), /is no folder/);
  assert.throws(() => new RootTree("/nonexistent"), Deno.errors.NotFound);
});
