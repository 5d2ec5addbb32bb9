// How syncs stand: one by one as a table, with how far initial syncs are; and the latest records that failed, with tips.
import { asking } from "./asking.js";
import { api, byId, el, fill, framed, note, say } from "./dom.js";
import { alike, failure } from "./failures.js";
import { duration, isolated, moment, number, plural, rate, words } from "./format.js";
import { named } from "./graph.js";
import * as names from "./names.js";
import { Rows, cell, share } from "./rows.js";
import { on, store } from "./store.js";

const PARTS = ["inSync", "pending", "conflicted", "failed", "excluded"];
const LABELS = { inSync: "in sync", pending: "pending", conflicted: "in conflict", failed: "failed", excluded: "excluded" };
const ARROWS = { BOTH: "both ways", IN: "in", OUT: "out" };
const LATEST = `{ syncRecords(state: FAILED, first: 50) { nodes {
  id externalId category tip message failedAt record { id displayName objectType } sync { id objectType connection { name } } } } }`;
const FAILED = new Set(["RECORD_SYNC_FAILED", "RECORD_SYNCED", "SYNC_DELETED"]);
const table = new Rows("syncs", {
  caption: "How each sync stands",
  head: ["Sync", ["In sync", "inSync"], ["Pending", "pending"], ["Failed", "failed"], ["Conflicts", "conflicted"], "Share"],
  kind: "stacked",
});

/** What people call a sync: what is synced, and with whom. */
export const title = (sync) => (sync ? `${names.plural(sync.objectType)} with ${isolated(sync.connection.name)}` : "a sync");

/** How far an initial sync or a preview is, in words. */
function far({ done, total, perSecond, secondsLeft }) {
  const parts = [total === null ? `${number(done)} so far` : `${number(done)} of ${number(total)}`];
  if (perSecond !== null) parts.push(`${rate(perSecond)} a second`);
  if (secondsLeft !== null) parts.push(`${duration(secondsLeft)} left`);
  return parts.join(", ");
}

function progress({ phase, progress: reading, applying }) {
  const told = applying ?? (phase === "INITIAL" ? reading : null);
  if (!told) return null;
  const what = applying ? "Preview" : "First sync";
  const text = far(told);
  const known = told.total ? Math.min(100, Math.round((100 * told.done) / told.total)) : null;
  const bar = el("i", { class: known === null ? "unsure" : "" });
  if (known !== null) bar.style.width = `${known}%`;
  const attributes = { class: "length", role: "progressbar", "aria-label": what, "aria-valuetext": text };
  const range = known === null ? {} : { "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": known };
  return el("div", { class: "initial" }, el("small", {}, `${what}: ${text}`), el("div", { ...attributes, ...range }, bar));
}

/** Why it does not go on, if it does not. */
function trouble({ held, connectionStatus, connectionCategory, pausedUntil }) {
  if (connectionStatus === "BROKEN") return el("em", { class: "bad" }, `Connection broken: ${words(connectionCategory ?? "unknown")}`);
  if (held) return el("em", { class: "bad" }, held.message);
  if (pausedUntil) return el("em", { class: "held" }, `Pauses until ${moment(pausedUntil)}: ${words(connectionCategory ?? "")}`);
  return null;
}

function row(standing) {
  const { sync, syncId, phase, enabled, applying } = standing;
  const state = phase !== "CONFIGURED" ? (enabled ? "on" : "off") : applying ? "being applied" : "not started";
  const theirs = sync.remoteObject === sync.objectType ? "" : `${sync.remoteObject}, `;
  const cells = ["inSync", "pending", "failed", "conflicted"].map((part) => cell(part, standing[part], LABELS[part]));
  const stopped = trouble(standing);
  return el(
    "tr",
    { "data-sync": syncId },
    el(
      "th",
      { scope: "row" },
      el("span", { class: "name" }, el("i", { class: stopped ? "broken" : enabled || applying ? "on" : "off", "aria-hidden": "true" }), el("span", {}, title(sync))),
      el("small", {}, `${theirs}${ARROWS[sync.direction]}, ${state}`, stopped && ", ", stopped),
      progress(standing),
    ),
    cells,
    el("td", { class: "sharing" }, share(PARTS, LABELS, standing, standing.records, "nothing synced yet")),
  );
}

/** What needs people comes first, then what goes on, then the others as they were made. */
const rank = (standing) => (trouble(standing) ? 0 : progress(standing) ? 1 : standing.openConflicts || standing.failed ? 2 : 3);

const show = framed(() => {
  const { syncs, syncsDenied } = store;
  const list = syncs?.syncs.filter(({ sync }) => sync) ?? [];
  byId("sync-failures-part").hidden = !list.length;
  if (syncsDenied || !list.length) {
    const none = syncs ? note("No data sync yet", "Connect another app with createConnection, then createSync: ", api("in GraphiQL")) : note("Waiting for the counts");
    fill(byId("syncs"), syncsDenied ? note("No permission", syncsDenied) : none);
    say(byId("syncs-summary"), "");
    return;
  }
  const ranked = list.map((standing) => [rank(standing), standing]).toSorted(([one], [other]) => one - other);
  table.show(ranked.map(([, standing]) => ({ id: standing.syncId, told: standing, make: () => row(standing) })));
  const parts = [plural(syncs.records, "record", "records"), `${number(syncs.inSync)} in sync`];
  if (syncs.failed) parts.push(`${number(syncs.failed)} failed`);
  if (syncs.openConflicts) parts.push(plural(syncs.openConflicts, "open conflict", "open conflicts"));
  say(byId("syncs-summary"), parts.join(", "));
});

function item([{ externalId, category, tip, message, failedAt, record, sync }, n], looked) {
  const who = record ? named(record) : el("span", {}, externalId ?? "an item");
  const why = message ?? words(category ?? "unknown");
  return failure({ who, at: failedAt, why, tip, where: title(sync), code: category }, n, looked);
}

function showFailed({ syncRecords: { nodes: list } }) {
  const found = alike(list, ({ sync, category }) => `${sync?.id} ${category}`);
  if (found.length) fill(byId("sync-failures"), el("ol", { class: "failures" }, found.map((one) => item(one, list.length))));
  else fill(byId("sync-failures"), note("Nothing failed", "Records that cannot be brought into sync are listed here, with a tip."));
}

const failed = asking("sync-failures", LATEST, showFailed);

on("syncs", show);
on("events", (batch) => batch.some(({ stream, kind }) => stream === "syncEvents" && FAILED.has(kind)) && failed.later());
on("checked", failed.later);

export function begin() {
  table.forget();
  fill(byId("sync-failures"));
  failed.begin();
  show();
}
