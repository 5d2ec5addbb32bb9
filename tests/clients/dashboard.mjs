// The dashboard in a real browser: key, panels, live changes, the graph, looks, access, and a server that is killed.
// Prints what it saw as JSON lines; a line {"please": …} waits for a line on standard input.
// Whatever is read off the page was waited for, however slow the machine is: RELATA_JITTER (milliseconds that answers are
// held for, at most) and RELATA_SLOWNESS (how many times slower the browser is) make one.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const { RELATA_URL: url, RELATA_OTHER_URL: other, RELATA_KEY: key, RELATA_EMPTY_KEY: emptyKey } = process.env;
const { RELATA_BROWSER: executablePath, RELATA_SHOTS: shots } = process.env;
const jitter = Number(process.env.RELATA_JITTER ?? 0);
const slowness = Number(process.env.RELATA_SLOWNESS ?? 1);
const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const origin = new URL(url).origin;
const address = `${origin}/dashboard`;
const seen = { complaints: [], elsewhere: [], keyInAddress: [], violations: {} };
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function please(what) {
  console.log(JSON.stringify({ please: what }));
  await answers.next();
}

/** The data of an operation, asked of either server. */
async function ask(query, variables = {}, { at = other, by = key } = {}) {
  const response = await fetch(at, {
    method: "POST",
    headers: { Authorization: `Bearer ${by}`, "Content-Type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors[0].message);
  return data;
}

/** Cursors of all that the log holds behind one, by streams of the other server: until nothing more comes. */
async function logged(field, after) {
  const ended = new AbortController();
  const response = await fetch(other, {
    method: "POST",
    headers: { Accept: "text/event-stream", Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ query: `subscription ($after: String) { ${field}(after: $after) { cursor } }`, variables: { after } }),
    signal: ended.signal,
  });
  const found = [];
  let text = "";
  let timer = setTimeout(() => ended.abort(), 1_500);
  try {
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      text += part;
      const messages = text.split("\n\n");
      text = messages.pop();
      for (const message of messages) {
        if (!message.startsWith("event: next\ndata: ")) continue;
        found.push(JSON.parse(message.slice("event: next\ndata: ".length)).data[field].cursor);
        clearTimeout(timer);
        timer = setTimeout(() => ended.abort(), 700);
      }
    }
  } catch (problem) {
    if (problem.name !== "AbortError") throw problem;
  }
  return found;
}

const CREATE = "mutation ($input: CreateRecordsInput!) { createRecords(input: $input) { results { record { id } } } }";
let people = 0;
/** Somebody new, by name. */
async function hire(at, by) {
  const name = `Person${++people}`;
  const properties = { firstname: name, lastname: "Watched", email: `${name}@watched.example`.toLowerCase() };
  const told = await ask(CREATE, { input: { objectType: "contacts", records: [{ properties }] } }, { at, by });
  return { name: `${name} Watched`, id: told.createRecords.results[0].record.id };
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("data:")) seen.elsewhere.push(request.url());
    if (request.url().includes("relata_")) seen.keyInAddress.push(request.url());
  });
  page.on("pageerror", (error) => seen.complaints.push(`error: ${error.message}`));
  if (slowness > 1) {
    const session = await context.newCDPSession(page);
    await session.send("Emulation.setCPUThrottlingRate", { rate: slowness });
  }
  if (jitter) await page.route("**/graphql", (route) => setTimeout(() => route.continue().catch(() => {}), jitter * Math.random()));
  await page.goto(address);
  return page;
}
const listen = (page) => page.on("console", (message) => seen.complaints.push(`${message.type()}: ${message.text()}`));
async function enter(page, text, remember = false) {
  await page.fill("#key", text);
  if (remember) await page.check("#remember");
  await page.click("#key-form button");
}
const shot = (page, name) => (shots ? page.screenshot({ path: `${shots}/dashboard-${name}.png`, fullPage: true }) : undefined);
const state = (page, wanted) => page.waitForFunction((wanted) => document.getElementById("line-state").dataset.state === wanted, wanted);
const text = (page, selector) => page.locator(selector).innerText();
const once = (...wanted) => page.waitForFunction(...wanted);
/** Wait for something that this script knows itself. */
async function until(holds) {
  for (const end = Date.now() + 60_000; !holds(); await page.waitForTimeout(50)) {
    if (Date.now() > end) throw new Error(`It never held: ${holds}`);
  }
}
/** Wait until nothing in the picture moves: what is clicked is where it was seen. */
async function rest() {
  const places = () => page.locator(".graph .node").evaluateAll((all) => all.map((one) => one.getAttribute("transform")).join());
  for (let before = null, now = await places(); before !== now; ) {
    await page.waitForTimeout(250);
    [before, now] = [now, await places()];
  }
}

