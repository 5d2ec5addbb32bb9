// Saved reports, each drawn as it says: bars, lines or a table; whatever is drawn is there as a table, too.
import { Told, Unauthenticated, ask, askIfAllowed, turns, why } from "./api.js";
import { RETRY } from "./asking.js";
import { bars, lines, shades } from "./drawing.js";
import { byId, el, fill, note, say, soon } from "./dom.js";
import { measure, plural, words } from "./format.js";
import { on } from "./store.js";

const ALL = `query ($after: String) { reports(first: 6, after: $after) { pageInfo { hasNextPage endCursor } nodes {
  id name objectType chart problems { message }
  definition { axes { ... on ReportPropertyAxis { bucket } } measures { function } } } } }`;
const RUN = `query ($report: ID!) { runReport(report: $report) { axes measures
  rows { keys { label others } measures } totals { keys { label } measures }
  categories { value label others } series { key { label others } measure values } } }`;
const ROWS = 200;
// What may stand on top of each other: parts of a whole.
const PARTS = new Set(["COUNT", "SUM"]);
// A slow report leaves a way for the others, and the server room for those who do not look at reports.
const AT_ONCE = 2;
const SLOW = 1_000;

let cards = new Map();
let waiting = [];
let counting = 0;
let after = null;
let timer = null;
let retry = null;
const turn = turns();

/** A report's place on the page, and what is in it. */
class Card {
  constructor(report) {
    this.report = report;
    this.chosen = 0;
    this.open = report.chart === "TABLE";
    this.title = el("h3", { id: `report-${report.id}` }, report.name);
    this.under = el("span");
    this.doing = el("span", { class: "doing" });
    this.busy = false;
    this.toggle = el("button", { type: "button", class: "plain", "aria-expanded": String(this.open), "aria-controls": `table-${report.id}`, onclick: () => this.turn() }, "Table");
    this.toggle.hidden = true;
    this.pick = el("select", { "aria-label": `What is drawn of ${report.name}`, onchange: () => this.choose(Number(this.pick.value)) });
    this.pick.hidden = true;
    this.legend = el("ul", { class: "legend" });
    this.drawn = el("div", { class: "drawn" });
    this.table = el("div", { class: "scroll", id: `table-${report.id}`, role: "region", "aria-label": `${report.name} as a table`, tabindex: "0" });
    this.node = el(
      "article",
      { class: "report", "aria-labelledby": this.title.id },
      el("div", { class: "head" }, el("div", {}, this.title, el("p", { class: "quiet" }, this.under, " ", this.doing)), this.pick, this.toggle),
      this.legend,
      this.drawn,
      this.table,
    );
    new ResizeObserver(() => this.result && this.draw()).observe(this.drawn);
  }

  wait() {
    if (!this.busy && !this.result) say(this.doing, "Waits for its turn");
  }

  /** Count it, and say so; whatever goes wrong is told here and nowhere else. */
  async run() {
    this.busy = true;
    this.node.setAttribute("aria-busy", "true");
    if (!this.result) say(this.doing, "Counting …");
    // Where something is shown already, only what takes long is worth a word.
    const slow = setTimeout(() => this.result && say(this.doing, "Counting again …"), SLOW);
    try {
      say(this.doing, (await this.count()) ?? "");
    } finally {
      clearTimeout(slow);
      this.busy = false;
      this.node.removeAttribute("aria-busy");
    }
  }

  /** Show what it says now; what is to be said beside it. */
  async count() {
    const { problems } = this.report;
    if (problems.length) return this.fail("This report is broken", problems[0].message);
    try {
      this.result = (await ask(RUN, { report: this.report.id })).runReport;
    } catch (problem) {
      if (problem instanceof Told) return this.fail("This report says nothing", problem.message);
      // Nobody answered: what is shown is as old as it is, and no worse.
      if (this.result) return "Not counted again: the server did not answer";
      return this.fail("This report was not counted", "The server did not answer. Count again tries it once more.");
    }
    this.show();
  }

  fail(title, text) {
    this.result = null;
    this.pick.hidden = this.toggle.hidden = this.table.hidden = true;
    say(this.under, "");
    fill(this.legend);
    fill(this.table);
    fill(this.drawn, note(title, text));
  }

  show() {
    const { axes, measures } = this.result;
    const table = this.report.chart === "TABLE";
    this.toggle.hidden = table;
    const by = axes.length ? `by ${axes.map(words).join(" and ")}` : "";
    say(this.under, [table ? null : words(measures[this.chosen]), by].filter(Boolean).join(" "));
    const several = measures.length > 1 && !table;
    this.pick.hidden = !several;
    if (several && this.pick.length !== measures.length) fill(this.pick, measures.map((name, n) => el("option", { value: n }, name)));
    this.draw();
    this.tell();
  }

  choose(n) {
    this.chosen = n;
    this.show();
  }

  turn() {
    this.open = !this.open;
    this.toggle.setAttribute("aria-expanded", String(this.open));
    this.tell();
  }

  /** What is drawn: categories, a series for each value of the second axis, and how. */
  chart() {
    const { categories, series, measures } = this.result;
    const { definition } = this.report;
    const mine = series.filter((one) => one.measure === this.chosen);
    return {
      categories,
      series: mine.map((one, n) => ({ label: one.key?.label ?? measures[this.chosen], shade: shades(one.key, n), values: one.values })),
      bucket: definition.axes[0]?.bucket,
      stacked: PARTS.has(definition.measures[this.chosen]?.function ?? "COUNT"),
    };
  }

