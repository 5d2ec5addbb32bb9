// Why enrollments failed of late, the latest reason first: what failed alike is told once, with how often.
import { asking } from "./asking.js";
import { byId, el, fill, note, say } from "./dom.js";
import { full, moment, number } from "./format.js";
import { named } from "./graph.js";
import { on, store } from "./store.js";

const LOOKED_AT = 50;
const SHOWN = 6;
const LATEST = `{ enrollments(status: FAILED, first: 50) { nodes {
  id endedAt error { code message } workflow { id name } record { id displayName } } } }`;
const FAILED = new Set(["ENROLLMENT_FAILED", "STEP_FAILED", "OUTBOX_FAILED"]);

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

function show({ enrollments }) {
  const list = enrollments.nodes;
  const found = alike(list, ({ workflow, error }) => `${workflow.id} ${error?.code}`);
  if (found.length) fill(byId("failures"), el("ol", { class: "failures" }, found.map((one) => item(one, list.length))));
  else fill(byId("failures"), note("Nothing failed", "Enrollments that end with an error are listed here, with the reason."));
  total();
}

function total() {
  const failed = store.status?.failed ?? 0;
  say(byId("failures-summary"), failed ? `${number(failed)} in all` : "");
}

const latest = asking("failures", LATEST, show);

on("events", (batch) => batch.some(({ kind }) => FAILED.has(kind)) && latest.later());
on("checked", latest.later);
on("status", total);

export function begin() {
  fill(byId("failures"));
  say(byId("failures-summary"), "");
  latest.begin();
}
