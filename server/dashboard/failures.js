// The latest enrollments that ended with an error, and why.
import { askIfAllowed } from "./api.js";
import { byId, el, fill, note, say, soon } from "./dom.js";
import { full, moment, number } from "./format.js";
import { named } from "./graph.js";
import { on, store } from "./store.js";

const LATEST = `{ enrollments(status: FAILED, first: 6) { nodes {
  id endedAt error { code message } workflow { name } record { id displayName } } } }`;
const FAILED = new Set(["ENROLLMENT_FAILED", "STEP_FAILED", "OUTBOX_FAILED"]);
let timer = null;

function item({ endedAt, error, workflow, record }) {
  return el(
    "li",
    {},
    el(
      "p",
      {},
      named(record),
      el("time", { datetime: endedAt, title: full(endedAt) }, moment(endedAt)),
    ),
    el("p", { class: "why" }, error?.message ?? "No reason was kept."),
    el("p", { class: "quiet" }, workflow.name, error && el("code", {}, error.code)),
  );
}

async function find() {
  const { data, missing } = await askIfAllowed(LATEST);
  if (missing) {
    fill(byId("failures"), note("No permission", missing));
    return;
  }
  const list = data.enrollments.nodes;
  if (list.length) fill(byId("failures"), el("ol", { class: "failures" }, list.map(item)));
  else fill(byId("failures"), note("Nothing failed", "Enrollments that end with an error are listed here, with the reason."));
  total();
}

function total() {
  const failed = store.status?.failed ?? 0;
  say(byId("failures-summary"), failed ? `${number(failed)} in all` : "");
}

const later = soon(() => find().catch(() => {}), 600);

on("events", (batch) => batch.some(({ kind }) => FAILED.has(kind)) && later());
on("checked", later);
on("status", total);

export function begin() {
  fill(byId("failures"));
  clearInterval(timer);
  timer = setInterval(() => !document.hidden && later(), 60_000);
  later();
}
