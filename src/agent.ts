/** The agent: wires the rooms, owns every lifetime, and ends them in reverse order. Enforcement outlives it. */
import { openShim, setLeakReporter, type Shim } from "../ffi/bpf.ts";
import type { Numbering } from "../ffi/generated/agent_api.ts";
import { type Batch, type RingOptions, RingReader } from "../ffi/ring.ts";
import { DirectoryWatch } from "../ffi/watch.ts";
import { EventPipeline } from "./alerts/pipeline.ts";
import type { Settings } from "./config/config.ts";
import type { HttpCredentials } from "./config/credentials.ts";
import type { ContainerEvent } from "./events/event.ts";
import { ProcessTree } from "./events/process_tree.ts";
import { telemetryGathering } from "./gathering.ts";
import { openHost } from "./host.ts";
import { createApp } from "./http/app.ts";
import { Door } from "./http/door.ts";
import type { AgentState } from "./http/state.ts";
import { coverRules } from "./kernel/coverage.ts";
import type { Enforcement } from "./kernel/enforcement.ts";
import { HostProcfs } from "./kernel/host_procfs.ts";
import { PendingContainers } from "./kernel/pending.ts";
import type { Step } from "./kernel/plan.ts";
import { ownPlaces } from "./kernel/own_places.ts";
import type { Protector } from "./kernel/protect.ts";
import { Reconciler } from "./kernel/reconciler.ts";
import { type Clock, systemClock } from "./lib/clock.ts";
import type { Log } from "./lib/log.ts";
import type { Memory } from "./memory.ts";
import { addressText, logFindings } from "./log_lines.ts";
import { openKernel, openMemory, reporterOf } from "./openings.ts";
import { limitsOf, LossLog, notReady } from "./readiness.ts";
import { Rest, restStages } from "./rest.ts";
import type { Diagnostic } from "./model/diagnostic.ts";
import type { Workload } from "./model/workload.ts";
import { SseHub } from "./sinks/sse_hub.ts";
import { watchPolicies } from "./sources/policy_files.ts";
import type { WorkloadChange } from "./sources/runtime/change.ts";
import { CgroupNews } from "./sources/runtime/cgroup_news.ts";
import { CONTAINERD_SOCKETS, isAnyThere, watchContainerd } from "./sources/runtime/containerd.ts";
import { cgroupPrefixes } from "./sources/runtime/prefixes.ts";

export interface AgentOptions {
  readonly settings: Settings;
  readonly log: Log;
  /** Of this agent, for alerts and status. */
  readonly version: string;
  /** Stops the agent; what it enforces stays in force. */
  readonly signal: AbortSignal;
  /** What the TCP address asks of clients; and the configuration file in use, to be protected. */
  readonly credentials?: HttpCredentials;
  readonly configFile?: string;
  /** The kernel's side; a test gives one of its own. */
  readonly openEnforcement?: (shim: Shim, settings: Settings) => Promise<Enforcement>;
}

/** Enough to tell one installation's numbers from another's. */
const LIFE_DIGITS = 8;

/** How often the kernel is asked to tell of decisions that it left out. */
const FLUSH_MS = 1_000;

/** How often the kernel is asked whether everything is still there. */
const CHECK_MS = 10_000;

/** Rings are read after this time even when no policy could be applied: they must not fill up. */
const CONTEXT_WAIT_MS = 15_000;

