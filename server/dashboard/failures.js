// Why enrollments failed of late, the latest reason first: what failed alike is told once, with how often.
import { askIfAllowed } from "./api.js";
import { byId, el, fill, note, say, soon } from "./dom.js";
import { full, moment, number } from "./format.js";
import { named } from "./graph.js";
import { on, store } from "./store.js";

const LOOKED_AT = 50;
const SHOWN = 6;
const LATEST = `{ enrollments(status: FAILED, first: 50) { nodes {
  id endedAt error { code message } workflow { id name } record { id displayName } } } }`;
const FAILED = new Set(["ENROLLMENT_FAILED", "STEP_FAILED", "OUTBOX_FAILED"]);
let timer = null;

/** What is alike, each with the first of it and how many there are: `[first, n]`, in the order given. */
export function alike(list, key) {
  const found = new Map();
  for (const one of list) {
    const known = found.get(key(one));
    if (known) known[1] += 1;
    else found.set(key(one), [one, 1]);
  }
  return [...found.values()].slice(0, SHOWN);
}

/** A failure and its like: who, when, why, what to do, where. */
export function failure({ who, at, why, tip, where, code }, n, looked) {
  const more = n > 1 ? `${number(n)} like this${looked < LOOKED_AT ? "" : ` among the latest ${number(looked)}`}` : null;
  return el(
    "li",
    {},
    el("p", {}, who, at && el("time", { datetime: at, title: full(at) }, moment(at))),
    el("p", { class: "why" }, why),
    tip && el("p", { class: "tip" }, tip),
    el("p", { class: "quiet" }, el("span", { class: "of" }, where), code && el("code", {}, code), more && el("span", { class: "alike" }, more)),
  );
}

function item([{ endedAt, error, workflow, record }, n], looked) {
  const why = error?.message ?? "No reason was kept.";
  return failure({ who: named(record), at: endedAt, why, where: workflow.name, code: error?.code }, n, looked);
}

async function find() {
  const { data, missing } = await askIfAllowed(LATEST);
  if (missing) {
    fill(byId("failures"), note("No permission", missing));
    return;
  }
  const list = data.enrollments.nodes;
  const found = alike(list, ({ workflow, error }) => `${workflow.id} ${error?.code}`);
  if (found.length) fill(byId("failures"), el("ol", { class: "failures" }, found.map((one) => item(one, list.length))));
  else fill(byId("failures"), note("Nothing failed", "Enrollments that end with an error are listed here, with the reason."));
  total();
}

function total() {
  const failed = store.status?.failed ?? 0;
  say(byId("failures-summary"), failed ? `${number(failed)} in all` : "");
}

const later = soon(() => find().catch(() => {}), 1_500);

on("events", (batch) => batch.some(({ kind }) => FAILED.has(kind)) && later());
on("checked", later);
on("status", total);

export function begin() {
  fill(byId("failures"));
  clearInterval(timer);
  timer = setInterval(() => !document.hidden && later(), 60_000);
  find().catch(() => {});
}