async function look(page, name) {
  // By the debugger, which the page's policy does not bind.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  seen.violations[name] = violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html)]);
  await shot(page, name);
}

// A wrong key is told, and opens nothing. The browser itself complains of the status; from then on it has no cause.
const page = await open({ colorScheme: "light" });
await page.locator("#ask[open]").waitFor();
await look(page, "key");
await enter(page, "relata_wrong");
await once(() => document.getElementById("key-problem").textContent);
seen.refused = await text(page, "#key-problem");
seen.shutWithoutKey = await page.locator("main").isHidden();
listen(page);

// The demo fills the panels.
const { cursor: start } = await begun();
async function begun() {
  const response = await fetch(other, {
    method: "POST",
    headers: { Accept: "text/event-stream", Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ query: "subscription { workflowStatus { cursor } }" }),
  });
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    const found = part.match(/data: (\{.*\})/);
    if (found) return JSON.parse(found[1]).data.workflowStatus;
  }
  throw new Error("no status");
}
await enter(page, key);
await state(page, "live");
await page.locator(".failures li").first().waitFor();
await page.locator(".graph .node").first().waitFor();
await page.locator("[data-workflow]").nth(4).waitFor();
// Workers may still be at what the demo gave them.
const none = (selector) => once((selector) => {
  const all = [...document.querySelectorAll(selector)].map(({ textContent }) => textContent);
  return all.length && !all.includes("0") && !all.includes("–");
}, selector);
await none("[data-segment] .size");
await none('#tiles > :not([data-tile="deliveries"]) dd:not(.hint)');
await page.locator('[data-tile="deliveries"] dd', { hasText: /^0$/ }).waitFor();
await page.locator('#flow .chart[aria-label*="enrolled"]').waitFor();
seen.account = await text(page, "#account");
seen.tiles = (await page.locator("#tiles dd:not(.hint)").allInnerTexts()).map((told) => told.replaceAll(",", ""));
seen.workflows = await page.locator("[data-workflow] .name").allInnerTexts();
seen.segments = await page.locator("[data-segment] .size").allInnerTexts();
seen.failure = await page.locator(".failures .why").first().innerText();
seen.chart = await page.locator("#flow .chart").getAttribute("aria-label");
// Reports are drawn; their numbers are a key away.
await page.locator(".report .chart").nth(2).waitFor();
await page.locator(".report tfoot").first().waitFor();
seen.reports = await page.locator(".report .chart").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
await page.locator(".report .plain").first().focus();
await page.keyboard.press("Enter");
seen.reportTable = await page.locator(".report table").first().innerText();
await page.locator(".report select:not([hidden])").selectOption("1");
await page.locator('.report .chart[aria-label*="deals by close date"]').waitFor();
await look(page, "light");

