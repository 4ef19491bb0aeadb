// The stream of events, which opens itself again after a loss. A page that nobody looks at is not connected at all.

const EVENTS = ["hello", "state", "mute", "level", "speech", "words", "prediction", "corrected", "health",
  "connection", "check"];
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15000;
const SILENCE_LIMIT_MS = 45000; // the device sends its health every 10 s, and the server reports it missing after 30 s

/**
 * Follows the events until the page is closed.
 * @param {(event: object) => void} onEvent called with each event.
 * @param {(state: "open" | "lost" | "full" | "login" | "paused") => void} onConnection called when the connection changes.
 */
export function follow(onEvent, onConnection) {
  let source = null;
  let timer = 0;
  let watch = 0;
  let pause = FIRST_PAUSE_MS;
  let opened = false;
  let silent = true; // whether nothing needs to arrive, since the device is not there

  function open() {
    close();
    opened = false;
    silent = true;
    source = new EventSource("/events");
    source.onopen = () => {
      opened = true;
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
        if (event === null || typeof event !== "object") return;
        if (name === "connection") silent = event.connected !== true;
        // A phone that has changed its network gets no error: its connection is silent.
        clearTimeout(watch);
        if (!silent) watch = setTimeout(lost, SILENCE_LIMIT_MS);
        onEvent({ ...event, event: name });
      });
    }
  }

  function close() {
    clearTimeout(timer);
    clearTimeout(watch);
    source?.close();
    source = null;
  }

  // The browser would open it again by itself after some errors, and never after others.
  async function lost() {
    const refused = !opened;
    close();
    if (!refused) onConnection("lost");
    const wait = pause * (0.75 + Math.random() / 2); // pages that lost the same server do not come back all at once
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    timer = setTimeout(open, wait);
    const response = await fetch("/api/status", { headers: { Accept: "application/json" } }).catch(() => null);
    if (source !== null || document.hidden) return; // it is open again, or nobody looks
    if (response?.status === 401) onConnection("login");
    else if (refused) onConnection(response?.ok ? "full" : "lost");
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
