// Parts of the page that the server draws, such as today's charts: fetched again after events that change them, so
// that a page that was opened an hour ago and one that was opened now never differ.

import { localTimes } from "./formats.js";

const PAUSE_MS = 1000;

export class Refresh {
  constructor() {
    this.timer = 0;
    this.running = false;
    this.again = false;
  }

  /** Fetches the parts again that name this event in `data-refresh`. */
  take(event) {
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