// A change through the API is seen at once: in the list, in the segment.
const segment = page.locator("[data-segment]", { hasText: "Software companies" });
const sizeBefore = Number(await segment.locator(".size").innerText());
const made = await ask(CREATE, { input: { objectType: "companies", records: [{ properties: { name: "Watched Works", industry: "software" } }] } });
await page.locator("#ticker li", { hasText: "Watched Works was made" }).waitFor();
await page.locator("#ticker li", { hasText: "Watched Works joined Software companies" }).waitFor();
await once((least) => [...document.querySelectorAll("[data-segment]")].some((row) => row.textContent.includes("Software companies") && Number(row.querySelector(".size").textContent) === least), sizeBefore + 1);
seen.joined = await segment.locator(".joined").innerText();
const hired = await hire();
const completed = Number(seen.tiles[2]);
await ask("mutation ($input: AddLabelsInput!) { addLabels(input: $input) { userErrors { message } } }", {
  input: { associations: [{ fromId: hired.id, toId: made.createRecords.results[0].record.id, labels: ["decision_maker"] }] },
});
await page.locator("#ticker li", { hasText: `${hired.name} completed Decision makers` }).waitFor();
await once((before) => Number(document.querySelector('[data-tile="completed"] dd').textContent.replaceAll(",", "")) > before, completed);

// A sync with another app: its panel says that there is none yet, then how it stands; its records are in the ticker.
seen.withoutSyncs = await text(page, "#syncs");
const settings = [{ name: "url", value: process.env.RELATA_SHOP }];
const { createConnection: shop } = await ask(
  "mutation ($input: CreateConnectionInput!) { createConnection(input: $input) { connection { id } userErrors { message } } }",
  { input: { app: "sql", name: "Shop", settings } },
);
if (!shop.connection) throw new Error(shop.userErrors[0].message);
const { createSync: configured } = await ask(
  "mutation ($input: CreateSyncInput!) { createSync(input: $input) { sync { id } userErrors { message } } }",
  { input: { connectionId: shop.connection.id, objectType: "contacts", direction: "IN" } },
);
await ask("mutation ($input: StartSyncInput!) { startSync(input: $input) { userErrors { message } } }", { input: { id: configured.sync.id } });
const sync = page.locator("[data-sync]", { hasText: "Contacts with Shop" });
await sync.locator('.share[aria-label="4 in sync, 1 excluded"]').waitFor();
await sync.locator("small", { hasText: "in, on" }).first().waitFor();
await page.locator("#ticker li", { hasText: "Contacts with Shop is live" }).waitFor();
await page.locator("#ticker li", { hasText: "Mira Olsen is in sync: Contacts with Shop" }).waitFor();
seen.sync = [await sync.locator("small").first().innerText(), await sync.locator(".share").getAttribute("aria-label")];

// An import whose rows are wrong says why, and how often.
const FILE = "Mail,Born\na@watched.example,31.02.1999\nb@watched.example,never\na@watched.example,\n";
const { createImport: brought } = await ask(
  "mutation ($input: CreateImportInput!) { createImport(input: $input) { import { id uploadUrl } userErrors { message } } }",
  { input: { name: "wrong.csv", plan: { parts: [{ objectType: "contacts", mode: "UPSERT", key: "Mail", columns: [{ column: "Mail", property: "email" }, { column: "Born", property: "date_of_birth" }] }] } } },
);
const upload = new URL(new URL(brought.import.uploadUrl).pathname, other);
await fetch(upload, { method: "PUT", body: FILE, headers: { Authorization: `Bearer ${key}` } });
await ask("mutation ($input: StartImportInput!) { startImport(input: $input) { userErrors { message } } }", { input: { id: brought.import.id } });
await page.locator("[data-import] .wrong li").nth(1).waitFor();
await page.locator("[data-import]", { hasText: "done" }).waitFor();
seen.wrong = await page.locator("[data-import] .wrong li").allInnerTexts();

