// Sends forms without leaving the page; without JavaScript the browser sends them, and the server leads back.

import { upperFirst } from "./formats.js";

/**
 * @param {(text: string, wrong: boolean) => void} report shows the result.
 * @param {(path: string, label: string | null) => void} done called after a form was accepted.
 */
export function sendForms(report, done) {
  document.addEventListener("submit", async (submission) => {
    const form = submission.target;
    if (!form.matches("[data-send]")) return;
    submission.preventDefault();
    const button = submission.submitter;
    if (button?.dataset.busy) {
      if (button.getAttribute("aria-busy") === "true") return;
      report(button.dataset.busy, false);
    }
    const body = new URLSearchParams(new FormData(form));
    if (button?.name) body.set(button.name, button.value);
    button?.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body });
      const result = await response.json().catch(() => ({}));
      if (response.ok) {
        report(doneText(button, body, result), false);
        done(new URL(form.action).pathname, body.get("label"));
      } else {
        const message = result.error ?? `The device has refused it (${response.status})`;
        report([message, result.fix].filter(Boolean).map(upperFirst).join(". "), true);
      }
    } catch {
      report("Not sent: there is no connection to the device", true);
    } finally {
      button?.removeAttribute("aria-busy");
    }
  });
}

function doneText(button, body, result) {
  if ("summary" in result) return result.summary;
  if ("muted" in result) {
    const isClosed = result.muted && result.message.startsWith("muted");
    return isClosed ? "The microphone is closed" : upperFirst(result.message);
  }
  return (button?.dataset.done ?? "Done").replace("{}", body.get("label") ?? "");
}
