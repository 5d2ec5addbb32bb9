// What happens, as it happens, newest first. Readers aloud hear a summary now and then, not every event.
import { byId, el, fill, framed, say } from "./dom.js";
import { clock, full, number, plural, words } from "./format.js";
import { named as link } from "./graph.js";
import * as names from "./names.js";
import { LISTED, on, store } from "./store.js";
import { title as syncTitle } from "./syncs.js";

const SUMMARY_EVERY = 20_000;
const FILTERS = {
  all: "All",
  changes: "Records",
  enrollmentEvents: "Enrollments",
  segmentEvents: "Segments",
  syncEvents: "Syncs",
  importEvents: "Imports",
};
const list = el("ol", { class: "events" });
// There are events without a record: a mail that belonged to none.
const named = (record) => (record ? link(record) : "");
let filter = "all";
let paused = false;
// What came since the last summary.
let behind = { all: 0, enrolled: 0, failed: 0 };
let fresh = [];
let waiting = 0;
let timer = null;

function changeText(event) {
  const { kind, record } = event;
  switch (kind) {
    case "RECORD_CREATED":
      return [named(record), " was made"];
    case "RECORD_UPDATED": {
      const [first, ...more] = event.properties;
      if (!first) return [named(record), " changed"];
      const rest = more.length ? ` and ${plural(more.length, "more value", "more values")}` : "";
      return [named(record), `: ${names.property(event.objectType, first.property)} `, was(event.objectType, first), el("b", {}, names.value(event.objectType, first.property, first.new)), rest];
    }
    case "RECORD_ARCHIVED":
      return [named(record), " was put away"];
    case "RECORD_RESTORED":
      return [named(record), " was brought back"];
    case "RECORD_MERGED":
      return [named(record), " was merged"];
    case "ASSOCIATION_ADDED":
      return [named(record), " now belongs with ", named(event.other)];
    case "ASSOCIATION_REMOVED":
      return [named(record), " no longer belongs with ", named(event.other)];
    case "LABEL_ADDED":
    case "LABEL_REMOVED": {
      const label = el("b", {}, event.label?.label ?? "a label");
      return [named(record), kind === "LABEL_ADDED" ? " is now " : " is no longer ", label, " with ", named(event.other)];
    }
    case "EVENT_OCCURRED":
      return [named(record), `: ${words(event.occurred?.type ?? "event")}`];
    default:
      return [named(record), ` ${words(kind)}`];
  }
}

function was(type, { property, old }) {
  return old === null ? "" : [el("s", {}, names.value(type, property, old)), " → "];
}

const ENROLLMENT = {
  ENROLLED: "enrolled in",
  STEP_DONE: "took a step in",
  STEP_SKIPPED: "passed over a step in",
  STEP_FAILED: "failed a step in",
  STEP_RETRIED: "tries a step again in",
  ENROLLMENT_COMPLETED: "completed",
  ENROLLMENT_FAILED: "failed in",
  UNENROLLED: "left",
  OUTBOX_DELIVERED: "reached the outside for",
  OUTBOX_FAILED: "did not reach the outside for",
};
const SYNC = {
  RECORD_SYNCED: " is in sync: ",
  RECORD_SYNC_FAILED: " failed to sync: ",
  RECORD_SYNC_EXCLUDED: " is left out of ",
  SYNC_CONFLICTED: " is in conflict: ",
  SYNC_CONFLICT_RESOLVED: ", a conflict was decided: ",
};
const SYNC_LIFE = {
  SYNC_CREATED: "was made",
  SYNC_UPDATED: "was changed",
  SYNC_DELETED: "was deleted",
  SYNC_TURNED_ON: "was turned on",
  SYNC_TURNED_OFF: "was turned off",
  SYNC_STARTED: "begins its first sync",
  SYNC_LIVE: "is live",
  SYNC_HELD: "waits",
  SYNC_RESUMED: "goes on",
  SYNC_PLANNED: "has a preview",
};
const IMPORT = {
  IMPORT_STARTED: "begins",
  IMPORT_FINISHED: "is done",
  IMPORT_FAILED: "broke off",
  IMPORT_CHECKING: "is being checked",
  IMPORT_CHECKED: "has been checked",
  IMPORT_PAUSED: "was paused",
  IMPORT_RESUMED: "goes on",
  IMPORT_CANCELLED: "was cancelled",
  IMPORT_UNDOING: "is being taken back",
  IMPORT_UNDONE: "has been taken back",
};
const TONES = {
  IMPORT_FINISHED: "good",
  IMPORT_FAILED: "bad",
  RECORD_SYNC_FAILED: "bad",
  SYNC_HELD: "bad",
  SYNC_LIVE: "good",
  SYNC_CONFLICTED: "wait",
  ENROLLED: "new",
  ENROLLMENT_COMPLETED: "good",
  ENROLLMENT_FAILED: "bad",
  STEP_FAILED: "bad",
  OUTBOX_FAILED: "bad",
  RECORD_CREATED: "new",
};

