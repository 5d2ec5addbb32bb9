// Numbers as the reader's locale writes them, times in the account's time zone.

const locale = navigator.languages?.length ? [...navigator.languages] : undefined;
const whole = new Intl.NumberFormat(locale);
const shorter = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
const rates = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
let zone;
let formats = times();

function times() {
  const given = zone ? { timeZone: zone } : {};
  return {
    second: new Intl.DateTimeFormat(locale, { ...given, hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    minute: new Intl.DateTimeFormat(locale, { ...given, hour: "2-digit", minute: "2-digit" }),
    full: new Intl.DateTimeFormat(locale, { ...given, dateStyle: "medium", timeStyle: "medium" }),
    day: new Intl.DateTimeFormat(locale, { ...given, dateStyle: "medium" }),
  };
}

/** All times from now on are told in this time zone. */
export function useZone(name) {
  try {
    zone = name;
    formats = times();
  } catch {
    zone = undefined; // a zone that this browser does not know: its own
    formats = times();
  }
}

export const number = (n) => (n === null || n === undefined ? "–" : whole.format(n));
export const compact = (n) => (n < 1_000_000 ? whole.format(n) : shorter.format(n));
export const short = (n) => (n < 10_000 ? whole.format(n) : shorter.format(n));
export const measure = (n) => (n === null || n === undefined ? "–" : hundredths.format(n));
export const rate = (n) => (n < 10 ? rates.format(n) : whole.format(Math.round(n)));
export const clock = (at) => formats.second.format(new Date(at));
export const minute = (at) => formats.minute.format(new Date(at));
export const full = (at) => formats.full.format(new Date(at));
export const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many}`;

/** A number of seconds as words: "40 s", "3 min", "2 h 5 min". */
export function duration(seconds) {
  if (seconds < 90) return `${whole.format(Math.ceil(seconds))} s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${whole.format(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}

/** A moment as short as it can be told: the time today, else the date. */
export function moment(at, now = Date.now()) {
  const then = new Date(at);
  const today = formats.day.format(then) === formats.day.format(new Date(now));
  return today ? formats.second.format(then) : formats.day.format(then);
}

/** A stored value as text. */
export function value(given) {
  if (given === null || given === undefined) return "–";
  if (typeof given === "number") return whole.format(given);
  if (typeof given === "boolean") return given ? "yes" : "no";
  if (Array.isArray(given)) return given.map(value).join(", ");
  if (typeof given === "object") return JSON.stringify(given);
  if (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(given)) return formats.full.format(new Date(given));
  return given;
}

/** A name such as "lifecycle_stage" or "ENROLLED" as words. */
export const words = (name) => name.toLowerCase().replaceAll("_", " ");

const names = new Intl.Collator(locale, { numeric: true });
/** The order of names: stage 7 comes before stage 10. */
export const byName = (one, other) => names.compare(one, other);

/** A name within a sentence: one that is written from right to left leaves the words around it where they are. */
export const isolated = (name) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name);