/**
 * Runs until the signal aborts. Where the kernel can't enforce it runs as well, says what is missing, and is not ready.
 * @throws {Error} what nothing can go on without: the shim, an address that is taken
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  await using agent = await Agent.start(options);
  await agent.ended(options.signal);
}

class Agent implements AsyncDisposable {
  readonly #settings: Settings;
  readonly #log: Log;
  readonly #options: AgentOptions;
  readonly #startedAt = new Date();
  readonly #clock: Clock = systemClock;
  /** Everything that must be ended, the latest first. */
  readonly #scope = new AsyncDisposableStack();
  readonly #stopping = new AbortController();
  readonly #failed = Promise.withResolvers<never>();
  readonly #shim: Shim;
  readonly #procfs: HostProcfs;
  readonly #enforcement: Enforcement;
  /** Of what has been given to subscribers, by this agent and those before. */
  readonly #numbering: Numbering;
  readonly #alerts: SseHub;
  readonly #events: SseHub;
  readonly #tree: ProcessTree;
  readonly #pipeline: EventPipeline;
  readonly #reconciler: Reconciler;
  readonly #pending: PendingContainers;
  readonly #cgroupNews = new CgroupNews();
  readonly #protector: Protector | undefined;
  readonly #memory: Memory;
  readonly #rest: Rest;
  /** Of each policy file by name the text that is in force. */
  #texts: ReadonlyMap<string, string> = new Map();
  /** CLOCK_BOOTTIME to Unix time, in ns; changes when someone sets the clock. */
  #bootToUnixNs: bigint;
  #hurryTelemetry = () => {};
  #diagnostics: readonly Diagnostic[] = [];
  #policiesRead = false;
  #policiesCame = false;
  #workloadsListed = false;
  #containerd = { connected: false, detail: "not reached yet" };
  readonly #lostLinks: string[] = [];
  readonly #losses: LossLog;
  #noticesLost = 0n;

  private constructor(
    options: AgentOptions,
    shim: Shim,
    memory: Memory,
    enforcement: Enforcement,
  ) {
    const { settings, log } = this.#options = options;
    [this.#settings, this.#log, this.#losses] = [settings, log, new LossLog(log)];
    // A part may fail while others still start, before anyone waits for the end.
    this.#failed.promise.catch(() => {});
    this.#shim = this.#scope.use(shim);
    this.#memory = this.#scope.adopt(memory, (memory) => memory.close());
    const prepare = () => this.#maintain(() => enforcement.enforcer?.prepare());
    const release = () => this.#maintain(() => this.#shim.releaseMemory());
    const stages = restStages(prepare, release);
    this.#rest = this.#scope.adopt(new Rest(this.#clock, stages), (rest) => rest.close());
    this.#procfs = new HostProcfs(this.#shim);
    this.#bootToUnixNs = bootToUnixNs(this.#shim);
    this.#enforcement = this.#scope.use(enforcement);
    const places = ownPlaces(settings, options.configFile);
    this.#protector = this.#scope.use(enforcement.enforcer?.protector(places));
    this.#numbering = this.#readNumbering();
    [this.#alerts, this.#events] = [this.#hub("alerts"), this.#hub("logs")];
    this.#tree = new ProcessTree(this.#procfs, () => performance.now());
    this.#pipeline = this.#scope.adopt(this.#createPipeline(), (pipeline) => pipeline.close());
    this.#reconciler = this.#scope.adopt(
      new Reconciler({
        target: this.#enforcement,
        waitsForAll: () => this.#enforcement.enforcer?.replaces ?? false,
        governance: settings.governance,
        host: openHost(settings, this.#enforcement.enforcer, log),
        clock: this.#clock,
        onApplied: (steps, shadowed) => this.#onApplied(steps, shadowed),
        onFailure: (error) => this.#onApplyFailure(error),
      }),
      (reconciler) => reconciler.close(),
    );
    this.#pending = this.#createPending();
  }

  /**
   * In this order, each when the one before is done: what settings may be wrong about (addresses), what the last run
   * left on disk, programs in the kernel, sources. Requests are answered from the first step on.
   */
  static async start(options: AgentOptions): Promise<Agent> {
    setLeakReporter((what) => options.log.error("Leak: was never closed", { what }));
    const { settings, openEnforcement = openKernel } = options;
    await using started = new AsyncDisposableStack();
    const door = await Door.open({ ...settings, tls: options.credentials?.tls });
    started.defer(() => door.close());
    const shim = started.use(openShim());
    const memory = await openMemory(settings, options.log, shim);
    const enforcement = await openEnforcement(shim, settings);
    const agent = new Agent(options, shim, memory, enforcement);
    started.move();
    try {
      agent.#sayWhatIsEnforced();
      agent.#pending.update();
      agent.#protect();
      agent.#recall();
      agent.#watchSources();
      agent.#serve(door);
      agent.#protect();
      // Last, so that it ends first: what was read before the end still goes out, the rest waits for the next agent.
      agent.#readRings();
      agent.#background("check of the kernel", agent.#checkKernel());
      agent.#background("summaries", agent.#flushSuppressed());
      agent.#background("sign of life", agent.#pending.keepBeating(agent.#stopping.signal));
      return agent;
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Settles when the signal aborts; rejects when a part of the agent failed. */
  async ended(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) return resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([aborted, this.#failed.promise]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#pending.letGo();
    await this.#scope.disposeAsync();
    const kept = this.#enforcement.enforces ? "what was enforced stays in force" : "";
    this.#log.info("Stopped", kept === "" ? {} : { enforcement: kept });
  }

  /** A part that runs until the agent stops. Its failure is the agent's: a guard that is half dead must not look alive. */
  #background(name: string, part: Promise<void>): void {
    const ended = part.catch((error) => {
      if (this.#stopping.signal.aborted) return;
      this.#log.error("Failed, stopping the agent", { part: name, error });
      this.#failed.reject(error);
    });
    this.#scope.defer(() => ended);
  }

  // ---- kernel ----

  #sayWhatIsEnforced(): void {
    for (const kind of this.#settings.visibility.filter((kind) => kind !== "process")) {
      this.#log.warn("visibility: this version has no telemetry of the kind: ignoring", { kind });
    }
    const { report, missing } = this.#enforcement;
    if (report === undefined) {
      this.#log.error("Nothing is enforced", { missing: missing.join("; ") });
      return;
    }
    const { kernel, mode, buildId } = report;
    this.#log.info("Programs are in the kernel", { kernel, mode, build: buildId.slice(0, 12) });
  }

  #onApplied(steps: readonly Step[], shadowed: readonly Workload[]): void {
    this.#pending.update();
    for (const { name, cgroupPath } of shadowed) {
      this.#log.warn("Container shares its cgroup with another, whose policy governs both", {
        name,
        cgroup: cgroupPath,
      });
    }
    if (this.#policiesCame) this.#protect();
    this.#policiesCame = false;
    this.#memory.save(() => ({ texts: this.#texts, workloads: this.#reconciler.containers }));
    if (steps.length === 0 && this.#reconciler.generation > 1) return;
    this.#rest.disturb();
    this.#losses.tell({ enforcement: this.#enforcement, reconciler: this.#reconciler });
    const { desired, workloads, generation } = this.#reconciler;
    this.#log.info(this.#enforcement.enforces ? "Applied policies" : "Compiled policies", {
      generation,
      containers: workloads.length,
      images: desired?.images.size,
      steps: steps.length,
    });
  }

  #onApplyFailure(error: Error): void {
    const { generation } = this.#reconciler;
    this.#log.error("Cannot apply policies: keeping what is in force", { generation, error });
  }

  /** What is not there yet, or is another one since, is protected from the next look on. */
  #protect(): void {
    this.#maintain(() => this.#protector?.refresh(), "protect the agent's files from containers");
  }

  /** Finds out when someone takes programs out of the kernel, or when events about containers were lost. */
  async #checkKernel(): Promise<void> {
    const { enforcer } = this.#enforcement;
    while (!this.#stopping.signal.aborted) {
      await this.#clock.sleep(CHECK_MS, this.#stopping.signal);
      this.#bootToUnixNs = bootToUnixNs(this.#shim);
      if (enforcer === undefined || this.#stopping.signal.aborted) continue;
      this.#protect();
      if (enforcer.isRetryDue) this.#reconciler.repeat();
      const lost = enforcer.checkLinks();
      if (lost.length > 0) {
        const programs = lost.join(",");
        this.#log.error("Programs were removed from the kernel by someone else", { programs });
        this.#lostLinks.push(...lost);
      }
      this.#maintain(() => {
        this.#pending.survey();
        const lost = enforcer.noticesLost();
        if (lost === this.#noticesLost) return enforcer.sweep();
        this.#noticesLost = lost;
        enforcer.resync();
      });
    }
  }

  async #flushSuppressed(): Promise<void> {
    const { enforcer } = this.#enforcement;
    while (enforcer !== undefined && !this.#stopping.signal.aborted) {
      await this.#clock.sleep(FLUSH_MS, this.#stopping.signal);
      if (!this.#stopping.signal.aborted) this.#maintain(() => enforcer.flushSuppressed());
    }
  }

  #maintain<T>(work: () => T, what = "tidy up in the kernel"): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#log.error(`Cannot ${what}: ignoring`, { error });
      return undefined;
    }
  }

  #createPending(): PendingContainers {
    const { pendingContainers: mode, pendingTimeoutMs: timeoutMs } = this.#settings;
    return new PendingContainers({
      ...{ enforcer: this.#enforcement.enforcer, mode, timeoutMs, clock: this.#clock },
      describes: () =>
        this.#containerd.connected && this.#workloadsListed && this.#reconciler.generation > 0 &&
        this.#reconciler.failure === undefined,
      attempt: (work) => this.#maintain(work),
      onTimeout: (index) =>
        this.#log.warn("No runtime described a new container in time: doing as set", {
          ...{ index, pendingContainers: mode },
        }),
      onStaging: (tasks) =>
        this.#log.warn(
          "Tasks entered a container and did not become its own: they are not judged",
          {
            tasks,
          },
        ),
    });
  }

  // ---- events ----

  /** Goes on where the agent before stopped, as long as its installation lasts. */
  #readNumbering(): Numbering {
    const known = this.#enforcement.enforcer?.numbering;
    if (known !== undefined && known.life !== 0n) return known;
    const [life] = crypto.getRandomValues(new BigUint64Array(1));
    return { life: life! | 1n, alerts: 0n, logs: 0n };
  }

  #hub(stream: "alerts" | "logs"): SseHub {
    const numbering = this.#numbering;
    const { enforcer } = this.#enforcement;
    const hub = new SseHub({
      clock: this.#clock,
      life: numbering.life.toString(36).slice(-LIFE_DIGITS),
      lastSeq: Number(numbering[stream]),
      onNumbered: (lastSeq) => {
        numbering[stream] = BigInt(lastSeq);
        if (enforcer !== undefined) enforcer.numbering = numbering;
      },
    });
    return this.#scope.adopt(hub, (hub) => hub.close());
  }

  #createPipeline(): EventPipeline {
    const shown = this.#settings.visibility.includes("process");
    return new EventPipeline({
      reporter: reporterOf(this.#settings, this.#procfs, this.#options.version),
      tree: this.#tree,
      clock: this.#clock,
      workloadOf: (container) => this.#enforcement.enforcer?.containerOf(container),
      imageOf: (generation) => this.#enforcement.enforcer?.imageOf(generation),
      unixNs: (bootNs) => bootNs + this.#bootToUnixNs,
      lastAlert: Number(this.#numbering.alerts),
      lastLog: Number(this.#numbering.logs),
      onAlert: (seq, record, facets) => this.#alerts.publish(seq, record, facets),
      wantsLogs: () => shown && this.#events.isWanted,
      onLog: (seq, record, facets) => this.#events.publish(seq, record, facets),
      onLogSkipped: (seq) => this.#events.skip(seq),
      onContainer: (event) => this.#onContainer(event),
      onHeld: () => this.#hurryTelemetry(),
      onProcessHeld: (event) => this.#pending.take(event),
    });
  }

  #onContainer({ container, cgroupId, cgroupPath, gone }: ContainerEvent): void {
    this.#log.debug(gone ? "Container's cgroup went" : "Container's cgroup came", {
      index: container,
      cgroup: cgroupPath,
    });
    this.#maintain(() => this.#enforcement.enforcer?.onContainerEvent(container, cgroupId, gone));
    this.#cgroupNews.push({ path: cgroupPath, id: cgroupId, gone });
    const recalled = gone ? undefined : this.#memory.recallAt(cgroupPath, cgroupId);
    if (recalled !== undefined) this.#reconciler.setWorkload(recalled);
  }

  #readRings(): void {
    const { enforcer } = this.#enforcement;
    if (enforcer === undefined) return;
    const pipeline = this.#pipeline;
    const waiting = new AbortController();
    const known = this.#contextKnown(waiting.signal);
    const open = (name: "ring_alerts" | "ring_events", options: RingOptions = {}) =>
      RingReader.open(this.#shim, enforcer.ring(name), options);
    const alerts = open("ring_alerts");
    const events = open("ring_events", telemetryGathering(() => this.#events.isWanted));
    const read = (name: string, reader: RingReader, take: (batch: Batch) => void) => {
      this.#background(name, known.then(() => reader.forEach(take)));
      this.#scope.defer(() => reader.close());
    };
    read("ring_alerts", alerts, (batch) => pipeline.takeAlerts(batch.buffer));
    read("ring_events", events, (batch) => pipeline.takeEvents(batch.buffer));
    this.#hurryTelemetry = () => events.hurry();
    this.#scope.defer(() => {
      this.#hurryTelemetry = () => {};
      waiting.abort();
    });
  }

  /** Events of an agent before may wait in the rings: who they are about is known once a first state is in force. */
  async #contextKnown(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#reconciler.applied, this.#clock.sleep(CONTEXT_WAIT_MS, signal)]);
  }

  // ---- sources ----

  #watchSources(): void {
    const stop = new AbortController();
    this.#background("policy files", this.#watchPolicies(stop.signal));
    const { containerd } = this.#settings;
    if (containerd === undefined) {
      this.#containerd = { connected: false, detail: "turned off" };
      this.#setListed();
    } else {
      const sockets = containerd === "auto" ? CONTAINERD_SOCKETS : [containerd];
      // Where no runtime is, no list comes, and what an agent before enforces would stay for ever.
      if (this.#reconciler.containers.length === 0 && !isAnyThere(sockets)) this.#setListed();
      this.#background("containerd", this.#watchContainerd(sockets, stop.signal));
    }
    this.#enforcement.enforcer?.setPrefixes(cgroupPrefixes([]).prefixes);
    this.#scope.defer(() => stop.abort());
  }

  async #watchPolicies(signal: AbortSignal): Promise<void> {
    const openWatch = () => DirectoryWatch.open(this.#shim);
    const options = { signal, openWatch, known: this.#memory.policies };
    for await (const set of watchPolicies(this.#settings.policies, options)) {
      this.#policiesRead = this.#policiesCame = true;
      this.#texts = set.texts;
      this.#memory.setKept(set.kept);
      this.#diagnostics = set.diagnostics;
      // First of all: it applies them.
      this.#reconciler.setPolicies(set.policies);
      logFindings(this.#log, set.diagnostics);
      const [files, policies] = [set.files.length, set.policies.length];
      const fromLastRun = set.kept.join(",") || undefined;
      this.#log.info("Read policies", { files, policies, fromLastRun });
    }
  }

  /** Containers of the last run whose cgroups are there are governed at once; containerd then says what is true now. */
  #recall(): void {
    if (this.#settings.containerd === undefined) return;
    this.#memory.recall(this.#procfs).forEach((load) => this.#reconciler.setWorkload(load));
  }

  async #watchContainerd(sockets: readonly string[], signal: AbortSignal): Promise<void> {
    const procfs = this.#procfs;
    const cgroupTree = procfs.cgroupTree;
    const cgroups = this.#cgroupNews;
    const options = { sockets, procfs, signal, cgroups, ...(cgroupTree && { cgroupTree }) };
    for await (const change of watchContainerd(options)) this.#onWorkloadChange(change);
  }

  #onWorkloadChange(change: WorkloadChange): void {
    switch (change.kind) {
      case "Init":
        this.#containerd = { connected: true, detail: `${change.version} at ${change.socket}` };
        this.#log.info("Connected to containerd", {
          socket: change.socket,
          version: change.version,
        });
        break;
      case "Apply":
        this.#log.debug("Container", { id: change.workload.id, name: change.workload.name });
        this.#memory.forget(change.workload);
        this.#reconciler.setWorkload(change.workload);
        break;
      case "Delete":
        this.#log.debug("Container ended", { id: change.id });
        this.#memory.forget(change);
        this.#reconciler.deleteWorkload(change.runtimeNamespace, change.id);
        break;
      case "InitDone":
        for (const load of this.#memory.forgetAll()) {
          this.#reconciler.deleteWorkload(load.runtimeNamespace, load.id);
        }
        this.#setListed();
        break;
      case "Namespaces":
        this.#setNamespaces(change.names);
        break;
      case "Problem":
        this.#log.warn("Container is not guarded", { id: change.id, reason: change.message });
        break;
      case "Unreachable":
        this.#containerd = { connected: false, detail: change.reason };
        this.#pending.update();
        this.#log.warn("containerd is away: what is enforced stays so, trying again", {
          reason: change.reason,
        });
        // An older installation knows its containers; this one would begin without any.
        if (!this.#enforcement.enforcer?.replaces) this.#setListed();
        break;
    }
  }

  #setListed(): void {
    this.#workloadsListed = true;
    this.#reconciler.setListed();
  }

  #setNamespaces(names: readonly string[]): void {
    const { prefixes, omitted } = cgroupPrefixes(names);
    this.#enforcement.enforcer?.setPrefixes(prefixes);
    if (omitted.length === 0) return;
    this.#log.warn("Too many containerd namespaces: containers of these are known a little later", {
      namespaces: omitted.join(","),
    });
  }

  // ---- HTTP ----

  #serve(door: Door): void {
    const { settings: { listen, socket }, credentials: { token, tls } = {} } = this.#options;
    this.#scope.defer(() => door.close());
    const certified = tls?.clientCa !== undefined;
    door.answerBy(createApp(this.#state(), { log: this.#log, token, certified }), () => {
      this.#alerts.close();
      this.#events.close();
    });
    this.#log.info("Serving", { listen: addressText(listen, door.port), socket });
  }

  #state(): AgentState {
    const enforcement = this.#enforcement;
    const reconciler = this.#reconciler;
    const rules = () =>
      coverRules(
        reconciler.desired?.rules ?? [],
        enforcement.report?.hooks ?? [],
        enforcement.why,
      );
    return {
      about: {
        version: this.#options.version,
        buildId: enforcement.buildId,
        startedAt: this.#startedAt,
        hostName: this.#settings.hostname,
        clusterName: this.#settings.cluster,
      },
      notReady: () =>
        notReady({
          enforcement,
          reconciler,
          policiesRead: this.#policiesRead,
          workloadsListed: this.#workloadsListed,
          lostLinks: this.#lostLinks,
        }),
      kernel: () => enforcement.enforces ? enforcement.report : undefined,
      generation: () => reconciler.generation,
      sources: () => [
        { name: "policy files", connected: this.#policiesRead, detail: this.#settings.policies },
        { name: "containerd", ...this.#containerd },
        { name: "last run", ...this.#memory.status },
      ],
      policies: () => reconciler.policies,
      diagnostics: () => this.#diagnostics,
      rules,
      selectedBy: (policy) => reconciler.selectedBy(policy).map(({ id }) => id),
      workloads: () =>
        reconciler.workloads.map((workload) => {
          const place = enforcement.enforcer?.placeOf(workload);
          return {
            workload,
            container: place?.index,
            generation: place?.generation,
            governance: reconciler.governanceOf(workload),
            ignoredLabels: reconciler.ignoredLabels(workload),
            policies: reconciler.policiesOf(workload).map(({ name }) => name),
            tasks: place && enforcement.enforcer?.tasksOf(place.index),
            decisions: place && enforcement.enforcer?.accountOf(place.index),
          };
        }),
      explain: (workload, ask) => reconciler.explain(workload, ask),
      counters: () => enforcement.enforcer?.counters() ?? {},
      pipeline: () => this.#pipeline.counts,
      seen: () => this.#pipeline.seen,
      processes: () => this.#tree.counts,
      pending: () => this.#pending.counts,
      limits: () => limitsOf(enforcement, this.#tree),
      alerts: this.#alerts,
      events: this.#events,
    };
  }
}

function bootToUnixNs(shim: Shim): bigint {
  return BigInt(Date.now()) * 1_000_000n - shim.bootTimeNs();
}
