// Bars and lines of a report: categories, and a series for each colour.
import { measure, short as compact } from "./format.js";

const d3 = window.d3;
const COLOURS = 8;
const ROW = 30;
const MOST_BARS = 15;
const HEIGHT = 240;
const MARGIN = { top: 14, right: 32, bottom: 26, left: 48 };
const MOST_POINTS = 400;

/** The class of a series' colour: what has no value, and all others, are two greys. */
export function shades(key, n) {
  if (key === null) return "s0";
  if (key.others || n >= COLOURS) return "s-others";
  return key.label === "(No value)" ? "s-none" : `s${n}`;
}

function canvas(width, height) {
  return d3.create("svg").attr("class", "chart").attr("role", "img").attr("viewBox", [0, 0, width, height]).attr("height", height);
}

/** A text as short as its place: about so many pixels. */
function short(text, pixels) {
  const most = Math.max(4, Math.floor(pixels / 7));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** Lying bars, a row for each category; parts stand behind each other, other numbers below. */
export function bars({ categories, series, stacked }, width) {
  const shown = categories.slice(0, MOST_BARS);
  const one = stacked || series.length === 1;
  const sum = (n) => d3.sum(series, ({ values }) => values[n] ?? 0);
  const least = Math.min(0, d3.min(series, ({ values }) => d3.min(values.slice(0, MOST_BARS))) ?? 0);
  const most = one ? d3.max(shown, (_, n) => sum(n)) : d3.max(series, ({ values }) => d3.max(values.slice(0, MOST_BARS)));
  const names = Math.min(190, width * 0.42, 14 + 7 * d3.max(shown, ({ label }) => label.length));
  const x = d3.scaleLinear([least, Math.max(least + 1e-9, most ?? 1)], [names, width - 62]);
  const row = one ? ROW : Math.max(ROW, 10 * series.length + 8);
  const left = categories.length - shown.length;
  const svg = canvas(width, shown.length * row + 4 + (left ? 22 : 0));
  shown.forEach((category, n) => {
    const group = svg.append("g").attr("transform", `translate(0,${n * row + 2})`);
    group.append("text").attr("class", "name").attr("x", names - 10).attr("y", row / 2).attr("dy", "0.34em").text(short(category.label, names - 14));
    group.append("rect").attr("class", "ground").attr("x", names).attr("y", 5).attr("width", width - 62 - names).attr("height", row - 10).attr("rx", 4);
    let at = 0;
    series.forEach(({ label, shade, values }, k) => {
      const value = values[n];
      if (value === null || value === 0) return;
      const [from, to] = one && least === 0 ? [at, (at += value)] : [0, value];
      const bar = group.append("rect").attr("class", shade).attr("rx", 3);
      bar.attr("x", x(Math.min(from, to))).attr("width", Math.max(1.5, Math.abs(x(to) - x(from)) - 1));
      bar.attr("y", one ? 5 : 4 + (k * (row - 8)) / series.length).attr("height", one ? row - 10 : (row - 8) / series.length - 1);
      bar.append("title").text(`${category.label}${series.length > 1 ? `, ${label}` : ""}: ${measure(value)}`);
    });
    const end = one ? sum(n) : d3.max(series, ({ values }) => values[n]);
    if (one && series.every(({ values }) => values[n] === null)) return;
    group.append("text").attr("class", "value").attr("x", width - 54).attr("y", row / 2).attr("dy", "0.34em").text(compact(end ?? 0));
  });
  if (left) svg.append("text").attr("class", "name more").attr("x", names).attr("y", shown.length * row + 18).text(`and ${left} more in the table`);
  return svg.node();
}

const NEXT = {
  YEAR: (key) => String(Number(key) + 1).padStart(4, "0"),
  QUARTER: (key) => (key.endsWith("4") ? `${NEXT.YEAR(key.slice(0, 4))}-Q1` : `${key.slice(0, 6)}${Number(key[6]) + 1}`),
  MONTH: (key) => (key.endsWith("12") ? `${NEXT.YEAR(key.slice(0, 4))}-01` : `${key.slice(0, 5)}${String(Number(key.slice(5)) + 1).padStart(2, "0")}`),
  DAY: (key) => new Date(Date.parse(`${key}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10),
};

/** Categories with those between them in which there was nothing. */
function filled(categories, bucket) {
  const known = categories.filter(({ value }) => value !== null);
  const next = NEXT[bucket];
  if (!next || known.length < 2) return known;
  const place = new Map(known.map((one) => [one.value, one]));
  const last = d3.max(known, ({ value }) => value);
  const found = [];
  for (let key = d3.min(known, ({ value }) => value); key <= last; key = next(key)) {
    found.push(place.get(key) ?? { value: key, label: key });
    if (found.length > MOST_POINTS) return known;
  }
  return found.length >= known.length ? found : known;
}

/** A line for each series; where parts of a whole are nothing, they are 0. */
export function lines({ categories, series, bucket, stacked }, width) {
  const points = filled(categories, bucket);
  const place = new Map(categories.map(({ value }, n) => [value, n]));
  const at = (values, { value }) => (place.has(value) ? values[place.get(value)] : null) ?? (stacked ? 0 : null);
  const told = series.map((one) => ({ ...one, values: points.map((point) => at(one.values, point)) }));
  const x = d3.scalePoint(d3.range(points.length), [MARGIN.left, width - MARGIN.right]).padding(points.length > 1 ? 0.1 : 0.5);
  const every = told.flatMap(({ values }) => values);
  const y = d3.scaleLinear([Math.min(0, d3.min(every) ?? 0), d3.max(every) || 1], [HEIGHT - MARGIN.bottom, MARGIN.top]).nice(4);
  const svg = canvas(width, HEIGHT);
  const grid = svg.append("g").attr("class", "grid").selectAll("g").data(y.ticks(4)).join("g").attr("transform", (n) => `translate(0,${y(n)})`);
  grid.append("line").attr("x1", MARGIN.left).attr("x2", width - MARGIN.right);
  grid.append("text").attr("x", MARGIN.left - 8).attr("dy", "0.32em").text((n) => compact(n));
  const step = Math.max(1, Math.ceil((points.length * 66) / (width - MARGIN.left)));
  const ticks = svg.append("g").attr("class", "hours");
  points.forEach(({ label }, n) => {
    if ((points.length - 1 - n) % step === 0) ticks.append("text").attr("x", x(n)).attr("y", HEIGHT - 6).text(label);
  });
  for (const { label, shade, values } of told) {
    const line = d3.line((_, n) => x(n), (value) => y(value)).defined((value) => value !== null).curve(d3.curveMonotoneX);
    if (told.length === 1) {
      const area = d3.area((_, n) => x(n), y(0), (value) => y(value)).defined((value) => value !== null).curve(d3.curveMonotoneX);
      svg.append("path").attr("class", `area ${shade}`).attr("d", area(values));
    }
    svg.append("path").attr("class", `stroke ${shade}`).attr("d", line(values));
    const dots = svg.append("g").attr("class", shade);
    values.forEach((value, n) => {
      if (value === null) return;
      dots.append("circle").attr("cx", x(n)).attr("cy", y(value)).attr("r", points.length > 60 ? 1.5 : 3);
      const spot = dots.append("circle").attr("class", "spot").attr("cx", x(n)).attr("cy", y(value)).attr("r", 9);
      spot.append("title").text(`${points[n].label}${told.length > 1 ? `, ${label}` : ""}: ${measure(value)}`);
    });
  }
  return svg.node();
}
