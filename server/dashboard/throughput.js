// Enrollments a few seconds at a time over the last minutes: a chart, and the same as a table.
import { asking } from "./asking.js";
import { byId, el, fill, framed, note, soon } from "./dom.js";
import { minute, number, short } from "./format.js";
import { on, store } from "./store.js";

const d3 = window.d3;
const MINUTES = 10;
const SLOT = 10_000;
const SLOTS = (MINUTES * 60_000) / SLOT;
const KINDS = { ENROLLED: "enrolled", ENROLLMENT_COMPLETED: "completed", ENROLLMENT_FAILED: "failed" };
const SERIES = ["enrolled", "completed", "failed"];
const HEIGHT = 190;
const CURVE = d3.curveMonotoneX;
const MARGIN = { top: 12, right: 32, bottom: 24, left: 48 };
const BEFORE = `{ enrollments(first: 500) { nodes { id status enrolledAt endedAt } pageInfo { hasNextPage } } }`;

// What happened within ten seconds each: the slot's begin to `{enrolled, completed, failed}`.
let counted = new Map();
// Whom the first question told of, or who was told of before it was answered: "enrollment kind", counted once.
let heard = new Set();
let answered = false;
// What was before is unknown: not read.
let since = 0;
let gaps = 0;
// When the line was cut, 0 while it stands: what is behind it is not known yet.
let cut = 0;
let timer = null;
let denied = "";

function count(series, at) {
  const slot = Math.floor(at / SLOT) * SLOT;
  if (!counted.has(slot)) counted.set(slot, { enrolled: 0, completed: 0, failed: 0 });
  counted.get(slot)[series] += 1;
}

function once(id, series, at) {
  const key = `${id} ${series}`;
  if (heard.has(key)) return;
  heard.add(key);
  count(series, Date.parse(at));
}

/** What was enrolled and ended shortly before the page was opened. */
function before(data, missing) {
  denied = missing ?? "";
  if (data) {
    const { nodes, pageInfo } = data.enrollments;
    for (const { id, status, enrolledAt, endedAt } of nodes) {
      once(id, "enrolled", enrolledAt);
      if (status === "COMPLETED") once(id, "completed", endedAt);
      if (status === "FAILED") once(id, "failed", endedAt);
    }
    // Older ones than were read are unknown, not none.
    since = pageInfo.hasNextPage ? Date.parse(nodes.at(-1).enrolledAt) : 0;
  }
  answered = true;
  show();
  return null;
}
const earlier = asking(null, BEFORE, before);

/** Count from nothing, with what was before. */
function anew() {
  counted = new Map();
  heard = new Set();
  answered = false;
  // Until the first question is answered, nothing is known of what was before.
  since = Date.now();
  earlier.begin();
}

/** Slots of the last minutes, oldest first: `{at, enrolled, completed, failed}`. */
function slots(now = Date.now()) {
  const end = Math.ceil(now / SLOT) * SLOT;
  const begin = end - SLOTS * SLOT;
  for (const at of counted.keys()) if (at < begin) counted.delete(at);
  const found = d3.range(SLOTS).map((n) => ({ enrolled: 0, completed: 0, failed: 0, ...counted.get(begin + n * SLOT), at: begin + n * SLOT }));
  // The server's clock may go before ours.
  for (const [at, early] of counted) if (at >= end) for (const series of SERIES) found.at(-1)[series] += early[series];
  return found;
}

/** The time that is told of. */
const span = (found) => (since > found[0].at ? `since ${minute(since)}` : `in ${MINUTES} minutes`);
const total = (found, series) => d3.sum(found, (slot) => slot[series]);

function words(found) {
  const [enrolled, completed, failed] = SERIES.map((series) => total(found, series));
  if (!enrolled && !completed && !failed) return `Quiet ${since > found[0].at ? span(found) : `for ${MINUTES} minutes`}`;
  return `${number(enrolled)} enrolled, ${number(completed)} completed, ${number(failed)} failed ${span(found)}`;
}

/** What the colours mean, with the sums. */
function legend(found) {
  const told = SERIES.map((series) => [series, number(total(found, series))]);
  const now = JSON.stringify([told, span(found)]);
  if (byId("flow-summary").dataset.told === now) return;
  byId("flow-summary").dataset.told = now;
  fill(
    byId("flow-summary"),
    told.map(([series, n]) => el("li", {}, el("i", { class: series, "aria-hidden": "true" }), el("b", {}, n), ` ${series}`)),
    el("li", {}, span(found)),
  );
}