function syncText({ kind, record, sync, details, message, tip }) {
  const which = el("b", {}, syncTitle(sync));
  const why = message ? el("small", { class: "why" }, message) : "";
  if (SYNC[kind]) return [record ? named(record) : "An item", SYNC[kind], which, why, tip ? el("small", {}, tip) : ""];
  if (kind !== "SYNC_PROGRESS") return [which, ` ${SYNC_LIFE[kind] ?? words(kind)}`, why];
  const { done, total } = details;
  return [which, total ? `: ${number(done)} of ${number(total)} looked at` : `: ${number(done)} looked at`];
}

function importText({ kind, name, created, updated, failed, reason }) {
  const ended = kind === "IMPORT_FINISHED";
  const figures = ended ? `: ${number(created)} made, ${number(updated)} changed, ${number(failed)} failed` : "";
  const why = reason ? el("small", { class: "why" }, reason) : "";
  return ["The import of ", el("b", {}, name), ` ${IMPORT[kind] ?? words(kind)}${figures}`, why];
}

function tell(event) {
  if (event.stream === "importEvents") return { tone: TONES[event.kind] ?? "", parts: importText(event) };
  if (event.stream === "syncEvents") return { tone: TONES[event.kind] ?? "", parts: syncText(event) };
  if (event.stream === "segmentEvents") {
    const where = el("b", {}, event.segment?.name ?? "a segment");
    return { tone: event.joined ? "new" : "", parts: [named(event.record), event.joined ? " joined " : " left ", where] };
  }
  if (event.stream === "enrollmentEvents") {
    const verb = ENROLLMENT[event.kind] ?? words(event.kind);
    const where = event.workflow ? el("b", {}, event.workflow.name) : "";
    const { action, error } = event.details;
    const which = action ? `, action ${action}` : "";
    const why = error ? el("small", { class: "why" }, error.message) : "";
    return { tone: TONES[event.kind] ?? "", parts: [named(event.record), ` ${verb} `, where, which, why] };
  }
  return { tone: TONES[event.kind] ?? "", parts: changeText(event) };
}

function item(event) {
  const { tone, parts } = tell(event);
  const time = el("time", { datetime: event.at, title: full(event.at) }, clock(event.at));
  const text = el("span", {}, ...parts.flat());
  return el("li", { "data-cursor": event.cursor, "data-stream": event.stream, "data-tone": tone }, time, text);
}

const wanted = (event) => filter === "all" || event.stream === filter;

function empty() {
  const none = store.streams.length && store.streams.every((stream) => stream.state === "denied");
  const text = none ? "This key may not see events." : "They appear here the moment they are committed.";
  return el("div", { class: "note" }, el("strong", {}, none ? "No permission" : "No events yet"), el("p", {}, text));
}

/** The whole list anew. */
function redraw() {
  fresh = [];
  const shown = store.events.filter(wanted);
  if (shown.length) {
    fill(list, shown.map(item));
    fill(byId("ticker"), list);
  } else {
    fill(list);
    fill(byId("ticker"), empty());
  }
}

const add = framed(() => {
  const shown = fresh.filter(wanted);
  fresh = [];
  if (!shown.length) return;
  if (!list.isConnected) fill(byId("ticker"), list);
  list.prepend(...shown.map(item).toReversed());
  while (list.children.length > LISTED) list.lastElementChild.remove();
});

function summarize() {
  if (!behind.all) return;
  const parts = [plural(behind.all, "new event", "new events")];
  if (behind.enrolled) parts.push(`${behind.enrolled} enrolled`);
  if (behind.failed) parts.push(`${behind.failed} failed`);
  say(byId("ticker-summary"), `${parts.join(", ")}.`);
  behind = { all: 0, enrolled: 0, failed: 0 };
}

on("events", (batch) => {
  behind.all += batch.length;
  for (const { kind } of batch) {
    if (kind === "ENROLLED") behind.enrolled += 1;
    if (kind === "ENROLLMENT_FAILED") behind.failed += 1;
  }
  if (paused) {
    waiting += batch.length;
    byId("ticker-pause").textContent = `Go on (${number(waiting)} new)`;
    return;
  }
  fresh = [...fresh, ...batch].slice(-LISTED);
  add();
});
on("connection", () => {
  if (!store.events.length && !list.isConnected) redraw();
});

function pause(now) {
  paused = now;
  waiting = 0;
  byId("ticker-pause").setAttribute("aria-pressed", String(paused));
  byId("ticker-pause").textContent = paused ? "Go on" : "Pause";
}
byId("ticker-pause").addEventListener("click", () => {
  pause(!paused);
  if (!paused) redraw();
});

fill(
  byId("ticker-filter"),
  Object.entries(FILTERS).map(([name, label]) =>
    el("button", { type: "button", "aria-pressed": String(name === filter), onclick: (event) => choose(name, event) }, label),
  ),
);
function choose(name, event) {
  filter = name;
  for (const button of byId("ticker-filter").children) button.setAttribute("aria-pressed", String(button === event.target));
  redraw();
}

export function begin() {
  behind = { all: 0, enrolled: 0, failed: 0 };
  pause(false);
  say(byId("ticker-summary"), "");
  clearInterval(timer);
  timer = setInterval(summarize, SUMMARY_EVERY);
  redraw();
}
