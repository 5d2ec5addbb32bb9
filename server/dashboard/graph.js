// The graph around a record: what is known of it, what is fetched when a node is opened, and the chosen record's details.
import { Told, ask } from "./api.js";
import { details, problem } from "./details.js";
import { byId, el, fill, note, say, still } from "./dom.js";
import { number, plural } from "./format.js";
import { View } from "./graphview.js";
import * as names from "./names.js";
import * as search from "./search.js";

// Neighbours that are fetched at once, of each object type; fewer where there is little room.
const atOnce = () => (innerWidth < 640 ? 2 : 4);
const LARGEST = 150;

let types = [];
let nodes = new Map();
let links = new Map();
let chosen = null;
let asked = 0;
const view = new View(byId("graph"), { open: (id) => void open(id), choose: (id) => void choose(id) });

const counts = () => types.map(({ name }, n) => `n${n}: associationCount(to: "${name}")`).join("\n");
const page = (alias, to, after) =>
  `${alias}: associations(to: "${to}", first: ${atOnce()}${after ? `, after: ${JSON.stringify(after)}` : ""}) {
    edges { labels { label } node { id displayName objectType } } pageInfo { hasNextPage endCursor } }`;

/** A record with its values and how many neighbours of which type it has. */
async function read(id) {
  const told = await ask(
    `query Around($id: ID!) { record(id: $id) { id displayName objectType properties createdAt updatedAt archivedAt
      ${counts()} } }`,
    { id },
  );
  if (!told.record) return null;
  const near = types.map(({ name }, n) => ({ to: name, n: told.record[`n${n}`] ?? 0 })).filter(({ n }) => n > 0);
  return { ...told.record, near };
}

async function neighbours(id, near) {
  const parts = near.map(({ to, after }, n) => page(`a${n}`, to, after));
  const told = await ask(`query Near($id: ID!) { record(id: $id) { ${parts.join("\n")} } }`, { id });
  return near.map((one, n) => ({ ...one, ...told.record[`a${n}`] }));
}

function put({ id, displayName, objectType }) {
  if (!nodes.has(id)) nodes.set(id, { id, name: displayName, type: objectType, open: false });
  else nodes.get(id).name = displayName;
  return nodes.get(id);
}

function join(from, to, labels) {
  const key = [from.id, to.id].toSorted().join(" ");
  if (!links.has(key)) links.set(key, { key, source: from, target: to, labels: labels.map(({ label }) => label) });
}

/** Put a page of neighbours into the picture, and a way to the next page. */
function add(node, { to, n, edges, pageInfo }) {
  const rest = `${node.id} ${to}`;
  nodes.delete(rest);
  links.delete(rest);
  for (const edge of edges) {
    const other = put(edge.node);
    other.near ??= node;
    join(node, other, edge.labels);
  }
  const shown = [...links.values()].filter(
    ({ source, target }) =>
      (source === node && target.type === to) || (target === node && source.type === to),
  ).length;
  if (pageInfo.hasNextPage && n > shown) {
    const more = { id: rest, rest: true, of: node, to, n, after: pageInfo.endCursor, name: `${number(n - shown)} more ${names.plural(to).toLowerCase()}`, type: to, near: node };
    nodes.set(rest, more);
    links.set(rest, { key: rest, source: node, target: more, labels: [] });
  }
}

/** Show what stands around a record, from nothing; `seek`: bring the picture into sight. */
export async function show(id, seek = true) {
  const mine = ++asked;
  await prepare();
  const record = await read(id).catch(problem);
  if (mine !== asked || !record) {
    if (record === null) say(byId("graph-said"), "There is no such record.");
    return;
  }
  nodes = new Map();
  links = new Map();
  const node = put(record);
  node.root = true;
  chosen = node.id;
  if (seek) history.replaceState(null, "", `#${node.id}`);
  await expand(node, record);
  if (seek) byId("around").scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
}

