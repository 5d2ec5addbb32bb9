// Streams of events that are gone on with behind the last cursor, and held against the log after every reconnection.
import { ask } from "./api.js";

// Cursors that are kept, for the comparison; the list of a page that stays open for weeks does not grow.
const KEPT = 5_000;
// How many events from before a cut are read again with those behind it.
const OVERLAP = 50;
// Nothing came for so long, or for thrice as long as the server takes to look into the log: what it held has been told.
const QUIET = 700;
// However busy the server is: somebody waits for what the comparison found.
const MOST_QUIET = 4_000;
// Where it never is quiet, what came within so many times that is compared, and the rest is as new as any other.
const SETTLED = 3;
// What is known to come is waited for as long as it goes on: only after so long without anything more is it given up.
const LONGEST = 20_000;
const RETRY = 3_000;

/** Codes that end a stream which can be gone on with at once, or with the next connection. */
export const RESUMABLE = new Set(["SLOW_CONSUMER", "GOING_AWAY", "ACCESS_CHANGED"]);

// Where the log is now; where a key may not ask it, the answer takes its time as well.
const NOW = "query Now { changes(first: 1) { cursor } }";
const PAGE = "query Page($after: String) { changes(first: 500, after: $after) { nodes { cursor } cursor hasNextPage } }";

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** The number in a cursor, for people's eyes; cursors are opaque, so nothing depends on it. Null where it is none. */
export function position(cursor) {
  try {
    const [, number] = atob(cursor.replaceAll("-", "+").replaceAll("_", "/")).split(".");
    return /^\d+$/.test(number) ? Number(number) : null;
  } catch {
    return null;
  }
}

/**
 * One subscription. `hear` is told each event once, in order. `state`: "idle", "live", "denied" (`why`), "troubled".
 */
export class Stream {
  state = "idle";
  why = "";
  cursor = null;
  count = 0;
  twice = 0;
  /** When the log no longer held what came behind our cursor. */
  gaps = 0;
  #seen = [];
  #known = new Set();
  /** What was told since a mark, and shortly before: held for the comparison, however much comes behind. */
  #pinned = null;
  #stop = null;
  #last = 0;

  constructor(field, query, hear, changed) {
    this.field = field;
    this.query = query;
    this.hear = hear;
    this.changed = changed;
  }

  /** Run on a socket; behind `start` where nothing was told yet. */
  begin(socket, start) {
    this.socket = socket;
    this.cursor ??= start;
    this.#open();
  }

  end() {
    this.state = "idle";
    this.#stop?.();
    this.#stop = null;
  }

