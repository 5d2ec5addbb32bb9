// The beginning: a key, the account behind it, and the panels.
import { Unauthenticated, ask, keys, onRefused } from "./api.js";
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
  form.elements.remember.checked = keys.remembered();
  if (!dialog.open) dialog.showModal();
}

/** Open the account of a key; raises where the key opens none. */
async function enter(key, remember) {
  const { data } = await askAs(key);
  keys.keep(key, remember);
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
    return { data: await ask(query, {}, key) };
  } catch (problem) {
    if (problem.code === "MISSING_SCOPE") return { data: null };
    throw problem;
  }
}

async function attempt(key, remember) {
  try {
    await enter(key, remember);
  } catch (problem) {
    if (problem instanceof Unauthenticated) {
      askForKey(UNKNOWN_KEY);
    } else {
      askForKey("The server does not answer. Once it does, press Open again.");
      form.elements.key.value = key;
    }
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = form.elements.key.value.trim().replace(/^Bearer\s+/i, "");
  const { checked } = form.elements.remember;
  void attempt(key, checked).then(() => {
    if (!dialog.open) form.reset();
  });
});
// Without a key there is nothing to be seen.
dialog.addEventListener("cancel", (event) => {
  if (!open) event.preventDefault();
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
