// How syncs stand: one by one as a table, with how far initial syncs are; and the latest records that failed, with tips.
import { askIfAllowed } from "./api.js";
import { byId, el, fill, framed, note, say, soon } from "./dom.js";
import { duration, full, moment, number, plural, rate, words } from "./format.js";
import { named } from "./graph.js";
import * as names from "./names.js";
import { on, store } from "./store.js";

const PARTS = ["inSync", "pending", "conflicted", "failed", "excluded"];
const LABELS = { inSync: "in sync", pending: "pending", conflicted: "in conflict", failed: "failed", excluded: "excluded" };
const ARROWS = { BOTH: "both ways", IN: "in", OUT: "out" };
const LATEST = `{ syncRecords(state: FAILED, first: 6) { nodes {
  id externalId category tip message failedAt record { id displayName objectType } sync { objectType connection { name } } } } }`;
const FAILED = new Set(["RECORD_SYNC_FAILED", "RECORD_SYNCED", "SYNC_DELETED"]);
const rows = new Map();
let body = null;
let timer = null;

/** What people call a sync: what is synced, and with whom. */
export const title = (sync) => (sync ? `${names.plural(sync.objectType)} with ${sync.connection.name}` : "a sync");

/** How the records of a sync are shared out. */
function share(standing) {
  const told = PARTS.filter((part) => standing[part]).map((part) => `${number(standing[part])} ${LABELS[part]}`);
  const node = el("div", { class: "share", role: "img", "aria-label": told.join(", ") || "nothing synced yet" });
  for (const part of PARTS) {
    if (!standing[part]) continue;
    const piece = el("i", { class: part, title: `${number(standing[part])} ${LABELS[part]}` });
    piece.style.flexGrow = standing[part] / Math.max(1, standing.records);
    node.append(piece);
  }
  return node;
}

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
  const cells = ["inSync", "pending", "failed", "conflicted"].map((part) =>
    el("td", { "data-label": LABELS[part], "data-part": part, "data-none": standing[part] === 0 }, number(standing[part])),
  );
  const stopped = trouble(standing);
  return el(
    "tr",
    { "data-sync": syncId },
    el(
      "th",
      { scope: "row" },
      el("span", { class: "name" }, el("i", { class: (enabled || applying) && !stopped ? "on" : "off", "aria-hidden": "true" }), title(sync)),
      el("small", {}, `${theirs}${ARROWS[sync.direction]}, ${state}`, stopped && ", ", stopped),
      progress(standing),
    ),
    cells,
    el("td", { class: "sharing" }, share(standing)),
  );
}

function table(list) {
  if (!body?.isConnected) {
    const head = ["Sync", "In sync", "Pending", "Failed", "Conflicts", "Share"].map((text) => el("th", { scope: "col" }, text));
    body = el("tbody");
    rows.clear();
    const caption = el("caption", { class: "unseen" }, "How each sync stands");
    fill(byId("syncs"), el("table", { class: "numbers stacked" }, caption, el("thead", {}, el("tr", {}, head)), body));
  }
  for (const standing of list) {
    const told = JSON.stringify(standing);
    const before = rows.get(standing.syncId);
    if (before?.told === told) continue;
    const node = row(standing);
    if (before) {
      flash(before.node, node);
      before.node.replaceWith(node);
    } else {
      body.append(node);
    }
    rows.set(standing.syncId, { told, node });
  }
  const there = new Set(list.map(({ syncId }) => syncId));
  for (const [id, { node }] of rows) {
    if (there.has(id)) continue;
    node.remove();
    rows.delete(id);
  }
}

/** Numbers that changed stand out for a moment. */
function flash(before, after) {
  for (const cell of after.querySelectorAll("td[data-part]")) {
    const old = before.querySelector(`td[data-part="${cell.dataset.part}"]`);
    if (old.textContent !== cell.textContent) cell.classList.add("changed");
  }
}

const show = framed(() => {
  const { syncs, syncsDenied } = store;
  const list = syncs?.syncs.filter(({ sync }) => sync) ?? [];
  byId("sync-failures-part").hidden = !list.length;
  if (syncsDenied || !list.length) {
    const none = syncs ? note("No data sync yet", "Connect another app with createConnection, then createSync.") : note("Waiting for the counts");
    fill(byId("syncs"), syncsDenied ? note("No permission", syncsDenied) : none);
    say(byId("syncs-summary"), "");
    return;
  }
  table(list);
  const parts = [plural(syncs.records, "record", "records"), `${number(syncs.inSync)} in sync`];
  if (syncs.openConflicts) parts.push(plural(syncs.openConflicts, "open conflict", "open conflicts"));
  say(byId("syncs-summary"), parts.join(", "));
});

function failure({ externalId, category, tip, message, failedAt, record, sync }) {
  return el(
    "li",
    {},
    el(
      "p",
      {},
      record ? named(record) : el("span", {}, externalId ?? "an item"),
      failedAt && el("time", { datetime: failedAt, title: full(failedAt) }, moment(failedAt)),
    ),
    el("p", { class: "why" }, message ?? words(category ?? "unknown")),
    tip && el("p", { class: "tip" }, tip),
    el("p", { class: "quiet" }, title(sync), category && el("code", {}, category)),
  );
}

async function find() {
  const { data, missing } = await askIfAllowed(LATEST);
  if (missing) return;
  const list = data.syncRecords.nodes;
  if (list.length) fill(byId("sync-failures"), el("ol", { class: "failures" }, list.map(failure)));
  else fill(byId("sync-failures"), note("Nothing failed", "Records that cannot be brought into sync are listed here, with a tip."));
}

const later = soon(() => find().catch(() => {}), 700);

on("syncs", show);
on("events", (batch) => batch.some(({ stream, kind }) => stream === "syncEvents" && FAILED.has(kind)) && later());
on("checked", later);

export function begin() {
  body = null;
  fill(byId("syncs"));
  fill(byId("sync-failures"));
  clearInterval(timer);
  timer = setInterval(() => !document.hidden && later(), 60_000);
  later();
  show();
}
