// How workflows stand: all together as tiles, one by one as a table.
import { asking } from "./asking.js";
import { api, byId, el, fill, framed, note, say } from "./dom.js";
import { byName, compact, number, plural } from "./format.js";
import { Rows, cell, share } from "./rows.js";
import { on, store } from "./store.js";

const TILES = [
  ["active", "Active", "on their way"],
  ["waiting", "Waiting", "for a time or an answer"],
  ["completed", "Completed", "went through"],
  ["failed", "Failed", "ended with an error"],
  ["enrolled", "Enrolled", "ever"],
  ["deliveries", "Deliveries", ""],
];
const PARTS = ["completed", "goalMet", "active", "unenrolled", "failed"];
const ALL = "{ workflows(first: 100) { nodes { id name objectType enabled problems { message } } } }";

// Also those that never enrolled anybody, which the counts leave out.
let known = [];
const table = new Rows("workflows", {
  caption: "How each workflow stands",
  head: ["Workflow", ["Active", "active"], "Waiting", ["Completed", "completed"], ["Failed", "failed"], "Share"],
  kind: "stacked",
});

function tiles(status) {
  const outside = status && { ...status, deliveries: status.outboxPending };
  const hints = { deliveries: status?.outboxFailed ? `on their way; ${number(status.outboxFailed)} did not arrive` : "mails and calls on their way" };
  fill(
    byId("tiles"),
    TILES.map(([name, label, hint]) =>
      el(
        "div",
        { "data-tile": name, "data-trouble": name === "deliveries" && Boolean(status?.outboxFailed) },
        el("dt", {}, label),
        el("dd", { title: number(outside?.[name] ?? 0) }, outside ? compact(outside[name]) : "–"),
        el("dd", { class: "hint" }, hints[name] ?? hint),
      ),
    ),
  );
}

const LABELS = { completed: "completed", goalMet: "met the goal", active: "active", unenrolled: "left", failed: "failed" };
const NONE = { enrolled: 0, active: 0, due: 0, waiting: 0, completed: 0, failed: 0, goalMet: 0, unenrolled: 0 };

function row({ id, name, objectType, enabled, backfill, problems }, standing) {
  const going = backfill ? el("em", {}, `enrolling existing records: ${number(backfill.enrolled)} so far`) : null;
  const broken = problems?.length ? el("em", { class: "bad" }, problems[0].message) : null;
  return el(
    "tr",
    { "data-workflow": id },
    el(
      "th",
      { scope: "row" },
      el("span", { class: "name" }, el("i", { class: broken ? "broken" : enabled ? "on" : "off", "aria-hidden": "true" }), el("span", {}, name)),
      el("small", {}, `${objectType}, ${enabled ? "on" : "off"}`, going && ", ", going, broken && ": ", broken),
    ),
    ["active", "waiting", "completed", "failed"].map((part) => cell(part, standing[part])),
    el("td", { class: "sharing" }, share(PARTS, LABELS, standing, standing.enrolled, "nobody enrolled yet")),
  );
}

const show = framed(() => {
  const { status, statusDenied } = store;
  if (statusDenied) {
    fill(byId("workflows"), note("No permission", statusDenied));
    fill(byId("tiles"));
    return;
  }
  tiles(status);
  if (!status) {
    fill(byId("workflows"), note("Waiting for the counts"));
    return;
  }
  const standings = new Map(status.workflows.filter(({ workflow }) => workflow).map((one) => [one.workflowId, one]));
  const listed = new Map(known.map((workflow) => [workflow.id, workflow]));
  for (const [id, { workflow }] of standings) listed.set(id, { ...listed.get(id), id, ...workflow });
  const list = [...listed.values()].map((workflow) => [workflow, standings.get(workflow.id) ?? NONE]);
  list.sort(([a, x], [b, y]) => y.enrolled - x.enrolled || byName(a.name, b.name));
  if (!list.length) {
    fill(byId("workflows"), note("No workflows yet", "Create one with createWorkflow: ", api("GraphiQL has an example")));
    say(byId("workflows-summary"), "");
    return;
  }
  table.show(list.map(([workflow, standing]) => ({ id: workflow.id, told: [workflow, standing], make: () => row(workflow, standing) })));
  const running = list.filter(([workflow]) => workflow.enabled).length;
  say(byId("workflows-summary"), `${plural(running, "workflow", "workflows")} on, ${number(list.length - running)} off`);
});

const all = asking(
  null,
  ALL,
  (data) => {
    known = data?.workflows.nodes ?? [];
    show();
  },
  { every: 30_000 },
);
on("status", show);

export function begin() {
  known = [];
  table.forget();
  say(byId("workflows-summary"), "");
  all.begin();
  show();
}
