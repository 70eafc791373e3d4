export { type CompiledImage, compileImage } from "./compile_image.ts";
export type { HashKeys } from "./hash.ts";
export { policyKey, type RuleRef } from "./rules.ts";
