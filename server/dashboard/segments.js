// How large segments are, and who joined and left within the last hour, as far as this page has seen it.
import { asking } from "./asking.js";
import { api, byId, el, fill, note, say } from "./dom.js";
import { byName, minute, number, plural } from "./format.js";
import { Rows } from "./rows.js";
import { on, store } from "./store.js";

const d3 = window.d3;
const ALL = "{ segments(first: 100) { nodes { id name objectType kind size filling problems { message } } } }";
const KINDS = { ACTIVE: "active", STATIC: "static", SNAPSHOT: "snapshot" };
const MINUTE = 60_000;
const HOUR = 60;
const [WIDTH, HEIGHT] = [64, 18];
// Segment to minute to `{joined, left}`; what is older than an hour is let go.
let moves = new Map();
let opened = 0;
const table = new Rows("segments", {
  caption: "Segments by size",
  head: ["Segment", "Last hour", "Members"],
  kind: "segments",
});

const nowMinute = () => Math.floor(Date.now() / MINUTE);

function move(id, at) {
  if (!moves.has(id)) moves.set(id, new Map());
  const mine = moves.get(id);
  const which = Math.floor(Date.parse(at) / MINUTE);
  if (!mine.has(which)) mine.set(which, { joined: 0, left: 0 });
  return mine.get(which);
}

/** What moved within the hour, oldest first: `{minute, joined, left}`. */
function within(id) {
  const mine = moves.get(id) ?? new Map();
  for (const which of mine.keys()) if (which <= nowMinute() - HOUR) mine.delete(which);
  return [...mine].map(([which, one]) => ({ minute: which, ...one })).toSorted((a, b) => a.minute - b.minute);
}

/** The size over the hour, backwards from what it is now; nothing where it stood still. */
function curve(size, moved) {
  if (!moved.length) return null;
  const end = nowMinute() + 1;
  const begin = Math.max(end - HOUR, Math.floor(opened / MINUTE));
  const points = [[end, size]];
  let at = size;
  for (const one of moved.toReversed()) {
    points.push([one.minute + 1, at]);
    at -= one.joined - one.left;
    points.push([one.minute, at]);
  }
  points.push([begin, at]);
  const x = d3.scaleLinear([begin, end], [1, WIDTH - 1]);
  const [least, most] = d3.extent(points, ([, n]) => n);
  const y = d3.scaleLinear([least, Math.max(most, least + 1)], [HEIGHT - 2, 2]);
  const svg = d3.create("svg").attr("class", "curve").attr("viewBox", [0, 0, WIDTH, HEIGHT]).attr("width", WIDTH).attr("height", HEIGHT);
  svg.attr("aria-hidden", "true").append("path").attr("d", d3.line(([m]) => x(Math.max(m, begin)), ([, n]) => y(n))(points));
  return svg.node();
}

function item(segment, most, moved) {
  const joined = d3.sum(moved, (one) => one.joined);
  const left = d3.sum(moved, (one) => one.left);
  const length = el("i");
  length.style.width = `${(100 * segment.size) / Math.max(1, most)}%`;
  const since = opened > Date.now() - HOUR * MINUTE ? `since ${minute(opened)}` : "in the last hour";
  const told = [
    curve(segment.size, moved),
    joined ? el("span", { class: "joined", title: `joined ${since}` }, `+${number(joined)}`) : null,
    left ? el("span", { class: "left", title: `left ${since}` }, `−${number(left)}`) : null,
  ];
  const broken = segment.problems.length ? el("em", { class: "bad" }, segment.problems[0].message) : null;
  return el(
    "tr",
    { "data-segment": segment.id },
    el(
      "th",
      { scope: "row" },
      el("span", { class: "of" }, segment.name),
      el("small", {}, `${segment.objectType}, ${KINDS[segment.kind]}`, segment.filling ? ", being filled" : "", broken && ": ", broken),
      el("div", { class: "length", "aria-hidden": "true" }, length),
    ),
    el("td", { class: "moves", "data-label": "last hour" }, told),
    el("td", { class: "size", "data-label": "members", "data-part": "size" }, el("span", {}, number(segment.size))),
  );
}

function show({ segments }) {
  const list = segments.nodes.toSorted((a, b) => b.size - a.size || byName(a.name, b.name));
  say(byId("segments-summary"), list.length ? plural(list.length, "segment", "segments") : "");
  if (!list.length) {
    fill(byId("segments"), note("No segments yet", "Create one with createSegment: active ones follow every change. ", api("GraphiQL has an example")));
    return;
  }
  const most = list[0].size;
  table.show(
    list.map((segment) => {
      const moved = within(segment.id);
      const now = moved.length ? nowMinute() : null;
      return { id: segment.id, told: [segment, most, moved, now], make: () => item(segment, most, moved) };
    }),
  );
}

// While many move, once in a while is enough.
const all = asking("segments", ALL, show, { within: 1_200, every: 30_000 });

on("events", (batch) => {
  const moved = batch.filter(({ stream }) => stream === "segmentEvents");
  for (const { segmentId, joined, at } of moved) move(segmentId, at)[joined ? "joined" : "left"] += 1;
  if (moved.length) all.later();
});
on("checked", () => {
  // Who moved meanwhile was not seen: what is told of the hour begins anew.
  if (store.check?.gaps) forget();
  all.later();
});

function forget() {
  moves = new Map();
  opened = Date.now();
}

export function begin() {
  forget();
  table.forget();
  say(byId("segments-summary"), "");
  all.begin();
}
