// Numbers and times as the reader's language writes them.

const PERCENT = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });

/** A share from 0 to 1 as a percentage; a dash for anything else. */
export function percent(share) {
  return Number.isFinite(share) ? PERCENT.format(Math.min(Math.max(share, 0), 1)) : "–";
}

/** A sentence that begins with a capital letter, as in the middle of another one it did not. */
export function upperFirst(text) {
  return String(text).slice(0, 1).toUpperCase() + String(text).slice(1);
}

/** A number from 0 to 1, whatever arrived. */
export function shareOf(value) {
  return Number.isFinite(value) ? Math.min(Math.max(value, 0), 1) : 0;
}

/**
 * A time, written as in the reader's language, as the clock of the device showed it: the charts count its hours, too.
 * @param {string} iso time with or without an offset.
 * @param {"time" | "minute" | "day" | "date" | "full"} how
 */
export function clock(iso, how) {
  const text = String(iso).slice(0, 19);
  const wall = new Date(text.length === 10 ? `${text}T00:00Z` : `${text}Z`);
  if (Number.isNaN(wall.getTime())) return "";
  const options = {
    time: { timeStyle: "medium" },
    minute: { timeStyle: "short" },
    day: { dateStyle: "full" },
    date: { weekday: "short", day: "numeric", month: "short", year: "numeric" },
    full: { dateStyle: "medium", timeStyle: "medium" },
  };
  return wall.toLocaleString(undefined, { ...(options[how] ?? options.full), timeZone: "UTC" });
}

/** Writes every `<time data-format>` below a node in the reader's language. */
export function localTimes(node) {
  for (const element of node.querySelectorAll("time[data-format]")) {
    const text = clock(element.dateTime, element.dataset.format);
    if (text) element.textContent = text;
  }
}
