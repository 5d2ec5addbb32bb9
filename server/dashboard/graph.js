// The graph around a record: what is known of it, what is fetched when a node is opened, and the chosen record's details.
import { Told, Unauthenticated, ask, turns, why } from "./api.js";
import { RETRY } from "./asking.js";
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
const turn = turns();
const starts = turns();
const view = new View(byId("graph"), { open: (id) => void open(id), choose: (id) => void choose(id) });

const counts = () => types.map(({ name }, n) => `n${n}: associationCount(to: "${name}")`).join("\n");
const page = (alias, to, after) =>
  `${alias}: associations(to: "${to}", first: ${atOnce()}${after ? `, after: ${JSON.stringify(after)}` : ""}) {
    edges { labels { label } node { id displayName objectType } } pageInfo { hasNextPage endCursor } }`;

/** What was asked for; undefined where that failed, which is told as long as it is still somebody's turn. */
const answer = (mine, asked) => asked.catch((caught) => void (mine() && problem(caught)));

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

function gone() {
  fill(byId("details"), note("There is no such record", "It was merged or removed, or belongs to another account."));
  say(byId("graph-said"), "There is no such record.");
}

/** Show what stands around a record; `seek`: bring the picture into sight. */
export async function show(id, seek = true) {
  const mine = turn();
  const record = await answer(mine, prepare().then(() => read(id)));
  if (!mine() || record === undefined) return;
  if (record === null) gone();
  else await around(record, seek, mine);
}

/** Begin the picture anew, with this record in the middle. */
async function around(record, seek, mine) {
  nodes = new Map();
  links = new Map();
  const node = put(record);
  node.root = true;
  chosen = node.id;
  if (seek) history.replaceState(null, "", `#${node.id}`);
  await expand(node, record, mine);
  if (seek && mine()) byId("around").scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
}

/** A record's name, which shows it here; a link, so that it wraps, and can be kept. */
export function named(record) {
  const choose = (event) => {
    event.preventDefault();
    void show(record.id);
  };
  return el("a", { class: "link", href: `#${record.id}`, onclick: choose }, record.displayName);
}

/** Bring a record's neighbours into the picture, wherever one is in it by then; tell of it where it is still one's turn. */
async function expand(node, record, mine) {
  if (nodes.size > LARGEST) {
    say(byId("graph-said"), `The picture holds ${plural(nodes.size, "record", "records")}: begin anew at one of them.`);
    return;
  }
  const near = await answer(mine, neighbours(node.id, record.near));
  // Meanwhile the picture may have begun anew, without this node.
  if (!near || nodes.get(node.id) !== node) return;
  for (const one of near) add(node, one);
  node.open = true;
  draw();
  if (!mine()) return;
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
  const mine = turn();
  const record = await answer(mine, read(id));
  if (!mine() || record === undefined) return;
  if (record === null) return gone();
  const near = await answer(mine, neighbours(id, record.near));
  if (near && mine()) details(record, near, named);
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
  const mine = turn();
  const record = await answer(mine, read(id));
  if (nodes.get(id) !== node) return;
  if (record) await expand(node, record, mine);
  else if (record === null && mine()) gone();
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
  const mine = turn();
  const found = await answer(mine, neighbours(node.of.id, [{ to: node.to, n: node.n, after: node.after }]));
  // Meanwhile the picture may have begun anew, or hold them already.
  if (!found || nodes.get(node.id) !== node) return;
  const [next] = found;
  if (mine()) chosen = node.of.id;
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
    "{ objectTypes(active: true) { name singular plural primaryDisplayProperty properties { name label type options { value label } } } }",
  );
  types = told.objectTypes;
  names.keep(types);
}

/** The record that the page's address names. */
const kept = () => location.hash.match(/^#(rec_\d+)$/)?.[1] ?? null;

addEventListener("hashchange", () => {
  if (kept() && kept() !== chosen) void show(kept());
});

/** Without permission, or an answer, there is nothing to search. */
function allow(may) {
  byId("search").hidden = !may;
}

/** Begin with the record of the address, or with the first that there is; unless somebody has chosen one meanwhile. */
async function start(begun = starts(), mine = turn()) {
  try {
    await prepare();
    allow(true);
    const found = await search.begin(types, show);
    if (!mine()) return;
    const record = (kept() && (await read(kept()))) ?? (found && (await read(found)));
    if (!mine()) return;
    if (record) await around(record, false, mine);
    else fill(byId("details"), note("No records yet", "The first one is shown here, with those that it is associated with."));
  } catch (caught) {
    if (!begun() || caught instanceof Unauthenticated) return;
    const told = caught instanceof Told;
    if (mine()) fill(byId("details"), note(told ? "No permission" : "Not now", told ? caught.message : `${why(caught)} It is asked again in a moment.`));
    allow(false);
    if (!told) setTimeout(() => begun() && start(begun, mine), RETRY);
  }
}

export function begin() {
  allow(false);
  search.forget();
  names.keep([]);
  types = [];
  nodes = new Map();
  links = new Map();
  chosen = null;
  draw();
  fill(byId("details"));
  say(byId("graph-said"), "");
  void start();
}