// The graph: found by name, walked by keyboard and by mouse.
await page.selectOption("#search-type", "companies");
await page.fill("#search-text", "watched works");
await page.press("#search-text", "Enter");
const nodes = page.locator(".graph .node");
const node = (name) => page.locator(`.graph .node[aria-label^="${name}"]`);
await node("Watched Works").and(page.locator(".root")).waitFor();
await node(hired.name).waitFor();
seen.around = await nodes.evaluateAll((all) => all.map((one) => one.getAttribute("aria-label")));
seen.edges = await page.locator(".texts text").allTextContents();
await node("Watched Works").focus();
for (const arrow of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
  await page.keyboard.press(arrow);
  if ((await page.evaluate(() => document.activeElement.getAttribute("aria-label"))).startsWith(hired.name)) break;
}
seen.focused = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
await page.keyboard.press("Enter");
await once(() => document.querySelectorAll('.graph .node[aria-expanded="true"]').length === 2);
await page.locator("#details h3", { hasText: hired.name }).waitFor();
await page.locator("#graph-said", { hasText: hired.name }).waitFor();
seen.said = await text(page, "#graph-said");
await page.keyboard.press("Home");
seen.home = await page.evaluate(() => document.activeElement.getAttribute("aria-label"));
await page.locator("#details h3", { hasText: "Watched Works" }).waitFor();
await page.click("#details .link"); // the first neighbour in the list: the picture begins anew there
await node(hired.name).and(page.locator(".root")).waitFor();
await page.selectOption("#search-type", "companies");
await page.fill("#search-text", "Nordwind");
await page.click("#search button");
await page.locator(".found button", { hasText: "Nordwind" }).first().click();
await page.locator(".graph .node.root[aria-label^='Nordwind']").waitFor();
await once(() => document.querySelectorAll(".graph .node").length > 8);
await rest();
const closed = page.locator('.graph .node[aria-expanded="false"]').first();
seen.clicked = await closed.getAttribute("aria-label");
await page.locator('.graph .node[aria-label*="Decision maker"]').first().focus();
await page.keyboard.press("Enter"); // a colleague's edge joins two that are there already
await once(() => document.querySelectorAll('.graph .node[aria-expanded="true"]').length === 2);
await rest();
seen.unplaced = await page.locator(".edges line:not([x1]), .texts text:not([x])").count();
await page.keyboard.press("Enter");
await once(() => document.querySelectorAll('.graph .node[aria-expanded="true"]').length === 1);
await rest();
const before = await nodes.count();
await closed.locator("circle").click({ force: true });
await once(() => document.querySelectorAll('.graph .node[aria-expanded="true"]').length === 2);
seen.grown = (await nodes.count()) - before;
await rest();
const more = page.locator(".graph .node.rest").first();
const all = await nodes.count();
await more.locator("circle").click({ force: true });
await once((all) => document.querySelectorAll(".graph .node").length > all, all);

// Light and dark: as the system has it, and as chosen; the choice stays.
const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
seen.grounds = [await ground()];
await page.emulateMedia({ colorScheme: "dark" });
seen.grounds.push(await ground());
await look(page, "dark");
await page.click("#theme");
seen.grounds.push(await ground());
await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
await page.click("#theme");
seen.grounds.push(await ground());
await page.click("#theme");

// A screen on the wall: one picture with all that moves, nothing below its edge; and back.
await page.setViewportSize({ width: 1920, height: 1080 });
await page.click("#wall");
await once(() => document.documentElement.classList.contains("wall"));
await look(page, "wall");
seen.wall = await page.evaluate(() => {
  const { scrollHeight, scrollWidth } = document.documentElement;
  const panels = [...document.querySelectorAll(".panel")].filter((one) => one.offsetParent);
  const inside = panels.every((one) => one.getBoundingClientRect().bottom <= innerHeight && one.getBoundingClientRect().height > 100);
  return [scrollWidth, scrollHeight, panels.length, inside, document.getElementById("clock").textContent];
});
await page.click("#wall");
await once(() => !document.fullscreenElement && !document.documentElement.classList.contains("wall"));

