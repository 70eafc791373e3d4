/** Writes `k8s/crds/*.yaml` from the schema in `src/model/crd.ts`. A test fails when they differ from it. */

import { Document, isMap, isScalar, visit, YAMLSeq } from "yaml";
import { crdOf, type KindDefinition, KINDS } from "../src/model/crd.ts";

const HEADER = " Written by scripts/gen_crds.ts from src/model/crd.ts.\n\n";

/** Where the definition of one kind lies in the repository. */
export function crdPath(definition: KindDefinition): string {
  return `k8s/crds/${definition.plural}.yaml`;
}

/** The definition as YAML, short lists on one line. */
export function crdText(definition: KindDefinition): string {
  const document = new Document(crdOf(definition), { aliasDuplicateObjects: false });
  document.commentBefore = HEADER.trimEnd();
  visit(document, {
    Pair(_, pair) {
      const named = isScalar(pair.key) && ["enum", "required"].includes(String(pair.key.value));
      if (named && pair.value instanceof YAMLSeq) pair.value.flow = true;
    },
    Map(_, map) {
      if (map.items.length === 1 && map.items.every((pair) => isScalar(pair.value))) {
        map.flow = true;
      }
      if (map.items.some((pair) => isMap(pair.value))) map.flow = false;
    },
  });
  return document.toString({ lineWidth: 110, flowCollectionPadding: true });
}

if (import.meta.main) {
  for (const definition of KINDS) {
    const url = new URL(`../${crdPath(definition)}`, import.meta.url);
    await Deno.mkdir(new URL(".", url), { recursive: true });
    await Deno.writeTextFile(url, crdText(definition));
  }
}
