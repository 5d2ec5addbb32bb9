// Finding a record by what people call it, an address, or its id.
import { ask } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { plural } from "./format.js";

const FOUND = 12;
// Values that people know records by, besides the one that they are shown under.
const NAMES = ["name", "firstname", "lastname", "email", "domain", "subject", "title"];
let types = [];
let open = () => {};
let asked = 0;

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
  const mine = ++asked;
  const list = await find(type, text).catch((problem) => {
    if (mine === asked) fill(place, el("p", { role: "alert" }, problem.message));
  });
  // Answers may come in another order than they were asked for.
  if (!list || mine !== asked) return;
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
        el("li", {}, el("button", { type: "button", onclick: () => choose(record.id) }, record.displayName)),
      ),
    ),
  );
  if (list.length === 1) choose(list[0].id);
}

function choose(id) {
  for (const button of document.querySelectorAll("#search-found [aria-current]")) button.removeAttribute("aria-current");
  void open(id);
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  void submit();
});

/** Fill the list of types; gives the id of a record to begin with, if there is any. */
export async function begin(given, show) {
  types = given;
  open = show;
  fill(byId("search-found"));
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
