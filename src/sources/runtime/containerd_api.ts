/**
 * The methods and messages of containerd's API that the agent uses, without the fields that it does not read. The numbers are
 * the same in containerd 1.6, 1.7 and 2.x.
 *
 * @see https://github.com/containerd/containerd/tree/main/api
 */
import type { Method } from "./grpc.ts";
import {
  bytes,
  type Message,
  message,
  type MessageValue,
  nested,
  repeated,
  text,
  textMap,
  texts,
  uint32,
} from "./protobuf.ts";

const Empty = message({});
const ByName = message({ name: text(1) });
const ById = message({ id: text(1) });
const ByFilter = message({ filter: text(1) });
const ByFilters = message({ filters: texts(1) });

/** google.protobuf.Any */
const Any = message({ typeUrl: text(1), value: bytes(2) });

const VersionResponse = message({ version: text(1), revision: text(2) });

const Namespace = message({ name: text(1), labels: textMap(2) });
const ListNamespacesResponse = message({ namespaces: repeated(1, Namespace) });

/** `spec.value` is the OCI runtime specification as JSON. */
const Container = message({
  id: text(1),
  labels: textMap(2),
  image: text(3),
  spec: nested(5, Any),
});
export type Container = MessageValue<typeof Container>;
const ContainerResponse = message({ container: nested(1, Container) });
const ListContainersResponse = message({ containers: repeated(1, Container) });

const Descriptor = message({ mediaType: text(1), digest: text(2) });
const Image = message({ name: text(1), target: nested(3, Descriptor) });
export type Image = MessageValue<typeof Image>;
const ImageResponse = message({ image: nested(1, Image) });
const ListImagesResponse = message({ images: repeated(1, Image) });

/** containerd.v1.types.Status */
export const TaskStatus = {
  UNKNOWN: 0,
  CREATED: 1,
  RUNNING: 2,
  STOPPED: 3,
  PAUSED: 4,
  PAUSING: 5,
} as const;

/** containerd.v1.types.Process. In a list of tasks `id` is the container's id, and `containerId` is empty before 2.0. */
const Process = message({ containerId: text(1), id: text(2), pid: uint32(3), status: uint32(4) });
export type Process = MessageValue<typeof Process>;
const ListTasksResponse = message({ tasks: repeated(1, Process) });

const Envelope = message({ namespace: text(2), topic: text(3), event: nested(4, Any) });
export type Envelope = MessageValue<typeof Envelope>;

/** The events that matter, by topic. */
export const TaskCreate = message({ containerId: text(1), pid: uint32(6) });
export const TaskStart = message({ containerId: text(1), pid: uint32(2) });
/** `id` is the container's own id for its first process, else that of a `ctr task exec`. */
export const TaskExit = message({ containerId: text(1), id: text(2), pid: uint32(3) });
/** `id` is empty, or the container's own, for the first process. */
export const TaskDelete = message({ containerId: text(1), pid: uint32(2), id: text(5) });
/** Also ContainerUpdate and ContainerDelete. */
export const ContainerChanged = message({ id: text(1) });
/** NamespaceCreate */
export const NamespaceChanged = message({ name: text(1) });

function method<Q, R>(path: string, request: Message<Q>, response: Message<R>): Method<Q, R> {
  return { path: `/containerd.services.${path}`, request, response };
}

/** Those that take a namespace take it from the header `containerd-namespace`. */
export const containerd = {
  version: method("version.v1.Version/Version", Empty, VersionResponse),
  listNamespaces: method("namespaces.v1.Namespaces/List", ByFilter, ListNamespacesResponse),
  listContainers: method("containers.v1.Containers/List", ByFilters, ListContainersResponse),
  getContainer: method("containers.v1.Containers/Get", ById, ContainerResponse),
  listTasks: method("tasks.v1.Tasks/List", ByFilter, ListTasksResponse),
  listImages: method("images.v1.Images/List", ByFilters, ListImagesResponse),
  getImage: method("images.v1.Images/Get", ByName, ImageResponse),
  /** Events of all namespaces. */
  subscribe: method("events.v1.Events/Subscribe", ByFilters, Envelope),
} as const;

export function inNamespace(namespace: string): Record<string, string> {
  return { "containerd-namespace": namespace };
}
