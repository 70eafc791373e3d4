/** What images need of the kernel beside the programs that are always there; pure. */
import { OP_CAPABILITY } from "../../ffi/generated/agent_api.ts";
import type { CompiledImage } from "../compile/compile.ts";
import { ON_DEMAND_GROUPS, type OnDemandGroup, presetsOf } from "./hooks.ts";

/** What of an image says what it needs. */
type Needs = Pick<
  CompiledImage,
  "opsLive" | "judgesSockets" | "judgesNames" | "syscalls" | "presets"
>;

/** Groups of programs, loaded on demand, without which some image would not be enforced. */
export function groupsOf(
  images: readonly (Needs | undefined)[],
): OnDemandGroup[] {
  const found = [...new Set(images)].filter((image) => image !== undefined);
  const live = found.reduce((bits, image) => bits | image.opsLive, 0);
  const presets = new Set(found.flatMap((image) => image.presets));
  const isNeeded = (group: OnDemandGroup): boolean => {
    if (group === "syscalls") return found.some(({ syscalls }) => syscalls.length > 0);
    if (group === "network") return found.some(({ judgesSockets }) => judgesSockets);
    if (group === "dns") return found.some(({ judgesNames }) => judgesNames);
    if (group === "capabilities") return (live >> OP_CAPABILITY & 1) === 1;
    return presetsOf(group).some((preset) => presets.has(preset));
  };
  return ON_DEMAND_GROUPS.filter(isNeeded);
}