// A phone: everything is there, and nothing to the right of it.
await page.setViewportSize({ width: 360, height: 740 });
await once(() => document.documentElement.scrollWidth <= 360);
seen.phone = await page.evaluate(() => document.documentElement.scrollWidth);
await look(page, "phone");
await page.setViewportSize({ width: 1440, height: 1000 });

// The server is killed and started again while the page is open; changes go on through another one.
for (let n = 0; n < 5; n++) await hire();
await page.locator("#ticker li", { hasText: "Person6 Watched was made" }).waitFor();
page.removeAllListeners("console"); // the browser complains of a line that is dead, and rightly
const racing = (async () => {
  for (let n = 0; n < 30; n++) await hire();
})();
await please("kill");
await page.locator('#main[data-state="old"]').waitFor();
await state(page, "waiting");
seen.whileDown = await text(page, "#line-state");
seen.old = await text(page, "#line-check");
await racing;
await hire(); // somebody at least came while nobody was told, however slow the kill was
await please("start");
await state(page, "live");
for (let n = 0; n < 5; n++) await hire(url);
await page.locator('#line-check[data-result="good"], #line-check[data-result="bad"]').waitFor();
seen.check = await text(page, "#line-check");
await page.locator("#ticker li", { hasText: `Person${people} Watched was made` }).waitFor();
await shot(page, "again");
seen.people = people;
seen.created = (await page.locator("#ticker li", { hasText: "Watched was made" }).count()) + 0;
// Workers are still at work: at the latest when they rest, both are the same.
const STREAMS = ["changes", "enrollmentEvents", "segmentEvents", "syncEvents"];
const same = () => STREAMS.every((field) => String(seen.shown[field]) === String(seen.log[field]));
for (let n = 0; n < 20; n++) {
  seen.log = {};
  seen.shown = {};
  for (const field of STREAMS) {
    seen.log[field] = await logged(field, start);
    const shown = await page.locator(`#ticker li[data-stream="${field}"]`).evaluateAll((items) => items.map((item) => item.dataset.cursor));
    seen.shown[field] = shown.toReversed();
  }
  seen.imports = await page.locator('#ticker li[data-stream="importEvents"]').allInnerTexts();
  seen.count = Number((await text(page, "#line-count")).replaceAll(",", ""));
  if (same() && seen.count === STREAMS.reduce((sum, field) => sum + seen.log[field].length, seen.imports.length)) break;
}

// It is stopped in good order and started again, which is told as well.
await please("stop");
await state(page, "waiting");
await hire();
await please("start");
await page.locator("#ticker li", { hasText: `Person${people} Watched was made` }).waitFor();
await once((before) => {
  const { textContent, dataset } = document.getElementById("line-check");
  return ["good", "bad"].includes(dataset.result) && textContent !== before;
}, seen.check);
seen.stopped = await text(page, "#line-check");
listen(page);
await page.click("#line-again");
await once(() => document.getElementById("line-check").textContent.startsWith("Compared at"));
seen.asked = await text(page, "#line-check");

// Reports: one that is slow, and then fails, leaves the others be. Each says that it is being counted; two are at a time.
const reader = await open();
let give;
const held = new Promise((done) => (give = done));
const asked = { running: 0, most: 0, all: 0 };
await reader.route("**/graphql", async (route) => {
  if (!route.request().postData().includes("runReport")) return route.continue();
  asked.most = Math.max(asked.most, ++asked.running);
  const first = asked.all++ === 0;
  if (first) await held;
  const told = first ? null : await route.fetch();
  asked.running -= 1;
  return first ? route.abort() : route.fulfill({ response: told });
});
await enter(reader, key);
const slow = reader.locator(".report").first();
await reader.locator(".report .chart").nth(1).waitFor();
await reader.locator(".report table").first().waitFor();
seen.counting = [await slow.innerText(), await slow.getAttribute("aria-busy"), await reader.locator(".report[aria-busy]").count()];
give();
await slow.locator(".note").waitFor();
seen.uncounted = [await text(reader, ".report >> nth=0"), await reader.locator(".report .note").count()];
await reader.click("#reports-again");
await reader.locator(".report .chart").nth(2).waitFor();
await reader.locator(".report table").first().waitFor();
await until(() => asked.all >= 8 && !asked.running);
await reader.waitForFunction(() => !document.querySelector(".report[aria-busy]"));
seen.counted = [asked.most, asked.all, await reader.locator(".report .note").count()];
await reader.close();

