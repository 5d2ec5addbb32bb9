// What a panel asks for: when it begins, soon after something happened, and now and then while somebody looks.
import { Unauthenticated, askIfAllowed, turns, why } from "./api.js";
import { byId, fill, note, soon } from "./dom.js";

/** Who was not answered asks again after so long. */
export const RETRY = 5_000;

/**
 * A question whose latest answer `show(data, missing)` is told; it may say after how many milliseconds it is asked again,
 * otherwise `every`; null: not by itself. In the element `place` is said what this key may not see (`show` is not told
 * then), and that nobody answered, as long as nothing else stands there; null where `show` does both.
 * Gives `begin`, which asks at once, and `later`, which asks within `within` milliseconds, once for all calls.
 */
export function asking(place, query, show, { within = 1_500, every = 60_000 } = {}) {
  const turn = turns();
  let timer = null;
  let shown = false;
  const say = (title, text) => place && fill(byId(place), note(title, text));

  async function find() {
    clearTimeout(timer);
    const mine = turn();
    const again = (ms) => {
      // With the key, what was to be asked by it ends.
      if (ms !== null) timer = setTimeout(() => looked(() => mine() && later()), ms);
    };
    let told;
    try {
      told = await askIfAllowed(query);
    } catch (problem) {
      if (!mine() || problem instanceof Unauthenticated) return;
      if (!shown) say("Not now", `${why(problem)} It is asked again in a moment.`);
      again(RETRY);
      return;
    }
    if (!mine()) return;
    shown = true;
    if (told.missing) say("No permission", told.missing);
    const wait = told.missing && place ? null : show(told.data, told.missing);
    again(wait === undefined ? every : wait);
  }
  const later = soon(find, within);

  function begin() {
    shown = false;
    void find();
  }
  return { begin, later };
}

/** Do it while the page is looked at: now, or as soon as it is. */
function looked(work) {
  if (document.hidden) document.addEventListener("visibilitychange", () => looked(work), { once: true });
  else work();
}
