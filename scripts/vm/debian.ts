/**
 * Debian packages for another suite than the machine's own, through an apt that has its own lists and an empty
 * package database: nothing is installed on the machine, and nothing of the machine decides what is resolved.
 */

import { capture, run } from "./command.ts";
import { cacheDir } from "./store.ts";

/** Lists older than this are fetched again; a mirror forgets a version soon after it has a newer one. */
const LISTS_AGE_MAX_MS = 12 * 3_600_000;

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** An apt for some suites. */
export class Apt {
  readonly #dir: string;
  readonly #options: readonly string[];

  private constructor(dir: string) {
    this.#dir = dir;
    this.#options = [
      `Dir::Etc::SourceList=${dir}/sources.list`,
      "Dir::Etc::SourceParts=/dev/null",
      "Dir::Etc::Preferences=/dev/null",
      "Dir::Etc::PreferencesParts=/dev/null",
      `Dir::State=${dir}`,
      `Dir::State::Lists=${dir}/lists`,
      "Dir::State::status=/dev/null",
      `Dir::Cache=${dir}`,
      `Dir::Cache::archives=${dir}/archives`,
      "APT::Install-Recommends=0",
      "APT::Sandbox::User=root",
      "Acquire::Languages=none",
      "Debug::NoLocking=1",
    ].flatMap((option) => ["-o", option]);
  }

  /**
   * Opens the apt of some suites, fetching their lists when they are older than half a day.
   *
   * @param suites names such as "bookworm", "bookworm-security"
   * @throws {Error} when the machine has no Debian archive to ask
   */
  static async open(suites: readonly string[]): Promise<Apt> {
    const dir = `${cacheDir()}/apt/${suites.join("+")}`;
    for (const sub of ["lists/partial", "archives/partial", "nothing/partial"]) {
      await Deno.mkdir(`${dir}/${sub}`, { recursive: true });
    }
    const apt = new Apt(dir);
    // Two processes that update the same lists would spoil each other's.
    using lock = await Deno.open(`${dir}/lock`, { create: true, write: true });
    await lock.lock(true);
    await apt.#writeSources(suites);
    await apt.#update();
    return apt;
  }

  /** Resolves packages with all they depend on. Returns the .deb file names, in apt's order. */
  async resolve(packages: readonly string[]): Promise<string[]> {
    // apt leaves out what its archive directory holds already, so it is shown an empty one.
    const archives = ["-o", `Dir::Cache::archives=${this.#dir}/nothing`];
    const argv = [...this.#get(), ...archives, "-y", "-q", "--print-uris", "install", ...packages];
    const lines = (await capture(argv)).split("\n").filter((line) => line.startsWith("'"));
    return lines.map((line) => line.split(" ")[1] ?? "");
  }

  /** Downloads packages with all they depend on. Returns the paths of the .deb files. */
  async download(packages: readonly string[]): Promise<string[]> {
    const names = await this.resolve(packages);
    await run([...this.#get(), "-y", "-q", "--download-only", "install", ...packages]);
    return names.map((name) => `${this.#dir}/archives/${name}`);
  }

  /** Downloads exactly the packages named, into `dir`. Returns the paths of the .deb files. */
  async downloadOnly(packages: readonly string[], dir: string): Promise<string[]> {
    await run([...this.#get(), "-q", "download", ...packages], { cwd: dir });
    const files = await Array.fromAsync(Deno.readDir(dir));
    return files.filter((file) => file.name.endsWith(".deb")).map((file) => `${dir}/${file.name}`);
  }

  /** Packages by a name in which `*` stands for a version, highest first; a name without it is returned as it is. */
  async matching(pattern: string): Promise<string[]> {
    const [prefix, suffix] = pattern.split("*");
    if (suffix === undefined) return [pattern];
    const names = (await capture(["apt-cache", ...this.#options, "pkgnames", prefix!])).split("\n");
    const byVersion = new Intl.Collator("en", { numeric: true }).compare;
    return names.filter((name) => name.endsWith(suffix)).sort(byVersion).reverse();
  }

  /** The newest version's direct dependencies: package names only. Undefined when there is no such package. */
  async dependencies(packageName: string): Promise<string[] | undefined> {
    const shown = await capture(["apt-cache", ...this.#options, "show", packageName], {
      anyStatus: true,
    });
    if (shown === "") return undefined;
    const depends = /^Depends: (.*)$/m.exec(shown)?.[1] ?? "";
    return depends.split(",").map((item) => item.trim().split(" ")[0] ?? "").filter(Boolean);
  }

  /** Frees the space of downloaded packages: unpacking again costs less than keeping them. */
  async clean(): Promise<void> {
    await run([...this.#get(), "clean"]);
  }

  #get(): string[] {
    return ["apt-get", ...this.#options];
  }

  async #writeSources(suites: readonly string[]): Promise<void> {
    const mirrors = await machineMirrors();
    const lines = suites.map((suite) => {
      const mirror = suite.endsWith("-security") ? mirrors.security : mirrors.main;
      return `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`;
    });
    await Deno.writeTextFile(`${this.#dir}/sources.list`, lines.join(""));
  }

  async #update(): Promise<void> {
    const stamp = `${this.#dir}/updated`;
    const updated = await Deno.stat(stamp).then((info) => info.mtime?.getTime() ?? 0, () => 0);
    if (Date.now() - updated < LISTS_AGE_MAX_MS) return;
    await run([...this.#get(), "-q", "update"]);
    await Deno.writeTextFile(stamp, "");
  }
}

/** The archives this machine itself uses: the one place that knows a mirror. */
async function machineMirrors(): Promise<{ main: string; security: string }> {
  const release = await Deno.readTextFile("/etc/os-release");
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(release)?.[1] ?? "";
  const format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
  const targets = await capture(["apt-get", "indextargets", "--format", format]);
  const uriOf = (wanted: string): string | undefined =>
    targets.split("\n").map((line) => line.split(" "))
      .find(([, suite, component]) => suite === wanted && component === "main")?.[0];
  const main = uriOf(codename);
  const security = uriOf(`${codename}-security`);
  if (!/^ID=debian$/m.test(release) || main === undefined || security === undefined) {
    throw new Error(
      "Find a Debian archive: apt's sources name no Debian suite with its security updates: " +
        "the VM harness takes kernels and the root image from Debian packages",
    );
  }
  return { main, security };
}

/** Unpacks a .deb file into a directory, leaving out what no VM reads. */
export async function unpack(deb: string, dir: string): Promise<void> {
  const script = 'set -o pipefail; dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" "${@:3}"';
  const excluded = ["man", "doc", "locale", "i18n", "lintian", "bug", "info"];
  const excludes = excluded.map((name) => `--exclude=./usr/share/${name}`);
  const options = ["--keep-directory-symlink", "--no-same-owner", ...excludes];
  await run(["bash", "-c", script, "unpack", deb, dir, ...options]);
}

/** Packs a directory as a squashfs image, so that equal content gives equal bytes. */
export async function packSquashfs(dir: string, target: string): Promise<void> {
  const times = ["-all-time", "0", "-mkfs-time", "0"];
  const options = ["-comp", "lz4", "-all-root", "-noappend", "-quiet", "-no-progress", ...times];
  await run(["mksquashfs", dir, target, ...options]);
}
