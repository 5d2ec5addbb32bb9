// Imports: the latest ones, how far each is, and what was wrong with its rows.
import { askIfAllowed, keys } from "./api.js";
import { byId, el, fill, note, say, soon } from "./dom.js";
import { duration, full, moment, number, plural, rate, words } from "./format.js";
import { on } from "./store.js";

const LATEST = `{ imports(first: 6) { nodes { id name kind status startedAt endedAt rows created updated unchanged failed
  share rate secondsLeft reason errorsUrl errorCounts { code count } findings { create update unchanged fail }
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
const CODES = 3;
let timer = null;

/** How far one is, in words. */
function far({ status, share, rows, rate: perSecond, secondsLeft }) {
  const parts = [`${Math.floor(share * 100)} %`, plural(rows, "row", "rows")];
  if (perSecond !== null && rows) parts.push(`${rate(perSecond < 10 ? perSecond : Math.round(perSecond))} a second`);
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

/** The errors by code, and all of them as a file: fetched with the key, which never stands in an address. */
function errors({ errorCounts, errorsUrl, id }) {
  if (!errorCounts.length) return null;
  const told = errorCounts.slice(0, CODES).map(({ code, count }) => `${number(count)} ${words(code)}`);
  if (errorCounts.length > CODES) told.push("…");
  const button = el("button", { type: "button", class: "plain", onclick: () => void download(button, errorsUrl, id) }, "Errors as CSV");
  return el("p", { class: "quiet" }, told.join(", "), " ", button);
}

async function download(button, url, id) {
  button.disabled = true;
  try {
    // On this server, whatever name it has outside.
    const path = new URL(url, location.href).pathname;
    const answer = await fetch(path, { headers: { authorization: `Bearer ${keys.get()}` } });
    if (!answer.ok) throw new Error(String(answer.status));
    const link = el("a", { href: URL.createObjectURL(await answer.blob()), download: `${id}-errors.csv` });
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
  const figures = ["rows", "created", "updated", "unchanged", "failed"].map((part) => {
    const told = foreseen && part !== "rows" ? null : one[part];
    return el("td", { "data-label": part, "data-part": part, "data-none": !told }, number(told));
  });
  const said = outcome(one);
  const at = endedAt ?? startedAt;
  return el(
    "tr",
    { "data-import": id },
    el(
      "th",
      { scope: "row" },
      el("span", { class: "name" }, el("i", { class: BAD.has(status) ? "off" : "on", "aria-hidden": "true" }), name),
      el("small", {}, STATES[status] ?? words(status), ", ", el("time", { datetime: at, title: full(at) }, moment(at)), said && ", ", said),
      progress(one),
      errors(one),
    ),
    figures,
  );
}

function show(list) {
  const working = list.filter(({ status }) => WORKING.has(status)).length;
  say(byId("imports-summary"), working ? `${number(working)} under way` : "");
  if (!list.length) {
    fill(byId("imports"), note("No imports yet", "relata import, or createImport, brings files in."));
    return working;
  }
  const head = ["File", "Rows", "Created", "Updated", "Unchanged", "Failed"].map((text) => el("th", { scope: "col" }, text));
  const caption = el("caption", { class: "unseen" }, "The latest imports");
  const body = el("tbody", {}, list.map(row));
  fill(byId("imports"), el("table", { class: "numbers stacked" }, caption, el("thead", {}, el("tr", {}, head)), body));
  return working;
}

async function find() {
  clearTimeout(timer);
  const { data, missing } = await askIfAllowed(LATEST);
  if (missing) {
    fill(byId("imports"), note("No permission", missing));
    return;
  }
  // What goes on is looked at each second; what does not, when something happens.
  const working = show(data.imports.nodes);
  timer = setTimeout(later, working && !document.hidden ? 1_000 : 60_000);
}

const later = soon(() => find().catch(() => (timer = setTimeout(later, 5_000))), 300);

on("events", (batch) => batch.some(({ stream }) => stream === "importEvents") && later());
on("checked", later);

export function begin() {
  fill(byId("imports"));
  later();
}