  draw() {
    if (this.report.chart === "TABLE") return fill(this.drawn);
    const chart = this.chart();
    fill(this.legend);
    if (!this.result.rows.length) return fill(this.drawn, note("Nothing yet", "No record is what this report counts."));
    if (!this.result.axes.length) return fill(this.drawn, el("p", { class: "only" }, measure(this.result.rows[0].measures[this.chosen])));
    fill(
      this.legend,
      chart.series.length > 1 && chart.series.map((one) => el("li", {}, el("i", { class: one.shade, "aria-hidden": "true" }), one.label)),
    );
    const picture = (this.report.chart === "LINE" ? lines : bars)(chart, Math.max(240, this.drawn.clientWidth));
    picture.setAttribute("aria-label", `${this.report.name}: ${this.under.textContent}. ${this.summary(chart)}`);
    fill(this.drawn, picture);
  }

  /** The first few numbers in words; the table has them all. */
  summary({ categories }) {
    const known = this.result.totals.filter(({ keys }) => keys[0] && keys.slice(1).every((key) => key === null));
    const rows = known.length ? known : this.result.rows;
    const told = rows.slice(0, 5).map(({ keys, measures }) => `${keys[0].label} ${measure(measures[this.chosen])}`);
    return `${told.join(", ")}${categories.length > 5 ? ", and more in the table" : ""}.`;
  }

  tell() {
    this.table.hidden = !this.open;
    if (!this.open) return;
    const { axes, measures, rows, totals } = this.result;
    const whole = totals.find(({ keys }) => keys.every((key) => key === null));
    const head = el("tr", {}, axes.map((text) => el("th", { scope: "col" }, text)), measures.map((text) => el("th", { scope: "col", class: "n" }, text)));
    const cells = (row) => row.measures.map((n) => el("td", { class: "n" }, measure(n)));
    const body = rows.slice(0, ROWS).map((row, n) =>
      el(
        "tr",
        {},
        row.keys.map((key, axis) => {
          const same = axis === 0 && n > 0 && row.keys.length > 1 && rows[n - 1].keys[0].label === key.label;
          return el(axis === 0 ? "th" : "td", { scope: axis === 0 ? "row" : null, class: key.others ? "quiet" : null }, el("span", { class: same ? "unseen" : null }, key.label));
        }),
        cells(row),
      ),
    );
    const foot = whole && axes.length ? el("tfoot", {}, el("tr", {}, el("th", { scope: "row", colspan: axes.length }, "All"), cells(whole))) : null;
    const more = rows.length > ROWS ? el("p", { class: "quiet" }, `and ${plural(rows.length - ROWS, "more row", "more rows")}`) : null;
    fill(
      this.table,
      el("table", { class: "numbers" }, el("caption", { class: "unseen" }, this.report.name), el("thead", {}, head), el("tbody", {}, body), foot),
      more,
    );
  }
}

/** The next few reports behind those that are shown; all anew where `from` is null. */
async function find(from) {
  clearTimeout(retry);
  const mine = turn();
  byId("reports-more").disabled = true;
  let told;
  try {
    told = await askIfAllowed(ALL, { after: from });
  } catch (problem) {
    if (mine() && !(problem instanceof Unauthenticated)) unanswered(problem, mine);
    return;
  }
  if (!mine()) return;
  byId("reports-more").disabled = false;
  const { data, missing } = told;
  if (missing) return fill(byId("reports"), note("No permission", missing));
  show(data.reports, from);
}

/** What is shown stays; where nothing is, it is asked for again. */
function unanswered(problem, mine) {
  byId("reports-more").disabled = false;
  if (cards.size) return say(byId("reports-summary"), `${why(problem)} Try again in a moment.`);
  fill(byId("reports"), note("Not now", `${why(problem)} It is asked again in a moment.`));
  retry = setTimeout(() => mine() && find(null), RETRY);
}

function show({ nodes, pageInfo }, from) {
  if (from === null) forget();
  after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  byId("reports-more").hidden = after === null;
  const found = nodes.map((report) => new Card(report));
  for (const card of found) {
    cards.set(card.report.id, card);
    byId("reports").append(card.node);
  }
  if (!cards.size) fill(byId("reports"), note("No reports yet", "Save one with createReport: it counts what labels join."));
  say(byId("reports-summary"), cards.size ? plural(cards.size, "report", "reports") + (after ? " shown" : "") : "");
  count(found);
}

/** Let these be counted, in their order, behind those that wait already. */
function count(found) {
  for (const card of found) {
    if (waiting.includes(card)) continue;
    waiting.push(card);
    card.wait();
  }
  next();
}

function next() {
  while (counting < AT_ONCE) {
    // Who is being counted, and is to be again, has its turn when it is done.
    const n = waiting.findIndex((card) => !card.busy);
    if (n < 0) return;
    const [card] = waiting.splice(n, 1);
    counting += 1;
    void card.run().finally(() => {
      counting -= 1;
      next();
    });
  }
}

function forget() {
  cards = new Map();
  waiting = [];
  after = null;
  byId("reports-more").hidden = true;
  fill(byId("reports"));
  say(byId("reports-summary"), "");
}

const later = soon(() => count(cards.values()), 500);
byId("reports-more").addEventListener("click", () => void find(after));
byId("reports-again").addEventListener("click", () => void find(null));
on("checked", later);

export function begin() {
  forget();
  clearInterval(timer);
  timer = setInterval(() => !document.hidden && later(), 120_000);
  void find(null);
}
