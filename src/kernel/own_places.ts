/** What belongs to the agent in the file system. */

import { dirname } from "node:path";
import { ownFiles } from "../../ffi/product.ts";
import type { Settings } from "../config/config.ts";
import { DEFAULT_CONFIG_FILE } from "../config/load.ts";
import { LOCK_FILE } from "../lib/instance_lock.ts";
import type { ProtectedPlaces } from "./protect.ts";

/** Files and directories that no container may change: settings, policies, sockets, pins, and the agent itself. */
export function ownPlaces(settings: Settings, configFile?: string): ProtectedPlaces {
  const { policies, bpffs, socket, protect, http } = settings;
  const files = [
    policies,
    bpffs,
    socket,
    configFile,
    dirname(DEFAULT_CONFIG_FILE),
    dirname(LOCK_FILE),
  ];
  const own = [...files.filter((path) => path !== undefined), ...ownFiles()];
  const secrets = [http.tokenFile, http.key].filter((path) => path !== undefined);
  return { own: [...new Set(own)], secrets, host: protect === "host" };
}
