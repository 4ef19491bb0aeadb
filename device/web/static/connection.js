// The stream of events, which opens itself again after a loss. A page that nobody looks at is not connected at all.

const EVENTS = ["hello", "state", "mute", "level", "speech", "words", "prediction", "corrected", "health",
  "connection"];
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15000;

/**
 * Follows the events until the page is closed.
 * @param {(event: object) => void} onEvent called with each event.
 * @param {(state: "open" | "lost" | "login" | "paused") => void} onConnection called when the connection changes.
 */
export function follow(onEvent, onConnection) {
  let source = null;
  let timer = 0;
  let pause = FIRST_PAUSE_MS;

  function open() {
    clearTimeout(timer);
    source?.close();
    source = new EventSource("/events");
    source.onopen = () => {
      pause = FIRST_PAUSE_MS;
      onConnection("open");
    };
    source.onerror = lost;
    for (const name of EVENTS) {
      source.addEventListener(name, (message) => {
        let event;
        try {
          event = JSON.parse(message.data);
        } catch {
          return; // a line that is no JSON, as of another version
        }
        if (event !== null && typeof event === "object") onEvent({ ...event, event: name });
      });
    }
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  // The browser would open it again by itself after some errors, and never after others.
  async function lost() {
    close();
    onConnection("lost");
    const wait = pause * (0.75 + Math.random() / 2); // pages that lost the same server do not come back all at once
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    timer = setTimeout(open, wait);
    const response = await fetch("/api/status", { headers: { Accept: "application/json" } }).catch(() => null);
    if (response?.status === 401) onConnection("login");
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      onConnection("paused");
    } else if (source === null) {
      pause = FIRST_PAUSE_MS;
      open();
    }
  });
  addEventListener("online", () => {
    if (!document.hidden) open();
  });
  addEventListener("pagehide", close); // a page that the browser keeps for the back button
  addEventListener("pageshow", (event) => {
    if (event.persisted && !document.hidden) open();
  });
  if (!document.hidden) open();
}
