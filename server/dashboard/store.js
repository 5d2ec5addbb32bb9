// What the page knows: the account, the events as they came, how workflows stand. Panels listen to what they show.
import { Socket } from "./socket.js";
import { RESUMABLE, Stream, position } from "./streams.js";

// Four pictures a second are as many as eyes follow, and little work where much happens.
const TOLD_EVERY = 250;
// The newest events that panels can show.
export const LISTED = 500;

const RECORD = "record { id displayName objectType }";
const QUERIES = {
  changes: `subscription Changes($after: String) { changes(after: $after) {
    cursor at kind source objectType ${RECORD} properties { property old new }
    other { id displayName objectType } label { label } occurred { type } } }`,
  enrollmentEvents: `subscription Enrollments($after: String) { enrollmentEvents(after: $after) {
    cursor at kind enrollmentId workflow { id name } ${RECORD} details } }`,
  segmentEvents: `subscription Segments($after: String) { segmentEvents(after: $after) {
    cursor at joined segmentId segment { name } ${RECORD} } }`,
  syncEvents: `subscription Syncs($after: String) { syncEvents(after: $after) {
    cursor at kind syncId category tip message sync { objectType connection { name } } ${RECORD} details } }`,
  // How far each is stands in its panel: thousands of batches would push everything else out of the list.
  importEvents: `subscription Imports($after: String) { importEvents(after: $after, kinds: [IMPORT_STARTED,
    IMPORT_FINISHED, IMPORT_FAILED, IMPORT_CHECKING, IMPORT_CHECKED, IMPORT_PAUSED, IMPORT_RESUMED, IMPORT_CANCELLED,
    IMPORT_UNDOING, IMPORT_UNDONE]) { cursor at kind importId name rows created updated failed reason } }`,
};
const STATUS = `subscription Status { workflowStatus { cursor at enrolled active due waiting completed failed goalMet
  unenrolled outboxPending outboxFailed workflows { workflowId enrolled active due waiting completed failed goalMet
  unenrolled workflow { name objectType enabled backfill { enrolled } } } } }`;

const SYNC_STATUS = `subscription SyncStatus { syncStatus { cursor at records inSync pending failed excluded conflicted
  openConflicts syncs { syncId phase enabled records inSync pending failed excluded conflicted openConflicts
  progress { done total perSecond secondsLeft } applying { done total perSecond secondsLeft } held { message }
  connectionStatus connectionCategory pausedUntil sync { objectType remoteObject direction connection { name } } } } }`;

const listeners = new Map();
/** Hear of "events" (the new ones), "status", "syncs", "connection", "checked", "refused". */
export function on(name, hear) {
  if (!listeners.has(name)) listeners.set(name, new Set());
  listeners.get(name).add(hear);
}
function tell(name, told) {
  for (const hear of listeners.get(name) ?? []) hear(told);
}

/** `connection`: how the line stands; `check`: what the last comparison with the log found. */
export const store = {
  account: null,
  events: [],
  status: null,
  statusDenied: "",
  syncs: null,
  syncsDenied: "",
  connection: { state: "closed" },
  check: null,
  streams: [],
};

let socket = null;
let marks = null;
let checking = 0;
let arrived = [];
let toldAt = 0;
let promised = false;

/** Tell of events in one go: a burst is one piece of work for each panel, and the first of it is told at once. */
function arrive(stream, event) {
  arrived.push({ ...event, stream });
  if (promised) return;
  promised = true;
  const rest = TOLD_EVERY - (performance.now() - toldAt);
  setTimeout(() => {
    promised = false;
    toldAt = performance.now();
    const batch = arrived;
    arrived = [];
    if (!batch.length) return;
    store.events = [...batch.toReversed(), ...store.events].slice(0, LISTED);
    tell("events", batch);
  }, Math.max(40, rest));
}

export const received = () => store.streams.reduce((sum, stream) => sum + stream.count, 0);

/** The newest place in the log that we were told of. */
export function logPosition() {
  const known = [store.status?.cursor, ...store.streams.map((stream) => stream.cursor)];
  const found = known.filter(Boolean).map(position).filter((number) => number !== null);
  return found.length ? Math.max(...found) : null;
}

/** Connect with a key, from nothing. */
export function begin(key) {
  end();
  Object.assign(store, { events: [], status: null, statusDenied: "", syncs: null, syncsDenied: "", check: null });
  const changed = () => tell("connection");
  store.streams = Object.entries(QUERIES).map(
    ([field, query]) => new Stream(field, query, (event) => arrive(field, event), changed),
  );
  socket = new Socket(key, line);
  const mine = socket;
  let begun = false;
  let failed = 0;
  // The counts come with the cursor that follows them: all streams begin there.
  const start = (cursor) => {
    if (begun) return;
    begun = true;
    for (const stream of store.streams) stream.begin(mine, cursor);
  };
  const watch = () =>
    mine.run(STATUS, () => ({}), {
      next: ({ workflowStatus }) => {
        store.status = workflowStatus;
        start(workflowStatus.cursor);
        tell("status");
      },
      error: ([problem]) => {
        if (problem?.extensions?.code === "MISSING_SCOPE") {
          store.statusDenied = problem.message;
          start(null);
          tell("status");
        } else if (RESUMABLE.has(problem?.extensions?.code)) {
          watch();
        } else {
          // Events do not wait for counts that cannot be had.
          if (++failed > 1) start(null);
          setTimeout(() => mine === socket && watch(), 3_000);
        }
      },
    });
  watch();
  watchSyncs(mine);
}

/** How syncs stand: told anew as it changes. */
function watchSyncs(mine) {
  mine.run(SYNC_STATUS, () => ({}), {
    next: ({ syncStatus }) => {
      store.syncs = syncStatus;
      tell("syncs");
    },
    error: ([problem]) => {
      const { code } = problem?.extensions ?? {};
      if (code === "MISSING_SCOPE") {
        store.syncsDenied = problem.message;
        tell("syncs");
      } else if (RESUMABLE.has(code)) {
        watchSyncs(mine);
      } else {
        setTimeout(() => mine === socket && watchSyncs(mine), 3_000);
      }
    },
  });
}

/** Let go of the line. */
export function end() {
  checking += 1;
  for (const stream of store.streams) stream.end();
  socket?.close();
  socket = null;
  // What was to be told, or compared, was of this key.
  marks = null;
  arrived = [];
}

function line(told) {
  const before = store.connection.state;
  store.connection = told;
  if (before === "live" && told.state !== "live") {
    marks ??= store.streams.map((stream) => stream.mark());
  }
  tell("connection");
  if (told.state === "live" && marks) void check("reconnected");
  if (told.state === "refused") tell("refused");
}

/** Hold what we were told against the log, from before the cut on. */
export async function check(why) {
  const mine = ++checking;
  const from = why === "reconnected" ? marks : store.streams.map((stream) => stream.mark());
  const running = store.streams.map((stream, n) => stream.compare(from[n], why === "asked"));
  store.check = { why, state: "running" };
  tell("checked");
  const found = await Promise.all(running);
  if (mine !== checking || store.connection.state !== "live") return;
  marks = null;
  const known = found.filter(Boolean);
  const sum = (name) => known.reduce((total, one) => total + one[name], 0);
  store.check = {
    why,
    state: "done",
    at: Date.now(),
    complete: known.length === store.streams.filter((stream) => stream.state !== "denied").length,
    gaps: sum("gaps"),
    caught: sum("caught"),
    compared: sum("compared"),
    missed: sum("missed"),
  };
  tell("checked");
}
