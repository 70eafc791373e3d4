import assert from "node:assert/strict";
import { Bench, test } from "../../../tests/fakes/containerd_bench.ts";
import { CgroupNews } from "./cgroup_news.ts";

const made = (path: string) => ({ path, id: 1n, gone: false });

Deno.test("CgroupNews is ready once something came, and gives each change once", async () => {
  const news = new CgroupNews();
  news.push(made("/a"));
  news.push(made("/b"));
  assert.equal(await news.ready, "cgroups");
  assert.deepEqual(news.take(), [made("/a"), made("/b")]);
  assert.deepEqual(news.take(), []);
  const ready = news.ready;
  news.push(made("/c"));
  assert.equal(await ready, "cgroups");
});

Deno.test("CgroupNews keeps the latest when nobody reads", () => {
  const news = new CgroupNews();
  for (let i = 0; i < 3_000; i++) news.push(made(`/${i}`));
  const taken = news.take();
  assert.equal(taken.at(-1)!.path, "/2999");
  assert.ok(taken.length < 3_000);
});

for (const order of ["described first", "made first"]) {
  test(`watchContainerd() knows a container before it has a process: cgroup ${order}`, async () => {
    await using bench = await Bench.open();
    const server = await bench.serve();
    bench.watch();
    await bench.expect("Init", "InitDone");
    await server.subscribed();
    const spec = JSON.stringify({ linux: { cgroupsPath: "/default/web" } });
    const make = () => bench.cgroups.push({ path: "/default/web", id: 1_011n, gone: false });
    if (order === "made first") make();
    server.create("default", { id: "web", spec });
    await bench.expect("Namespaces default");
    if (order === "described first") {
      server.create("default", { id: "other" });
      make();
    }
    await bench.expect("Apply default/web pid 0 in /default/web = 1011");
    server.createTask("default", "web", bench.host.run(11, "/default/web"));
    await bench.expect("Apply default/web pid 11 in /default/web = 1011");
  });
}

test("watchContainerd() forgets a container whose cgroup went before it had a process", async () => {
  await using bench = await Bench.open();
  const server = await bench.serve();
  const spec = JSON.stringify({ linux: { cgroupsPath: "/default/web" } });
  server.create("default", { id: "web", spec });
  bench.watch();
  await bench.expect("Init", "Namespaces default", "InitDone");
  await server.subscribed();
  bench.cgroups.push({ path: "/default/web", id: 1_011n, gone: false });
  await bench.expect("Apply default/web pid 0 in /default/web = 1011");
  const gone = bench.expect("Delete default/web");
  bench.cgroups.push({ path: "/default/web", id: 1_011n, gone: true });
  await gone;
});
