import assert from "node:assert/strict";
import { functionsInC, functionsInTypeScript } from "./lengths.ts";

Deno.test("functionsInTypeScript() finds functions, methods and named arrows", () => {
  const text = `export async function first<T>(
  one: number,
): Promise<T> {
  if (one > 0) {
    return two();
  }
}

class Box {
  constructor(readonly a: number) {
    this.b = a;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    for (const x of y) {
      yield x;
    }
  }

  #secret(
    a: string,
  ): void {
    call(a, () => {
      a;
    });
  }
}

const arrow = (x: number) => {
  return x;
};

Deno.test("not a function of its own", () => {
  x;
});
`;
  const found = functionsInTypeScript(text).map(({ name, line, lines }) => [name, line, lines]);
  assert.deepEqual(found, [
    ["first", 1, 7],
    ["constructor", 10, 3],
    ["[Symbol.asyncIterator]", 14, 5],
    ["#secret", 20, 7],
    ["arrow", 29, 3],
  ]);
});

Deno.test("functionsInC() finds functions, also over a macro and on several lines", () => {
  const text = `static int first(int a,
		 int b)
{
	if (a) {
		return b;
	}
	return 0;
}

struct not_a_function {
	int a;
};

SEC("lsm/file_open")
int BPF_PROG(second, struct file *file)
{
	return 0;
}
`;
  const found = functionsInC(text).map(({ line, lines }) => [line, lines]);
  assert.deepEqual(found, [[1, 8], [15, 4]]);
});