  #open() {
    this.state = "live";
    if (this.cursor === null) this.#place();
    else this.#run();
    this.changed();
  }

  /** "From now on" would be from whenever a busy server comes to it: who has no place to go on from asks for one first. */
  #place() {
    const next = (data) => {
      this.#placed(data);
      this.#run();
    };
    // Whoever may not ask begins without.
    this.#stop = this.socket.run(NOW, () => ({}), { next, error: (errors) => errors.length && this.#run() });
  }

  #run() {
    this.#stop = this.socket.run(this.query, () => ({ after: this.cursor }), {
      next: (data) => this.#told(data[this.field]),
      error: (errors) => this.#ended(errors),
    });
  }

  /** Where the log is: a place to go on from, as long as nothing was told. */
  #placed({ changes }) {
    this.cursor ??= changes.cursor;
  }

  #told(event) {
    this.#last = Date.now();
    this.cursor = event.cursor;
    if (this.#known.has(event.cursor)) {
      this.twice += 1;
      return;
    }
    this.#known.add(event.cursor);
    this.#seen.push(event.cursor);
    if (this.#pinned?.size < KEPT) this.#pinned.add(event.cursor);
    if (this.#seen.length > KEPT * 1.2) {
      this.#seen = this.#seen.slice(-KEPT);
      this.#known = new Set(this.#seen);
    }
    this.count += 1;
    this.hear(event);
  }

  #ended(errors) {
    const { code, cursor } = errors[0]?.extensions ?? {};
    this.why = errors[0]?.message ?? "";
    // Everything up to it was told: also where nothing was for us for long.
    this.cursor = cursor ?? this.cursor;
    if (code === "MISSING_SCOPE") {
      this.state = "denied";
    } else if (code === "CURSOR_EXPIRED" || code === "INVALID_CURSOR") {
      // What was between is not to be had any more: said, never passed over.
      this.gaps += 1;
      this.cursor = null;
      // Nothing from before it is compared again: it would be missed anew each time.
      this.#seen = [];
      this.#open();
    } else if (RESUMABLE.has(code)) {
      this.#open();
    } else {
      this.state = "troubled";
      setTimeout(() => this.state === "troubled" && this.#open(), RETRY * (0.5 + Math.random()));
    }
    this.changed();
  }

  /** What is to be compared after a cut that happens now. */
  mark() {
    const place = Math.max(0, this.#seen.length - OVERLAP);
    this.#pinned = new Set(this.#seen.slice(place));
    return { from: this.#seen[place] ?? null, start: this.cursor, count: this.count, gaps: this.gaps };
  }

  /** For how long nothing must come until nothing more is on its way: by the pace of the server as it is now. */
  #quiet() {
    const begun = Date.now();
    return new Promise((done) => {
      const told = () => done(Math.min(MOST_QUIET, Math.max(QUIET, 3 * (Date.now() - begun))));
      const next = (data) => {
        this.#placed(data);
        told();
      };
      this.socket.run(NOW, () => ({}), { next, error: told });
    });
  }

  /** Wait until all that came meanwhile was told. */
  async #settled(quiet) {
    const begun = Date.now();
    while (Date.now() < begun + SETTLED * quiet && Date.now() - Math.max(begun, this.#last) < quiet) await pause(100);
  }

  /**
   * Read the log again from `mark` on and compare: `{caught, compared, missed, gaps}`. Missed ones are those that
   * the log holds and we were not told. Null where there is no cursor to begin at. `stood`: there was no cut, so that a
   * place which is known only now will do.
   */
  async compare(mark, stood) {
    if (this.state !== "live") return null;
    const quiet = await this.#quiet();
    const from = mark.from ?? mark.start ?? (stood ? this.cursor : null);
    if (from === null) return null;
    await this.#settled(quiet);
    const logged = await (this.field === "changes" ? this.#pages(from) : this.#read(from, this.#seen.at(-1), quiet));
    const gaps = this.gaps - mark.gaps;
    if (logged === null && !gaps) return null;
    const missed = gaps ? 0 : await this.#missed(logged);
    this.#pinned = null;
    return { caught: this.count - mark.count, compared: logged?.length ?? 0, missed, gaps };
  }

  /** How many of these we were not told of. What the log has told already may be on its way to us. */
  async #missed(logged) {
    const missing = () => logged.filter((cursor) => !this.#known.has(cursor) && !this.#pinned?.has(cursor)).length;
    let [n, since] = [missing(), Date.now()];
    while (n && Date.now() - since < LONGEST) {
      await pause(100);
      const now = missing();
      if (now !== n) [n, since] = [now, Date.now()];
    }
    return n;
  }

  /** The cursors that the log holds behind one of them now, page by page, and not more than are pinned. */
  async #pages(from) {
    const found = [];
    for (let after = from; found.length < KEPT - OVERLAP; ) {
      const page = await ask(PAGE, { after }).catch(() => null);
      if (page === null) return null;
      const { nodes, cursor, hasNextPage } = page.changes;
      found.push(...nodes.map((node) => node.cursor));
      if (!hasNextPage) break;
      after = cursor;
    }
    return found.slice(0, KEPT - OVERLAP);
  }

  /**
   * The cursors that the log holds behind one of them, as far as another (of what comes meanwhile there is no end), and
   * not more than are pinned.
   */
  #read(from, to, quiet) {
    return new Promise((done) => {
      const found = [];
      const finish = (answer) => {
        clearTimeout(timer);
        stop();
        done(answer);
      };
      // Asked for by the same words as the stream, its kinds included: what it leaves out is no loss.
      const asked = this.query.slice(0, this.query.indexOf("{", this.query.indexOf(`${this.field}(`)));
      const short = `${asked}{ cursor } }`;
      // Where something is known to come, a server that is busy may take its time; else quiet is the end.
      const known = to !== undefined && to !== from;
      const later = () => setTimeout(() => finish(known ? null : found), known ? LONGEST : quiet);
      let timer = later();
      // Where nothing is known to come, what flows on without an end is as new as any other.
      const until = known ? Infinity : Date.now() + LONGEST;
      const stop = this.socket.run(short, () => ({ after: found.at(-1) ?? from }), {
        next: (data) => {
          found.push(data[this.field].cursor);
          if (found.at(-1) === to || found.length === KEPT - OVERLAP || Date.now() > until) return finish(found);
          clearTimeout(timer);
          timer = later();
        },
        error: () => finish(null),
      });
    });
  }
}