/** A record's name, which shows it here; a link, so that it wraps, and can be kept. */
export function named(record) {
  const choose = (event) => {
    event.preventDefault();
    void show(record.id);
  };
  return el("a", { class: "link", href: `#${record.id}`, onclick: choose }, record.displayName);
}

async function expand(node, record) {
  if (nodes.size > LARGEST) {
    say(byId("graph-said"), `The picture holds ${plural(nodes.size, "record", "records")}: begin anew at one of them.`);
    return;
  }
  const near = await neighbours(node.id, record.near).catch(problem);
  // Meanwhile the picture may have begun anew, without this node.
  if (!near || nodes.get(node.id) !== node) return;
  for (const one of near) add(node, one);
  node.open = true;
  draw();
  details(record, near, named);
  const total = record.near.reduce((sum, one) => sum + one.n, 0);
  say(byId("graph-said"), `${record.displayName}: ${plural(total, "associated record", "associated records")}.`);
}

/** Choose a node: its details are told. */
async function choose(id) {
  chosen = id;
  const node = nodes.get(id);
  draw();
  if (!node || node.rest) return;
  const mine = ++asked;
  const record = await read(id).catch(problem);
  if (!record || mine !== asked) return;
  const near = await neighbours(id, record.near).catch(problem);
  if (near && mine === asked) details(record, near, named);
}

/** Choose a node and bring its neighbours into the picture; or let them go again. */
async function open(id) {
  const node = nodes.get(id);
  if (!node) return;
  chosen = id;
  if (node.rest) {
    await more(node);
    return;
  }
  if (node.open) {
    close(node);
    await choose(id);
    return;
  }
  const mine = ++asked;
  const record = await read(id).catch(problem);
  if (record && mine === asked) await expand(node, record);
}

/** Let go of the neighbours that only this node brought in. */
function close(node) {
  const gone = [...nodes.values()].filter((other) => other.near === node && !other.open && !other.root);
  for (const other of gone) {
    nodes.delete(other.id);
    for (const [key, { source, target }] of links) {
      if (source === other || target === other) links.delete(key);
    }
  }
  node.open = false;
}

async function more(node) {
  const [next] = await neighbours(node.of.id, [{ to: node.to, n: node.n, after: node.after }]).catch(() => []);
  if (!next) return;
  chosen = node.of.id;
  add(node.of, next);
  draw();
  say(byId("graph-said"), `${plural(next.edges.length, "more record", "more records")} of ${node.of.name}.`);
}

function draw() {
  byId("around").classList.toggle("alone", !nodes.size);
  view.show([...nodes.values()], [...links.values()], chosen);
}

async function prepare() {
  if (types.length) return;
  const told = await ask(
    "{ objectTypes(active: true) { name singular plural primaryDisplayProperty properties { name label type } } }",
  );
  types = told.objectTypes;
  names.keep(types);
}

/** The record that the page's address names. */
const kept = () => location.hash.match(/^#(rec_\d+)$/)?.[1] ?? null;

addEventListener("hashchange", () => {
  if (kept() && kept() !== chosen) void show(kept());
});

/** Without permission there is nothing to search. */
function allow(may) {
  byId("search").hidden = !may;
}

export function begin() {
  allow(true);
  types = [];
  nodes = new Map();
  links = new Map();
  chosen = null;
  draw();
  fill(byId("details"), note("No record chosen", "Find one above, or choose a name in the live events."));
  prepare()
    .then(() => search.begin(types, show))
    .then((found) => {
      const first = kept() ?? found;
      if (first) return show(first, false);
      fill(byId("details"), note("No records yet", "The first one is shown here, with those that it is associated with."));
    })
    .catch((caught) => {
      const text = caught instanceof Told ? caught.message : "The server does not answer.";
      fill(byId("details"), note(caught instanceof Told ? "No permission" : "Not now", text));
      allow(false);
    });
}
