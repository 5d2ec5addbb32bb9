// How large segments are, and who joined and left since the page was opened.
import { askIfAllowed } from "./api.js";
import { byId, el, fill, note, say, soon } from "./dom.js";
import { number, plural } from "./format.js";
import { on } from "./store.js";

const ALL = "{ segments(first: 100) { nodes { id name objectType kind size filling problems { message } } } }";
const KINDS = { ACTIVE: "active", STATIC: "static", SNAPSHOT: "snapshot" };
let moves = new Map();
let timer = null;

function move(id) {
  if (!moves.has(id)) moves.set(id, { joined: 0, left: 0 });
  return moves.get(id);
}

function item(segment, most) {
  const { joined, left } = moves.get(segment.id) ?? { joined: 0, left: 0 };
  const length = el("i");
  length.style.width = `${(100 * segment.size) / Math.max(1, most)}%`;
  const told = [
    joined ? el("span", { class: "joined", title: "joined since this page was opened" }, `+${number(joined)}`) : null,
    left ? el("span", { class: "left", title: "left since this page was opened" }, `−${number(left)}`) : null,
  ];
  const broken = segment.problems.length ? el("em", { class: "bad" }, segment.problems[0].message) : null;
  return el(
    "tr",
    { "data-segment": segment.id },
    el(
      "th",
      { scope: "row" },
      segment.name,
      el("small", {}, `${segment.objectType}, ${KINDS[segment.kind]}`, segment.filling ? ", being filled" : "", broken && " ", broken),
      el("div", { class: "length", "aria-hidden": "true" }, length),
    ),
    el("td", { class: "moves", "data-label": "moves" }, told),
    el("td", { class: "size", "data-label": "members" }, number(segment.size)),
  );
}

async function find() {
  const { data, missing } = await askIfAllowed(ALL);
  if (missing) {
    fill(byId("segments"), note("No permission", missing));
    return;
  }
  const list = data.segments.nodes.toSorted((a, b) => b.size - a.size || a.name.localeCompare(b.name));
  say(byId("segments-summary"), list.length ? plural(list.length, "segment", "segments") : "");
  if (!list.length) {
    fill(byId("segments"), note("No segments yet", "Create one with createSegment: active ones follow every change."));
    return;
  }
  const most = list[0].size;
  const head = el("tr", {}, ["Segment", "Joined and left", "Members"].map((text) => el("th", { scope: "col" }, text)));
  const caption = el("caption", { class: "unseen" }, "Segments by size");
  fill(
    byId("segments"),
    el("table", { class: "numbers segments" }, caption, el("thead", { class: "unseen" }, head), el("tbody", {}, list.map((one) => item(one, most)))),
  );
}

// While many move, once in a while is enough.
const later = soon(() => find().catch(() => {}), 700);

on("events", (batch) => {
  const moved = batch.filter(({ stream }) => stream === "segmentEvents");
  for (const { segmentId, joined } of moved) move(segmentId)[joined ? "joined" : "left"] += 1;
  if (moved.length) later();
});
on("checked", later);

export function begin() {
  moves = new Map();
  fill(byId("segments"));
  clearInterval(timer);
  timer = setInterval(() => !document.hidden && later(), 30_000);
  later();
}
