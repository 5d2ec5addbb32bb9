// Imports: the latest ones, how far each is, and what was wrong with its rows.
import { file } from "./api.js";
import { asking } from "./asking.js";
import { api, byId, el, fill, note, say } from "./dom.js";
import { duration, full, moment, number, plural, rate, words } from "./format.js";
import { Rows, cell } from "./rows.js";
import { on } from "./store.js";

const LATEST = `{ imports(first: 6) { nodes { id name kind status startedAt endedAt rows created updated unchanged failed
  share rate secondsLeft reason errorsUrl errorCount errorCounts { code count }
  errorGroups { code column count rows message } findings { create update unchanged fail }
  undone { archived restored kept } } } }`;
const WORKING = new Set(["CHECKING", "RUNNING", "UNDOING"]);
const CHECKS = new Set(["CHECKING", "CHECKED"]);
const BAD = new Set(["FAILED"]);
const STATES = {
  CREATED: "waits for its file",
  UPLOADED: "ready",
  CHECKING: "being checked",
  CHECKED: "checked",
  RUNNING: "running",
  PAUSED: "paused",
  DONE: "done",
  FAILED: "broke off",
  CANCELLED: "cancelled",
  UNDOING: "being taken back",
  UNDONE: "taken back",
};
// So many kinds of errors are told at once; the others behind a line.
const GROUPS = 3;
const PARTS = ["rows", "created", "updated", "unchanged", "failed"];
const table = new Rows("imports", {
  caption: "The latest imports, with what was wrong",
  head: ["File", "Rows", "Created", "Updated", "Unchanged", "Failed"],
  kind: "stacked imports",
  grouped: true,
});
// Which imports' further errors are open; a row that is made anew leaves them so.
const opened = new Set();

/** How far one is, in words. */
function far({ status, share, rows, rate: perSecond, secondsLeft }) {
  const parts = [`${Math.floor(share * 100)} %`, plural(rows, "row", "rows")];
  if (perSecond !== null && rows) parts.push(`${rate(perSecond)} a second`);
  if (secondsLeft !== null && status !== "PAUSED") parts.push(`${duration(secondsLeft)} left`);
  return parts.join(", ");
}

function progress(one) {
  if (!["CHECKING", "RUNNING", "PAUSED"].includes(one.status)) return null;
  const text = far(one);
  const bar = el("i");
  bar.style.width = `${Math.min(100, 100 * one.share)}%`;
  const range = { "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.floor(one.share * 100) };
  const attributes = { class: "length", role: "progressbar", "aria-label": `Import of ${one.name}`, "aria-valuetext": text };
  return el("div", { class: "initial" }, el("small", {}, text), el("div", { ...attributes, ...range }, bar));
}

/** What became of it, or would. */
function outcome({ status, findings, undone, reason }) {
  if (reason) return el("em", { class: "bad" }, reason);
  if (status === "CHECKED" && findings) {
    const { create, update, unchanged, fail } = findings;
    return `would make ${number(create)}, change ${number(update)}, leave ${number(unchanged)}; ${number(fail)} would fail`;
  }
  if (undone) return `${number(undone.archived)} archived, ${number(undone.restored)} restored, ${number(undone.kept)} kept`;
  return null;
}

/** The same thing wrong in the same column: how often, the first of it in words, and where. */
function group({ code, column, count, rows, message }) {
  const where = [column && `column ${column}`, `${rows.length === 1 ? "row" : "rows"} ${rows.map(number).join(", ")}${count > rows.length ? ", …" : ""}`];
  return el(
    "li",
    {},
    el("b", {}, number(count)),
    el("div", {}, el("p", {}, message), el("p", { class: "quiet" }, where.filter(Boolean).join(", "), el("code", {}, code))),
  );
}

/** What was wrong, and all of it as a file: fetched with the key, which never stands in an address. */
function errors(one) {
  const { id, errorGroups, errorCount, errorCounts, errorsUrl } = one;
  if (!errorCount) return null;
  const items = errorGroups.map(group);
  const rest = items.splice(GROUPS);
  const button = el("button", { type: "button", class: "plain", onclick: () => void download(button, errorsUrl, id) }, "Errors as CSV");
  const further = el(
    "details",
    { open: opened.has(id), ontoggle: ({ target }) => opened[target.open ? "add" : "delete"](id) },
    el("summary", {}, `${plural(rest.length, "more kind", "more kinds")} of errors`),
    el("ul", { class: "wrong" }, rest),
  );
  // Counts are of all errors, groups of those that are kept.
  const kept = errorGroups.reduce((sum, { count }) => sum + count, 0);
  const all = errorCounts.map(({ code, count }) => `${number(count)} ${words(code)}`).join(", ");
  return el(
    "tr",
    { class: "detail" },
    el(
      "td",
      { colspan: PARTS.length + 1 },
      el("ul", { class: "wrong", "aria-label": `What was wrong in ${one.name}, the most frequent first` }, items),
      rest.length ? further : null,
      el("p", { class: "quiet" }, button, kept < errorCount ? ` In all: ${all}.` : null),
    ),
  );
}

async function download(button, url, id) {
  button.disabled = true;
  try {
    // On this server, whatever name it has outside.
    const found = await file(new URL(url, location.href).pathname);
    const link = el("a", { href: URL.createObjectURL(found), download: `${id}-errors.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch {
    button.textContent = "Not to be had; try again";
  } finally {
    button.disabled = false;
  }
}

function row(one) {
  const { id, name, status, startedAt, endedAt } = one;
  // A check makes nothing: what it foresees is told in words.
  const foreseen = CHECKS.has(status);
  const said = outcome(one);
  const at = endedAt ?? startedAt;
  return el(
    "tbody",
    { "data-import": id },
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("span", { class: "name" }, el("i", { class: BAD.has(status) ? "broken" : WORKING.has(status) ? "going" : "on", "aria-hidden": "true" }), el("span", {}, name)),
        el("small", {}, STATES[status] ?? words(status), ", ", el("time", { datetime: at, title: full(at) }, moment(at)), said && ", ", said),
        progress(one),
      ),
      PARTS.map((part) => cell(part, foreseen && part !== "rows" ? null : one[part])),
    ),
    errors(one),
  );
}

function show({ imports: { nodes: list } }) {
  const working = list.filter(({ status }) => WORKING.has(status)).length;
  say(byId("imports-summary"), working ? `${number(working)} under way` : "");
  if (list.length) table.show(list.map((one) => ({ id: one.id, told: one, make: () => row(one) })));
  else fill(byId("imports"), note("No imports yet", "Bring a file in with relata import, or with createImport: ", api("in GraphiQL")));
  // What goes on is looked at each second; what does not, when something happens.
  return working ? 1_000 : undefined;
}

const latest = asking("imports", LATEST, show, { within: 300 });

on("events", (batch) => batch.some(({ stream }) => stream === "importEvents") && latest.later());
on("checked", latest.later);

export function begin() {
  opened.clear();
  table.forget();
  say(byId("imports-summary"), "");
  latest.begin();
}
