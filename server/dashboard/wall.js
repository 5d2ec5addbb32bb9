// For a screen on the wall: everything that moves in one picture, as large as the screen, without what asks for a hand.
import { byId, say } from "./dom.js";
import { minute } from "./format.js";

const PLACE = "relata:wall";
// What the picture is drawn for; other screens show it larger or smaller.
const [WIDTH, HEIGHT] = [1920, 1080];
const SMALLEST = 0.66;
const button = byId("wall");
let lock = null;
let whole = false;
// By its address, too: a screen that nobody sits at opens it itself.
let hung = localStorage.getItem(PLACE) !== null || new URLSearchParams(location.search).has("wall");

/** A screen that is looked at is not to go dark; where a browser does not promise that, it may. */
async function stayAwake() {
  if (!hung || document.hidden || (lock && !lock.released)) return;
  lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
}

function show() {
  const size = Math.max(SMALLEST, Math.min(innerWidth / WIDTH, innerHeight / HEIGHT));
  // On a phone the picture would be too small to read: there it is a page as ever.
  const fits = innerWidth >= WIDTH * SMALLEST && innerHeight >= HEIGHT * SMALLEST;
  const wall = hung && fits;
  document.documentElement.classList.toggle("wall", wall);
  document.body.style.zoom = wall ? size : "";
  document.body.style.height = wall ? `${innerHeight / size}px` : "";
  button.setAttribute("aria-pressed", String(wall));
  button.hidden = !fits;
  say(byId("clock"), wall ? minute(Date.now()) : "");
}

async function turn() {
  hung = !hung;
  if (hung) localStorage.setItem(PLACE, "");
  else localStorage.removeItem(PLACE);
  show();
  if (hung) {
    await document.documentElement.requestFullscreen?.().catch(() => {});
    await stayAwake();
  } else {
    lock?.release().catch(() => {});
    lock = null;
    if (document.fullscreenElement) await document.exitFullscreen();
  }
}

button.addEventListener("click", () => void turn());
// Who leaves the whole screen, by Escape, leaves the wall.
document.addEventListener("fullscreenchange", () => {
  if (whole && !document.fullscreenElement && hung) void turn();
  whole = document.fullscreenElement !== null;
});
document.addEventListener("visibilitychange", () => void stayAwake());
addEventListener("resize", show);
setInterval(show, 5_000);
show();
void stayAwake();
