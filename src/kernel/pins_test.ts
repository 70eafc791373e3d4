import assert from "node:assert/strict";
import { openShim } from "../../ffi/bpf.ts";
import { KernelFiles } from "../../ffi/procfs.ts";
import { InstallationPins } from "./pins.ts";

/** KernelFiles that write down what is removed. */
class Recorder extends KernelFiles {
  readonly removed: string[] = [];

  override remove(path: string): void {
    this.removed.push(path.slice(path.lastIndexOf("/") + 1));
    super.remove(path);
  }

  override removeLinks(links: readonly string[]): void {
    for (const path of links) this.remove(path);
  }
}

/** Pins as plain files: a directory is all that InstallationPins asks for. */
async function withPins(
  use: (pins: InstallationPins, files: Recorder, dir: string) => Promise<void>,
) {
  using shim = openShim();
  const dir = await Deno.makeTempDir();
  const files = new Recorder(shim);
  const pins = new InstallationPins(files, dir, 3);
  pins.make();
  try {
    await use(pins, files, `${dir}/v3`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("InstallationPins.remove() takes deciding programs out first and slots last", async () => {
  await withPins(async (pins, files, dir) => {
    for (
      const name of [
        "hook_identity_attach",
        "hook_path_link",
        "hook_monitor_exec",
        "hook_file_open",
      ]
    ) {
      await Deno.writeTextFile(pins.path("links", name), "");
    }
    await Deno.writeTextFile(pins.path("maps", "slot_file_open"), "");
    await Deno.writeTextFile(pins.path("programs", "identity_iterate"), "");
    const told = pins.remove();
    assert.deepEqual(files.removed, [
      "hook_file_open",
      "hook_path_link",
      "hook_identity_attach",
      "hook_monitor_exec",
      "identity_iterate",
      "slot_file_open",
    ]);
    assert.equal(told.at(-1), "1 programs, 1 maps");
    await assert.rejects(Deno.stat(dir), Deno.errors.NotFound);
  });
});

Deno.test("InstallationPins.remove() takes an installation that was never finished", async () => {
  await withPins(async (pins, _files, dir) => {
    await Deno.remove(`${dir}/maps`);
    assert.deepEqual(pins.links(), []);
    assert.equal(pins.has("maps", "settings_ro"), false);
    pins.remove();
    await assert.rejects(Deno.stat(dir), Deno.errors.NotFound);
  });
});
