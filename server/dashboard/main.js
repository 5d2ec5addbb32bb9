// The beginning: a key, the account behind it, and the panels.
import { Unauthenticated, ask, keys, onRefused, turns, why } from "./api.js";
import { RETRY } from "./asking.js";
import { byId, say } from "./dom.js";
import { useZone } from "./format.js";
import * as failures from "./failures.js";
import * as graph from "./graph.js";
import * as imports from "./imports.js";
import * as line from "./line.js";
import * as reports from "./reports.js";
import * as segments from "./segments.js";
import { begin, end, on, store } from "./store.js";
import * as syncs from "./syncs.js";
import "./theme.js";
import * as throughput from "./throughput.js";
import * as ticker from "./ticker.js";
import "./wall.js";
import * as workflows from "./workflows.js";

const UNKNOWN_KEY = "This key opens nothing here: it is not whole, or was revoked.";
const panels = [line, throughput, ticker, workflows, segments, failures, syncs, imports, reports, graph];
const dialog = byId("ask");
const form = byId("key-form");
let open = false;

function askForKey(problem = "") {
  say(byId("key-problem"), problem);
  say(form.elements.open, "Open");
  form.elements.remember.checked = keys.remembered();
  if (!dialog.open) dialog.showModal();
}

/** Open the account of a key. */
function enter(key, remember, data) {
  keys.keep(key, remember);
  // A record of another account is none that this one could show.
  if (store.account && store.account.name !== data?.account.name) history.replaceState(null, "", location.pathname + location.search);
  store.account = data?.account ?? null;
  useZone(store.account?.settings.timeZone);
  say(byId("account"), store.account?.name ?? "");
  document.title = store.account ? `${store.account.name} – Relata dashboard` : "Relata dashboard";
  open = true;
  byId("main").hidden = false;
  dialog.close();
  begin(key);
  for (const panel of panels) panel.begin();
}

/** Whose key it is; one that may not read the account is a key all the same. */
async function askAs(key) {
  const query = "{ account { name settings { timeZone } } }";
  try {
    return await ask(query, {}, key);
  } catch (problem) {
    if (problem.code === "MISSING_SCOPE") return null;
    throw problem;
  }
}

const turn = turns();
/** Try a key: of several that were given one after the other, the last one counts. */
async function attempt(key, remember) {
  const mine = turn();
  let data;
  try {
    data = await askAs(key);
  } catch (problem) {
    if (!mine()) return;
    if (problem instanceof Unauthenticated) return askForKey(UNKNOWN_KEY);
    askForKey(`${why(problem)} It is asked again in a moment.`);
    form.elements.key.value = key;
    form.elements.remember.checked = remember;
    // A screen on the wall has nobody who would press anything; whoever types another key meanwhile wants that one.
    setTimeout(() => mine() && dialog.open && form.elements.key.value === key && attempt(key, remember), RETRY);
    return;
  }
  if (!mine()) return;
  form.reset();
  enter(key, remember, data);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = form.elements.key.value.trim().replace(/^Bearer\s+/i, "");
  const { checked } = form.elements.remember;
  say(byId("key-problem"), "");
  say(form.elements.open, "Opening …");
  void attempt(key, checked);
});
// Without a key there is nothing to be seen.
dialog.addEventListener("cancel", (event) => {
  if (!open) event.preventDefault();
  // Whoever goes back wants the account that is open, not the one that was on its way.
  else turn();
});
byId("change-key").addEventListener("click", () => {
  form.reset();
  askForKey();
});

/** The key that was good is good no longer: nothing of the account stays in sight. */
function shut() {
  if (!open) return;
  open = false;
  end();
  keys.forget();
  byId("main").hidden = true;
  say(byId("account"), "");
  askForKey("This key was revoked, or has expired. Another one opens the dashboard again.");
}
onRefused(shut);
on("refused", shut);

const kept = keys.get();
if (kept) void attempt(kept, keys.remembered());
else askForKey();