// A line that was cut for longer than the log is kept: said in so many words, and shown from then on.
const late = await open();
const lines = [];
let expired = false;
let silent = false;
const old = new Set();
await late.routeWebSocket("**/graphql", (line) => {
  const server = line.connectToServer();
  lines.push(line);
  server.onMessage((message) => {
    if (silent) return;
    for (const [, cursor] of expired ? [] : message.matchAll(/"cursor": ?"([^"]+)"/g)) old.add(cursor);
    line.send(message);
  });
  line.onMessage((message) => {
    const { id, type, payload } = JSON.parse(message);
    if (!expired || type !== "subscribe" || !old.has(payload.variables.after)) return server.send(message);
    const gone = { message: "It is older than what is kept.", extensions: { code: "CURSOR_EXPIRED" } };
    line.send(JSON.stringify({ id, type: "error", payload: [gone] }));
  });
});
await enter(late, key);
await state(late, "live");
await hire();
await late.locator("#ticker li", { hasText: `Person${people} Watched was made` }).waitFor();
silent = true;
const unseen = await hire();
expired = true;
await lines[0].close({ code: 1012 });
silent = false;
await late.locator('#line-check[data-result="bad"]').waitFor();
seen.expired = await text(late, "#line-check");
seen.notListed = await late.locator("#ticker li", { hasText: `${unseen.name} was made` }).count();
await hire();
await late.locator("#ticker li", { hasText: `Person${people} Watched was made` }).waitFor();
// What happened before is nothing that a later comparison misses.
await late.click("#line-again");
await late.locator('#line-check[data-result="good"]').waitFor();
await late.close();

// What was asked with one key is never shown with another: answers that come after the key was changed are nobody's.
const changer = await open();
let release;
const changed = new Promise((done) => (release = done));
const kept = [];
await changer.route("**/graphql", async (route) => {
  const told = await route.fetch().catch(() => null);
  if (!told) return;
  if (route.request().postData().includes("account {")) return route.fulfill({ response: told });
  if (route.request().headers().authorization.endsWith(key)) {
    kept.push(route.request().postData());
    await changed;
  }
  await route.fulfill({ response: told }).catch(() => {});
});
await enter(changer, key);
await changer.locator("[data-workflow]").first().waitFor();
await until(() => kept.length >= 6);
await changer.click("#change-key");
await enter(changer, emptyKey);
await changer.locator("#account", { hasText: "acme" }).waitFor();
release();
const QUIET = ["workflows", "failures", "imports", "reports", "segments"];
for (const panel of QUIET) await changer.locator(`#${panel} .note`).waitFor();
await changer.locator("#details .note", { hasText: "No records yet" }).waitFor();
await state(changer, "live");
await changer.waitForTimeout(1_000);
seen.changed = await Promise.all([...QUIET, "segments-summary", "failures-summary", "details", "ticker", "search-found"].map((id) => changer.textContent(`#${id}`)));
seen.unlost = await text(changer, "#line-check");
await changer.close();

