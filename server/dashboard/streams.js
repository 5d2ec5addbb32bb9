// Streams of events that are gone on with behind the last cursor, and held against the log after every reconnection.

// Cursors that are kept, for the comparison; the list of a page that stays open for weeks does not grow.
const KEPT = 5_000;
// How many events from before a cut are read again with those behind it.
const OVERLAP = 50;
// Nothing came for so long: what the log held has been told.
const QUIET = 700;
const LONGEST = 15_000;
const RETRY = 3_000;

/** Codes that end a stream which can be gone on with at once, or with the next connection. */
export const RESUMABLE = new Set(["SLOW_CONSUMER", "GOING_AWAY", "ACCESS_CHANGED"]);

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
    this.#stop?.();
    this.#stop = null;
  }

  #open() {
    this.state = "live";
    this.#stop = this.socket.run(this.query, () => ({ after: this.cursor }), {
      next: (data) => this.#told(data[this.field]),
      error: (errors) => this.#ended(errors),
    });
    this.changed();
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
    if (this.#seen.length > KEPT * 1.2) {
      this.#seen = this.#seen.slice(-KEPT);
      this.#known = new Set(this.#seen);
    }
    this.count += 1;
    this.hear(event);
    this.changed();
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
    const place = this.#seen.length - OVERLAP;
    return { from: this.#seen[Math.max(0, place)] ?? null, start: this.cursor, count: this.count };
  }

  /** Wait until all that came meanwhile was told. */
  async settled() {
    const until = Date.now() + LONGEST;
    const begun = Date.now();
    while (Date.now() < until && Date.now() - Math.max(begun, this.#last) < QUIET) await pause(100);
  }

  /**
   * Read the log again from `mark` on and compare: `{caught, compared, missed}`. Missed ones are those that
   * the log holds and we were not told. Null where there is no cursor to begin at.
   */
  async compare(mark) {
    const from = mark.from ?? mark.start;
    if (from === null || this.state !== "live") return null;
    await this.settled();
    const logged = await this.#read(from);
    if (logged === null) return null;
    await this.settled();
    const missed = logged.filter((cursor) => !this.#known.has(cursor));
    return { caught: this.count - mark.count, compared: logged.length, missed: missed.length };
  }

  /** The cursors that the log holds behind one of them. */
  #read(from) {
    return new Promise((done) => {
      const found = [];
      const finish = (answer) => {
        clearTimeout(timer);
        clearTimeout(longest);
        stop();
        done(answer);
      };
      const short = `subscription Again($after: String) { ${this.field}(after: $after) { cursor } }`;
      const later = () => setTimeout(() => finish(found), QUIET);
      let timer = later();
      const longest = setTimeout(() => finish(found), LONGEST);
      const stop = this.socket.run(short, () => ({ after: found.at(-1) ?? from }), {
        next: (data) => {
          found.push(data[this.field].cursor);
          clearTimeout(timer);
          timer = later();
        },
        error: () => finish(null),
      });
    });
  }
}
