// Parts of the page that the server draws, such as today's charts: fetched again after events that change them, so
// that a page that was opened an hour ago and one that was opened now never differ.

import { localTimes } from "./formats.js";

const PAUSE_MS = 1000;
const QUARTER_MS = 15 * 60 * 1000; // the day of the device begins at one of its ends, in whatever time zone
const CLOCKS_DIFFER_MS = 60 * 1000;

export class Refresh {
  constructor() {
    this.timer = 0;
    this.running = false;
    this.again = false;
    this.quarter = quarter();
  }

  /** Fetches the parts again that name this event in `data-refresh`, and what a new day changes. */
  take(event) {
    if (this.quarter !== quarter()) {
      this.quarter = quarter();
      this.soon();
    }
    if (event.replayed) return;
    if (document.querySelector(`[data-refresh~="${event.event}"]`)) this.soon();
  }

  soon() {
    if (this.timer === 0) this.timer = setTimeout(() => this.run(), PAUSE_MS);
  }

  async run() {
    this.timer = 0;
    if (document.hidden) return; // the connection opens again when the page is looked at, and that refreshes it
    if (this.running) {
      this.again = true;
      return;
    }
    this.running = true;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (response.ok && !response.redirected) this.replace(await response.text());
    } catch {
      // The connection is lost, and the page reports that already.
    }
    this.running = false;
    if (this.again) this.soon();
    this.again = false;
  }

  replace(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const old of document.querySelectorAll("[data-refresh]")) {
      const replacement = fresh.getElementById(old.id);
      // A reader who is in the middle of it is not interrupted; the next event brings it.
      if (!replacement || old.contains(document.activeElement)) continue;
      localTimes(replacement);
      if (!old.isEqualNode(replacement)) old.replaceWith(document.adoptNode(replacement));
    }
  }
}

/** Number of the quarter of an hour, which begins a minute late, as the clock of the device may be slow. */
function quarter() {
  return Math.floor((Date.now() - CLOCKS_DIFFER_MS) / QUARTER_MS);
}
