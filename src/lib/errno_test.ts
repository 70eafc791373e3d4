import assert from "node:assert/strict";
import { EACCES, errnoName } from "./errno.ts";

Deno.test("errnoName() names numbers of either sign and shows those that it does not know", () => {
  assert.equal(errnoName(EACCES), "EACCES");
  assert.equal(errnoName(-2), "ENOENT");
  assert.equal(errnoName(-4095), "errno 4095");
});
