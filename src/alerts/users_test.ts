import assert from "node:assert/strict";
import { Users } from "./users.ts";

Deno.test("Users.nameOf() gives the first name of an id, and none to ids that have none", () => {
  const passwd =
    "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/false\n\nbad\n:x:7:";
  const users = new Users(() => passwd, () => 0);
  assert.deepEqual([0, 33, 7, 1000].map((uid) => users.nameOf(uid)), ["root", "web", "", ""]);
});

Deno.test("Users.nameOf() reads again for a name that was missing, but not each time", () => {
  let [passwd, nowMs, reads] = ["", 0, 0];
  const users = new Users(() => (reads++, passwd), () => nowMs);
  assert.equal(users.nameOf(5), "");
  passwd = "new:x:5:5::/:/bin/sh";
  assert.equal(users.nameOf(5), "");
  assert.equal(reads, 1);
  nowMs = 10_000;
  assert.equal(users.nameOf(5), "new");
  assert.equal(users.nameOf(5), "new");
  assert.equal(reads, 2);
});

Deno.test("Users.nameOf() has no names where there is no file", () => {
  assert.equal(new Users(() => undefined, () => 0).nameOf(0), "");
});
