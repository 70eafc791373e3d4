import assert from "node:assert/strict";
import { repositoryDir, writeIfStale } from "./stale.ts";

const encode = (text: string) => Promise.resolve(new TextEncoder().encode(text));

async function withTarget(test: (target: string, input: string) => Promise<void>): Promise<void> {
  await Deno.mkdir(`${repositoryDir}.output`, { recursive: true });
  const dir = await Deno.makeTempDir({ dir: `${repositoryDir}.output`, prefix: "stale-" });
  try {
    const relative = dir.slice(repositoryDir.length);
    await Deno.writeTextFile(`${dir}/input`, "1");
    await test(`${relative}/target`, `${relative}/input`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("writeIfStale() makes what is missing, and again only when an input changed", async () => {
  await withTarget(async (target, input) => {
    const build = (text: string) =>
      writeIfStale(target, { files: [input], texts: [text] }, () => encode(text));
    assert.equal(await build("a"), true);
    assert.equal(await build("a"), false);
    assert.equal(await build("b"), true);
    assert.equal(await Deno.readTextFile(repositoryDir + target), "b");
    await Deno.writeTextFile(repositoryDir + input, "2");
    assert.equal(await build("b"), true);
    await Deno.remove(repositoryDir + target);
    assert.equal(await build("b"), true);
  });
});

Deno.test("writeIfStale() leaves the old product when making the new one fails", async () => {
  await withTarget(async (target) => {
    await writeIfStale(target, { texts: ["old"] }, () => encode("old"));
    const fail = () => Promise.reject(new Error("compiler says no"));
    await assert.rejects(writeIfStale(target, { texts: ["new"] }, fail), /compiler says no/);
    assert.equal(await Deno.readTextFile(repositoryDir + target), "old");
    assert.equal(await writeIfStale(target, { texts: ["new"] }, () => encode("new")), true);
  });
});

Deno.test("writeIfStale() makes a product once for all who want it at the same time", async () => {
  await withTarget(async (target) => {
    let made = 0;
    const build = () => {
      made++;
      return encode("product");
    };
    const wanting = Array.from({ length: 4 }, () => writeIfStale(target, {}, build));
    assert.deepEqual((await Promise.all(wanting)).filter((did) => did).length, 1);
    assert.equal(made, 1);
  });
});
