/** Keeps which acts that prove fields of policies (proofs.ts) passed in this run, for `gen_policy_reference.ts --record`. */

import { type KernelResults, proofsDir } from "../../scripts/field_table.ts";
import type { KernelSeries } from "../../scripts/vm/kernels.ts";
import { PROOFS } from "./proofs.ts";

/** Of one scenario on one kernel. */
export class ProofLog {
  readonly #name: string;
  readonly #kernel: KernelSeries;
  readonly #wanted: ReadonlySet<string>;
  readonly #passed: string[] = [];

  /** @throws {Error} a claim that proofs.ts names is none of the scenario's */
  constructor(name: string, kernel: KernelSeries, claims: readonly string[]) {
    this.#name = name;
    this.#kernel = kernel;
    this.#wanted = new Set(Object.values(PROOFS[name] ?? {}));
    const unknown = [...this.#wanted].filter((claim) => !claims.includes(claim));
    if (unknown.length === 0) return;
    throw new Error(`Keep proofs: scenario "${name}" has no act "${unknown.join('", "')}"`);
  }

  /** The acts are about to be tried. */
  async begin(): Promise<void> {
    await this.#write();
  }

  /** An act did what it claims. What is not told so failed, or was not reached. */
  async passed(claim: string): Promise<void> {
    if (!this.#wanted.has(claim)) return;
    this.#passed.push(claim);
    await this.#write();
  }

  async #write(): Promise<void> {
    if (this.#wanted.size === 0) return;
    const date = new Date().toISOString().slice(0, 10);
    const failed = [...this.#wanted].filter((claim) => !this.#passed.includes(claim));
    const results: KernelResults = { [this.#name]: { date, passed: this.#passed, failed } };
    await Deno.mkdir(proofsDir, { recursive: true });
    const file = `${this.#kernel} ${this.#name}.json`;
    await Deno.writeTextFile(`${proofsDir}/${file}`, JSON.stringify(results));
  }
}