// Nobody answers at first: each panel says so, and is filled as soon as somebody does.
const unlucky = await open();
let deaf = true;
await unlucky.route("**/graphql", (route) => (deaf && !route.request().postData().includes("account {") ? route.abort() : route.fallback()));
await enter(unlucky, key);
seen.unanswered = {};
for (const panel of ["segments", "failures", "imports", "reports", "details"]) {
  await unlucky.locator(`#${panel} .note`, { hasText: "Not now" }).waitFor();
  seen.unanswered[panel] = await text(unlucky, `#${panel}`);
}
deaf = false;
await unlucky.locator("[data-segment]").first().waitFor();
await unlucky.locator("#failures li").first().waitFor();
await unlucky.locator("[data-import]").first().waitFor();
await unlucky.locator(".report").first().waitFor();
await unlucky.locator(".graph .node").first().waitFor();
await unlucky.locator('#flow .chart[aria-label*="enrolled"]').waitFor();
await unlucky.close();

// Keys: asked for once in a tab, remembered where that is wanted, and forgotten when they are revoked.
await page.reload();
await state(page, "live");
const KEY = "mutation ($input: CreateKeyInput!) { createKey(input: $input) { key { id } secret userErrors { message } } }";
const narrow = (await ask(KEY, { input: { name: "narrow", role: "VIEWER", scopes: ["RECORDS_READ"] } })).createKey;
const visitor = await open();
await enter(visitor, narrow.secret, true);
await state(visitor, "live");
const closedTo = ["workflows", "failures", "flow", "details"];
for (const panel of closedTo) await visitor.locator(`#${panel} .note`, { hasText: "scope" }).waitFor();
await visitor.locator("[data-segment]").first().waitFor();
seen.denied = {};
for (const panel of closedTo) seen.denied[panel] = await text(visitor, `#${panel}`);
await hire();
await visitor.locator("#ticker li", { hasText: `Person${people} Watched was made` }).waitFor();
await look(visitor, "narrow");
const again = await visitor.context().newPage();
await again.goto(address);
await state(again, "live");
const stranger = await open();
await stranger.locator("#ask[open]").waitFor();
seen.askedElsewhere = await stranger.locator("#ask[open]").isVisible();
await ask("mutation ($input: RevokeKeyInput!) { revokeKey(input: $input) { userErrors { message } } }", { input: { id: narrow.key.id } });
await visitor.waitForFunction(() => document.getElementById("ask").open && document.getElementById("key-problem").textContent);
seen.revoked = await text(visitor, "#key-problem");
seen.shutAfterRevoking = await visitor.locator("main").isHidden();

// An account without anything says what will be there, and shows its first record at once.
const newcomer = await open();
listen(newcomer);
await enter(newcomer, emptyKey);
await state(newcomer, "live");
for (const panel of ["workflows", "segments", "failures", "ticker", "details"]) await newcomer.locator(`#${panel} .note`).waitFor();
await newcomer.locator("#workflows .note", { hasText: "No workflows yet" }).waitFor();
await newcomer.waitForFunction(() => document.querySelector("#tiles dd").textContent === "0");
await look(newcomer, "empty");
// Of many the first few are shown, in the order of people's numbers, and the others when they are wanted.
const groups = Array.from({ length: 12 }, (_, n) => `s${n}: createSegment(input: { name: "Group ${n + 1}", objectType: "contacts", kind: STATIC }) { userErrors { message } }`);
await ask(`mutation { ${groups.join(" ")} }`, {}, { by: emptyKey });
await newcomer.reload();
await newcomer.locator("#segments .more").waitFor();
const shownSegments = () => newcomer.locator("[data-segment]:visible .of").allInnerTexts();
seen.few = await shownSegments();
await newcomer.locator("#segments .more").focus();
await newcomer.keyboard.press("Enter");
seen.all = await shownSegments();
await hire(url, emptyKey);
await newcomer.locator("#ticker li", { hasText: `Person${people} Watched was made` }).waitFor();
await newcomer.locator("#ticker .link").first().click();
await newcomer.locator("#details h3", { hasText: `Person${people} Watched` }).waitFor();

await browser.close();
console.log(JSON.stringify({ seen }));
process.exit();
