// How the line stands, and that nothing was missed: events received, the place in the log, the last comparison.
import { byId, framed, say } from "./dom.js";
import { clock, full, number, plural, rate } from "./format.js";
import { check, logPosition, on, received, store } from "./store.js";

const OVER = 10_000;
const STATES = {
  live: "Live",
  connecting: "Connecting …",
  waiting: "Disconnected",
  refused: "Key refused",
  closed: "Not connected",
};
let times = [];
let timer = null;
// When the line was cut; 0 while it stands.
let lost = 0;

const show = framed(() => {
  const { state, until } = store.connection;
  const troubled = store.streams.find((stream) => stream.state === "troubled");
  const place = byId("line-state");
  const cut = state === "waiting" || (state === "connecting" && lost);
  place.dataset.state = cut || (state === "live" && troubled) ? "waiting" : state;
  if (cut) {
    const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
    // Told once, neither every second anew nor with every try: the count-down is for the eyes.
    say(place, STATES.waiting);
    place.dataset.more = state === "waiting" ? `next try in ${seconds} s` : "trying …";
  } else {
    say(place, state === "live" && troubled ? "Live, in part" : STATES[state]);
    delete place.dataset.more;
  }
  say(byId("line-count"), number(received()));
  say(byId("line-position"), number(logPosition()));
  const now = Date.now();
  times = times.filter(([at]) => at > now - OVER);
  say(byId("line-rate"), rate(times.reduce((sum, [, n]) => sum + n, 0) / (OVER / 1000)));
  byId("line-again").disabled = state !== "live" || store.check?.state === "running";
});

/** What the last comparison found, in words. */
function words({ why, state, at, complete, caught, compared, missed, gaps }) {
  const begin = why === "reconnected" ? "Reconnected" : "Compared";
  if (state === "running") return `${begin}: reading the log again …`;
  if (gaps) return `${begin} at ${clock(at)}, after longer than the log is kept: events from in between are not in the list. All numbers are those of now.`;
  const parts = [];
  if (why === "reconnected") parts.push(`${plural(caught, "event", "events")} caught up`);
  if (!complete) parts.push("could not be compared with the log");
  else if (missed) parts.push(`${number(missed)} missed`);
  else parts.push("none missed");
  return `${begin} at ${clock(at)}: ${parts.join(", ")} (${plural(compared, "entry", "entries")} of the log compared).`;
}

function checked() {
  const place = byId("line-check");
  if (lost) {
    say(place, `As it was at ${clock(lost)}. What happens meanwhile will be caught up.`);
    place.dataset.result = "cut";
  } else if (!store.check) {
    say(place, "Nothing is lost: after a cut, this page goes on where it was.");
    delete place.dataset.result;
  } else {
    say(place, words(store.check));
    const bad = store.check.missed || store.check.gaps || store.check.complete === false;
    place.dataset.result = store.check.state === "running" ? "running" : bad ? "bad" : "good";
  }
  show();
}

/** Without a line everything on the page is as old as the cut, and says so until there is one again. */
function stand() {
  const { state } = store.connection;
  const before = lost;
  if (state === "waiting") lost ||= Date.now();
  else if (state !== "connecting") lost = 0;
  if (lost !== before) {
    byId("main").dataset.state = lost ? "old" : "";
    checked();
  }
  show();
}

on("connection", stand);
on("status", show);
on("events", (batch) => {
  times.push([Date.now(), batch.length]);
  show();
});
on("checked", checked);
// On paper, numbers are as old as the paper.
addEventListener("beforeprint", () => say(byId("printed"), full(lost || Date.now())));
byId("line-again").addEventListener("click", () => void check("asked"));

export function begin() {
  times = [];
  clearInterval(timer);
  timer = setInterval(show, 1_000);
  checked();
}
