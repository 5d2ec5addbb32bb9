// The chosen record in words: its values, and whom it is associated with. All of the graph can be walked here, too.
import { why } from "./api.js";
import { byId, el, fill, note } from "./dom.js";
import { full, number, plural, value } from "./format.js";
import * as names from "./names.js";

const VALUES = 8;

export function problem(caught) {
  fill(byId("details"), note("That did not work", why(caught)));
}

function values({ properties, displayName, objectType }) {
  const known = Object.entries(properties).filter(([, given]) => given !== null && value(given) !== displayName);
  const list = known.map(([name, given]) => el("div", {}, el("dt", {}, names.property(objectType, name)), el("dd", {}, names.value(objectType, name, given))));
  const rest = list.splice(VALUES);
  return [
    el("dl", { class: "values" }, list),
    rest.length
      ? el("details", {}, el("summary", {}, plural(rest.length, "more value", "more values")), el("dl", { class: "values" }, rest))
      : null,
  ];
}

function group({ to, n, edges }, named) {
  return el(
    "section",
    {},
    el("h4", {}, el("i", { class: `dot ${names.colour(to)}`, "aria-hidden": "true" }), names.plural(to), " ", el("span", { class: "quiet" }, number(n))),
    el(
      "ul",
      {},
      edges.map(({ labels, node }) =>
        el(
          "li",
          {},
          named(node),
          labels.map(({ label }) => el("em", { class: "label" }, label)),
        ),
      ),
      n > edges.length ? el("li", { class: "quiet" }, `and ${number(n - edges.length)} more`) : null,
    ),
  );
}

/** Tell of a record; `near`: its neighbours by object type. `named` makes a link that begins the picture anew. */
export function details(record, near, named) {
  fill(
    byId("details"),
    el("h3", {}, record.displayName),
    el("p", { class: "quiet" }, `${names.singular(record.objectType)}, changed ${full(record.updatedAt)}`, record.archivedAt ? ", put away" : ""),
    values(record),
    near.length ? near.map((one) => group(one, named)) : note("No associations", "This record stands alone."),
  );
}
