// Connects the page with the events of the device.

import { follow } from "./connection.js";
import { localTimes, upperFirst } from "./formats.js";
import { sendForms } from "./forms.js";
import { Live } from "./live.js";
import { Refresh } from "./refresh.js";
import { filterSettings } from "./settings.js";

const RESULT_MS = 8000;
const look = JSON.parse(document.body.dataset.look ?? "{}");
const connectionNotice = document.getElementById("connection");
const result = document.getElementById("result");
const announcer = document.getElementById("announcer");
let reported = 0;

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
  if (state === "open" && before !== "paused" && before !== "open" && before) announce("Connected again.");
  if (state !== "open" && state !== "paused" && state !== before) {
    announce(connectionNotice.querySelector(`[data-when="${state}"]`)?.textContent.trim() ?? "");
  }
}

function onDevice(event) {
  document.documentElement.dataset.device = event.connected === true ? "present" : "absent";
  document.getElementById("absent").hidden = event.connected === true;
  document.getElementById("daemon-message").textContent = event.message ?? "";
  document.getElementById("daemon-fix").textContent = upperFirst(event.fix ?? "");
}

document.documentElement.classList.add("live");
localTimes(document);
filterSettings();
const refresh = new Refresh();
const section = document.getElementById("now");
const live = section && new Live(section, look, announce);
sendForms(report, (form, label) => {
  if (form === "/light") live?.take({ event: "light", label });
  if (form === "/check") refresh.soon(); // the event may not come, as when too many pages are open
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
  const wanted = JSON.stringify(labels);
  if (!Array.isArray(labels) || wanted === JSON.stringify(look.labels)) {
    sessionStorage.removeItem("drawn for");
    return true;
  }
  if (sessionStorage.getItem("drawn for") === wanted) return true; // it was loaded for them already, in vain
  sessionStorage.setItem("drawn for", wanted);
  return false;
}
