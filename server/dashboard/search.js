// Finding a record by what people call it, an address, or its id.
import { ask, turns, why } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { plural } from "./format.js";

const FOUND = 12;
const SLOW = 400;
// Values that people know records by, besides the one that they are shown under.
const NAMES = ["name", "firstname", "lastname", "email", "domain", "subject", "title"];
let types = [];
let open = () => {};
const turn = turns();

/** Text is compared to the letter: as typed, in small letters, and with a capital. */
function spellings(word) {
  const small = word.toLowerCase();
  return [...new Set([word, small, small.charAt(0).toUpperCase() + small.slice(1)])];
}

/** Each word stands in one of the record's names. */
function filterOf(type, text) {
  const there = new Set(type.properties.filter((one) => one.type === "STRING").map((one) => one.name));
  const names = new Set([type.primaryDisplayProperty, ...NAMES].filter((name) => there.has(name)));
  const words = text.split(/\s+/).filter(Boolean);
  if (!words.length || !names.size) return null;
  const one = (word) => ({
    or: [...names].map((name) => ({ property: { name, operator: "CONTAINS", values: spellings(word), includeEmpty: false } })),
  });
  return { and: words.map(one) };
}

async function find(type, text) {
  if (/^rec_\d+$/.test(text)) {
    const { record } = await ask("query One($id: ID!) { record(id: $id) { id displayName objectType } }", { id: text });
    return record ? [record] : [];
  }
  const { records } = await ask(
    `query Find($type: String!, $where: FilterInput) { records(objectType: $type, where: $where, first: ${FOUND}) {
      nodes { id displayName objectType } } }`,
    { type: type.name, where: filterOf(type, text) },
  );
  return records.nodes;
}

async function submit() {
  const type = types.find(({ name }) => name === byId("search-type").value);
  const text = byId("search-text").value.trim();
  const place = byId("search-found");
  const mine = turn();
  // What takes long is worth a word.
  const slow = setTimeout(() => mine() && fill(place, el("p", { role: "status" }, "Looking …")), SLOW);
  const list = await find(type, text).catch((problem) => {
    if (mine()) fill(place, el("p", { role: "alert" }, why(problem)));
  });
  clearTimeout(slow);
  if (!list || !mine()) return;
  if (!list.length) {
    fill(place, el("p", { role: "status" }, `No ${type.plural.toLowerCase()} with “${text}”. Capitals count.`));
    return;
  }
  fill(
    place,
    el("p", { role: "status", class: "unseen" }, `${plural(list.length, "record", "records")} found.`),
    el(
      "ul",
      { class: "found", "aria-label": "Found records" },
      list.map((record) =>
        el("li", {}, el("button", { type: "button", onclick: ({ currentTarget }) => choose(record.id, currentTarget) }, record.displayName)),
      ),
    ),
  );
  if (list.length === 1) choose(list[0].id, place.querySelector("button"));
}

function choose(id, chosen) {
  for (const button of document.querySelectorAll("#search-found button")) button.setAttribute("aria-current", String(button === chosen));
  void open(id);
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  void submit();
});

/** Nothing is searched for, and nothing was found. */
export function forget() {
  turn();
  types = [];
  byId("search").reset();
  fill(byId("search-type"));
  fill(byId("search-found"));
}

/** Fill the list of types; gives the id of a record to begin with, if there is any. */
export async function begin(given, show) {
  types = given;
  open = show;
  fill(byId("search-type"), types.map(({ name, plural: many }) => el("option", { value: name }, many)));
  const first = ["companies", "contacts"].find((name) => types.some((type) => type.name === name)) ?? types[0]?.name;
  if (!first) return null;
  byId("search-type").value = first;
  const told = await ask(
    "query First($type: String!) { records(objectType: $type, first: 1) { nodes { id } } }",
    { type: first },
  );
  return told.records.nodes[0]?.id ?? null;
}
