// Connects the page with the events of the device.

import { follow } from "./connection.js";
import { localTimes } from "./formats.js";
import { sendForms } from "./forms.js";
import { Live } from "./live.js";
import { Refresh } from "./refresh.js";
import { filterSettings } from "./settings.js";

const RESULT_MS = 8000;
const look = JSON.parse(document.body.dataset.look ?? "{}");
const connectionNotice = document.getElementById("connection");
const result = document.getElementById("result");
let reported = 0;
const announcer = document.getElementById("announcer");

function announce(text) {
  announcer.textContent = text;
}

function report(text, wrong) {
  result.textContent = text;
  result.classList.toggle("wrong", wrong);
  clearTimeout(reported);
  if (!wrong) reported = setTimeout(() => (result.textContent = ""), RESULT_MS); // an error stays
}

function onConnection(state) {
  const before = document.documentElement.dataset.connection;
  document.documentElement.dataset.connection = state;
  for (const each of connectionNotice.children) each.hidden = each.dataset.when !== state;
  if (state === "open" && before && before !== "open") refresh.soon(); // what happened meanwhile
  if (state === "open" && (before === "lost" || before === "login")) announce("Connected again.");
  if (state !== "open" && state !== "paused" && state !== before) {
    announce(connectionNotice.querySelector(`[data-when="${state}"]`)?.textContent.trim() ?? "");
  }
}

function onDevice(event) {
  document.documentElement.dataset.device = event.connected === true ? "present" : "absent";
  document.getElementById("absent").hidden = event.connected === true;
  document.getElementById("daemon-message").textContent = event.message ?? "";
  document.getElementById("daemon-fix").textContent = event.fix ?? "";
}

document.documentElement.classList.add("live");
localTimes(document);

filterSettings();
const refresh = new Refresh();
const section = document.getElementById("now");
const live = section && new Live(section, look, announce);

sendForms(report, (form, label) => {
  if (form === "/light") live?.take({ event: "light", label });
});

if (document.body.dataset.follow) {
  follow((event) => {
    if (event.event === "connection") onDevice(event);
    if (event.event === "hello" && live && sameLabels(event.labels) === false) return location.reload();
    live?.take(event);
    refresh.take(event);
  }, onConnection);
}

/** Whether the page was drawn for these classes; another model needs other buttons. */
function sameLabels(labels) {
  if (!Array.isArray(labels) || JSON.stringify(labels) === JSON.stringify(look.labels)) return true;
  const key = `drawn for ${JSON.stringify(labels)}`; // once: a page that cannot be drawn for them must not reload for ever
  if (sessionStorage.getItem(key)) return true;
  sessionStorage.setItem(key, "yes");
  return false;
}