function draw(found) {
  const place = byId("flow");
  const width = Math.max(260, place.clientWidth);
  const x = d3.scaleLinear([found[0].at, found.at(-1).at + SLOT], [MARGIN.left, width - MARGIN.right]);
  const most = d3.max(found, (slot) => Math.max(slot.enrolled, slot.completed + slot.failed)) ?? 0;
  const y = d3.scaleLinear([0, Math.max(4, most)], [HEIGHT - MARGIN.bottom, MARGIN.top]).nice(4);
  let svg = d3.select(place).select("svg");
  if (svg.empty()) {
    svg = d3.select(place).append("svg").attr("class", "chart").attr("role", "img");
    for (const layer of ["grid", "hours", "unknown", "area", "bars", "line"]) svg.append("g").attr("class", layer);
  }
  svg.attr("viewBox", [0, 0, width, HEIGHT]).attr("height", HEIGHT).attr("aria-label", `Throughput: ${words(found)}.`);
  grid(svg.select(".grid"), y, width);
  hours(svg.select(".hours"), x, width);
  const step = x(SLOT) - x(0);
  const base = y(0);
  svg
    .select(".bars")
    .selectAll("g")
    .data(found, (slot) => slot.at)
    .join((enter) => {
      const group = enter.append("g");
      group.append("rect").attr("class", "completed");
      group.append("rect").attr("class", "failed");
      return group;
    })
    .each(function ({ at, completed, failed }) {
      const [lower, upper] = d3.select(this).selectAll("rect").attr("x", x(at) + 1).attr("width", Math.max(1, step - 2)).nodes();
      d3.select(lower).attr("y", y(completed)).attr("height", base - y(completed));
      d3.select(upper).attr("y", y(completed + failed)).attr("height", y(completed) - y(completed + failed));
    });
  const middle = (slot) => x(slot.at + SLOT / 2);
  const top = (slot) => y(slot.enrolled);
  const known = found.filter((slot) => slot.at + SLOT > since && (!cut || slot.at <= cut));
  svg.select(".line").selectAll("path").data([known]).join("path").attr("d", d3.line(middle, top).curve(CURVE));
  svg.select(".area").selectAll("path").data([known]).join("path").attr("d", d3.area(middle, base, top).curve(CURVE));
  const unknown = since > found[0].at ? [since] : [];
  svg
    .select(".unknown")
    .selectAll("rect")
    .data(unknown)
    .join("rect")
    .attr("x", MARGIN.left)
    .attr("y", MARGIN.top)
    .attr("width", (until) => Math.max(0, x(until) - MARGIN.left))
    .attr("height", base - MARGIN.top);
}

function grid(group, y, width) {
  const rows = group.selectAll("g").data(y.ticks(4).filter(Number.isInteger), (n) => n);
  const made = rows.enter().append("g");
  made.append("line");
  made.append("text");
  rows.exit().remove();
  const all = made.merge(rows).attr("transform", (n) => `translate(0,${y(n)})`);
  all.select("line").attr("x1", MARGIN.left).attr("x2", width - MARGIN.right);
  all.select("text").attr("x", MARGIN.left - 8).attr("dy", "0.32em").text((n) => short(n));
}

function hours(group, x, width) {
  const [from, to] = x.domain();
  const every = (width < 520 ? 5 : 2) * 60_000;
  const ticks = d3.range(Math.ceil(from / every) * every, to, every);
  group
    .selectAll("text")
    .data(ticks, (at) => at)
    .join("text")
    .attr("x", (at) => Math.min(x(at), width - 22))
    .attr("y", HEIGHT - 6)
    .text((at) => minute(at));
}

/** Minute by minute, for those who would rather read. */
function table(found) {
  const minutes = d3.groups(found, (slot) => Math.floor(slot.at / 60_000)).toReversed();
  const head = el("tr", {}, ["Minute", "Enrolled", "Completed", "Failed"].map((text) => el("th", { scope: "col" }, text)));
  const rows = minutes.map(([, within]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, minute(within[0].at)),
      SERIES.map((series) => el("td", {}, number(total(within, series)))),
    ),
  );
  const caption = el("caption", { class: "unseen" }, "Enrollments minute by minute, newest first");
  fill(byId("flow-table"), el("table", { class: "numbers" }, caption, el("thead", {}, head), el("tbody", {}, rows)));
}

const later = soon(() => table(slots()), 5_000);

const show = framed(() => {
  if (denied || store.statusDenied) {
    fill(byId("flow"), note("No permission", denied || store.statusDenied));
    fill(byId("flow-table"));
    fill(byId("flow-summary"));
    byId("flow-table-toggle").hidden = true;
    return;
  }
  byId("flow-table-toggle").hidden = false;
  const found = slots();
  draw(found);
  legend(found);
  if (!byId("flow-table").firstChild) table(found);
  later();
});

byId("flow-table-toggle").addEventListener("click", ({ target }) => {
  const open = target.getAttribute("aria-expanded") !== "true";
  target.setAttribute("aria-expanded", String(open));
  byId("flow-table").classList.toggle("unseen", !open);
});
on("events", (batch) => {
  for (const { kind, enrollmentId, at, stream } of batch) {
    const series = stream === "enrollmentEvents" ? KINDS[kind] : null;
    if (!series) continue;
    // Once the first question is answered, only whom it told of can be told of again.
    if (!answered || heard.has(`${enrollmentId} ${series}`)) once(enrollmentId ?? at, series, at);
    else count(series, Date.parse(at));
  }
  show();
});
on("connection", () => {
  const lost = store.streams.find(({ field }) => field === "enrollmentEvents")?.gaps ?? 0;
  // What the log no longer tells of, the enrollments themselves do.
  if (lost > gaps) anew();
  gaps = lost;
  if (store.connection.state === "live") cut = 0;
  else cut ||= Date.now();
});
new ResizeObserver(() => show()).observe(byId("flow"));

export function begin() {
  gaps = 0;
  denied = "";
  for (const id of ["flow", "flow-table", "flow-summary"]) fill(byId(id));
  delete byId("flow-summary").dataset.told;
  clearInterval(timer);
  timer = setInterval(show, SLOT / 2);
  anew();
  show();
}
