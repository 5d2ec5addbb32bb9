// How workflows stand: all together as tiles, one by one as a table.
import { askIfAllowed } from "./api.js";
import { byId, el, fill, framed, note, say } from "./dom.js";
import { compact, number, plural } from "./format.js";
import { on, store } from "./store.js";

const TILES = [
  ["active", "Active", "on their way"],
  ["waiting", "Waiting", "for a time or an answer"],
  ["completed", "Completed", "went through"],
  ["failed", "Failed", "ended with an error"],
  ["enrolled", "Enrolled", "ever"],
];
const PARTS = ["completed", "goalMet", "active", "unenrolled", "failed"];
const ALL = "{ workflows(first: 100) { nodes { id name objectType enabled } } }";

// Also those that never enrolled anybody, which the counts leave out.
let known = [];
const rows = new Map();
let body = null;

function tiles(status) {
  fill(
    byId("tiles"),
    TILES.map(([name, label, hint]) =>
      el("div", { "data-tile": name }, el("dt", {}, label), el("dd", { title: number(status?.[name] ?? 0) }, status ? compact(status[name]) : "–"), el("dd", { class: "hint" }, hint)),
    ),
  );
}

/** How the enrollments of a workflow are shared out. */
function bar(standing) {
  const all = Math.max(1, standing.enrolled);
  const told = PARTS.filter((part) => standing[part]).map((part) => `${number(standing[part])} ${LABELS[part]}`);
  const node = el("div", { class: "share", role: "img", "aria-label": told.join(", ") || "nobody enrolled yet" });
  for (const part of PARTS) {
    if (!standing[part]) continue;
    const piece = el("i", { class: part, title: `${number(standing[part])} ${LABELS[part]}` });
    // By script: a style in the markup is against the page's own policy.
    piece.style.flexGrow = standing[part] / all;
    node.append(piece);
  }
  return node;
}
const LABELS = { completed: "completed", goalMet: "met the goal", active: "active", unenrolled: "left", failed: "failed" };
const NONE = { enrolled: 0, active: 0, due: 0, waiting: 0, completed: 0, failed: 0, goalMet: 0, unenrolled: 0 };

function row({ id, name, objectType, enabled, backfill }, standing) {
  const going = backfill ? el("em", {}, `enrolling existing records: ${number(backfill.enrolled)} so far`) : null;
  const cells = ["active", "waiting", "completed", "failed"].map((part) =>
    el("td", { "data-label": part, "data-part": part, "data-none": standing[part] === 0 }, number(standing[part])),
  );
  return el(
    "tr",
    { "data-workflow": id },
    el(
      "th",
      { scope: "row" },
      el("span", { class: "name" }, el("i", { class: enabled ? "on" : "off", "aria-hidden": "true" }), name),
      el("small", {}, `${objectType}, ${enabled ? "on" : "off"}`, going && ", ", going),
    ),
    cells,
    el("td", { class: "sharing" }, bar(standing)),
  );
}

function table(list) {
  if (!body?.isConnected) {
    const names = ["Workflow", "Active", "Waiting", "Completed", "Failed", "Share"];
    const head = el("tr", {}, names.map((text) => el("th", { scope: "col" }, text)));
    body = el("tbody");
    rows.clear();
    const caption = el("caption", { class: "unseen" }, "How each workflow stands");
    fill(byId("workflows"), el("table", { class: "numbers stacked" }, caption, el("thead", {}, head), body));
  }
  for (const [workflow, standing] of list) {
    const told = JSON.stringify([workflow, standing]);
    const before = rows.get(workflow.id);
    if (before?.told === told) continue;
    const node = row(workflow, standing);
    if (before) {
      flash(before.node, node);
      before.node.replaceWith(node);
    } else {
      body.append(node);
    }
    rows.set(workflow.id, { told, node });
  }
  const there = new Set(list.map(([workflow]) => workflow.id));
  for (const [id, { node }] of rows) {
    if (!there.has(id)) {
      node.remove();
      rows.delete(id);
    }
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
  for (const [id, { workflow }] of standings) listed.set(id, { id, ...workflow });
  const list = [...listed.values()].map((workflow) => [workflow, standings.get(workflow.id) ?? NONE]);
  list.sort(([a, x], [b, y]) => y.enrolled - x.enrolled || a.name.localeCompare(b.name));
  if (!list.length) {
    fill(byId("workflows"), note("No workflows yet", "Create one with createWorkflow; GraphiQL has an example."));
    say(byId("workflows-summary"), "");
    return;
  }
  table(list);
  const running = list.filter(([workflow]) => workflow.enabled).length;
  say(byId("workflows-summary"), `${plural(running, "workflow", "workflows")} on, ${number(list.length - running)} off`);
});

async function find() {
  const { data } = await askIfAllowed(ALL);
  known = data?.workflows.nodes ?? [];
  show();
}

on("status", show);
let timer = null;

export function begin() {
  known = [];
  body = null;
  fill(byId("workflows"));
  clearInterval(timer);
  timer = setInterval(() => !document.hidden && find().catch(() => {}), 30_000);
  find().catch(() => show());
  show();
}
