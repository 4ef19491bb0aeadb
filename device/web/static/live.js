// What happens at the moment: lamp, state, level, image of the sound, words and probabilities.

import { clock, percent, shareOf, upperFirst } from "./formats.js";
import { Spectrogram } from "./spectrogram.js";

const QUIETEST_DBFS = -72; // where the meter begins
const LOUD_DBFS = -12;
const TOO_LOUD_DBFS = -3;
const FALL_DB_PER_S = 24; // a peak that falls slowly is readable
const STALE_MS = 1500; // the level comes five times a second

/** The part of the page that follows the events; every method accepts events with missing or unknown keys. */
export class Live {
  /**
   * @param {HTMLElement} root the section with the lamp, whose data name the latest prediction.
   * @param {object} look colour and shape of each class, and the title of each state.
   * @param {(text: string) => void} announce passes a sentence to screen readers.
   */
  constructor(root, look, announce) {
    this.look = look;
    this.announce = announce;
    this.find = (id) => document.getElementById(id) ?? document.createElement("i");
    this.hello = {};
    this.latest = { daemon: root.dataset.daemonId ?? "", number: Number(root.dataset.number) || 0 };
    this.state = this.find("state").dataset.state;
    this.spectrogram = null;
    this.level = { dbfs: -Infinity, shown: -Infinity, at: 0 };
    this.due = new Set();
    this.dark = 0;
    if (root.dataset.lightS) this.lamp(root.dataset.light, Number(root.dataset.lightS));
  }

  /** Takes in one event. */
  take(event) {
    const handle = this[`on_${event.event}`];
    if (handle) handle.call(this, event);
  }

  on_hello(hello) {
    this.hello = hello;
    this.spectrogram = new Spectrogram(hello.mel_bands, hello.column_s, hello.db_floor);
    this.gate(hello.gate_dbfs);
    this.find("words").hidden = hello.words !== true;
    if (hello.daemon !== this.latest.daemon) this.latest = { daemon: hello.daemon, number: 0 };
  }

  on_state(event) {
    const state = String(event.state ?? "");
    const title = this.look.states[state] ?? state;
    this.find("state").dataset.state = state;
    this.find("state-title").textContent = title;
    this.find("state-reason").textContent = upperFirst(event.reason ?? "");
    this.find("state-fix").textContent = upperFirst(event.fix ?? "");
    this.find("state-microphone").textContent =
      state === "healthy" && event.microphone ? `${event.microphone}, ${event.rate ?? "?"} Hz` : "";
    if (state !== this.state) {
      this.announce([title, event.reason, event.fix].filter(Boolean).join(". "));
      this.lamp(null, 0); // the lights go out when the state of the microphone changes
    }
    this.state = state;
  }

  on_mute(event) {
    const button = this.find("mute");
    button.setAttribute("aria-pressed", String(event.muted === true));
    button.value = event.muted === true ? "off" : "on";
    if (event.muted === true) this.find("words").textContent = "";
  }

  on_level(event) {
    if (!Number.isFinite(event.dbfs)) return;
    this.level.dbfs = event.dbfs;
    this.level.at = performance.now();
    this.draw("level");
  }

  on_speech(event) {
    if (!this.spectrogram || typeof event.columns !== "string") return;
    try {
      this.spectrogram.add(event.first, event.columns);
    } catch {
      return; // no base64
    }
    if (event.first === 0) this.find("words").textContent = "";
    this.draw("sound");
  }

  on_words(event) {
    this.find("words").textContent = event.text ?? "";
  }

  on_prediction(event) {
    const same = event.daemon === this.latest.daemon;
    if (same && event.number <= this.latest.number) {
      // Replayed after a reconnection, during which it may have been corrected; no correction is ever withdrawn.
      if (event.number === this.latest.number && event.corrected) this.correct(event.corrected);
      return;
    }
    this.latest = { daemon: event.daemon, number: event.number };
    this.show(event);
    if (event.replayed) return;
    const doubt = event.confident === false ? ", low confidence" : "";
    this.announce(`${event.label}, ${percent(event.probabilities?.[event.label])}${doubt}`);
    if (!event.lights_stay) this.lamp(event.light, this.hello.hold_s);
  }

  on_corrected(event) {
    if (event.daemon !== this.latest.daemon || event.number !== this.latest.number) return;
    this.correct(event.label);
    if (!event.replayed) this.lamp(event.label, this.hello.hold_s);
  }

  /** A light that this page has tested. */
  on_light(event) {
    this.lamp(event.label, this.hello.hold_s);
  }

  on_connection(event) {
    if (event.connected) return;
    this.announce(`No connection to the device: ${event.message ?? ""}`);
    this.lamp(null, 0);
    this.find("state").dataset.state = "";
    this.find("state-title").textContent = "No connection to the device";
    for (const id of ["reason", "fix", "microphone"]) this.find(`state-${id}`).textContent = "";
    this.state = "";
  }

  /** Shows a prediction, without the light. */
  show(event) {
    const probabilities = event.probabilities ?? {};
    this.colour(this.find("lamp"), event.label);
    this.find("verdict").textContent = event.label ?? "";
    this.find("probability").textContent = percent(probabilities[event.label]);
    this.find("doubt").hidden = event.confident !== false;
    this.correct(event.corrected);
    this.find("when").dateTime = event.time ?? "";
    this.find("when").textContent = clock(event.time, "time");
    if (typeof event.text === "string") this.find("words").textContent = event.text;
    this.bars("together", event.label, probabilities);
    this.bars("audio", event.audio_only?.label, event.audio_only?.probabilities);
    this.bars("words", event.text_only?.label, event.text_only?.probabilities);
    this.find("without-words").hidden = event.text_only !== null || event.audio_only === undefined;
    for (const element of document.querySelectorAll("[name=number]")) element.value = event.number ?? "";
    for (const element of document.querySelectorAll("[name=daemon]")) element.value = event.daemon ?? "";
    this.find("correction").hidden = !this.hello.learns;
    this.shape(event.label);
  }

  /** Shows the right class of the latest prediction; none without a label. */
  correct(label) {
    this.find("corrected").textContent = label ? `corrected to ${label}` : "";
  }

  /** Fills one column of bars. */
  bars(column, best, probabilities) {
    for (const cell of document.querySelectorAll(`[data-bar="${column}"]`)) {
      const share = probabilities?.[cell.dataset.label];
      cell.querySelector("rect").setAttribute("width", `${100 * shareOf(share)}%`);
      cell.querySelector(".value").textContent = percent(share);
      if (column === "together") cell.closest("tr").classList.toggle("most", cell.dataset.label === best);
    }
  }

  /** Switches the lamp on for some seconds, or off without a label. */
  lamp(label, seconds) {
    clearTimeout(this.dark);
    const lit = Boolean(label) && seconds > 0;
    const bulb = this.find("bulb");
    bulb.classList.toggle("lit", lit);
    this.find("light").textContent = lit ? `light ${label}` : "light off";
    if (!lit) return;
    this.colour(bulb, label);
    this.shape(label);
    this.dark = setTimeout(() => this.lamp(null, 0), Math.min(1000 * seconds, 2 ** 31 - 1));
  }

  shape(label) {
    this.find("bulb").querySelector("use")?.setAttribute("href", `#shape-${this.look.shapes[label] ?? "circle"}`);
  }

  colour(element, label) {
    element.classList.remove(...[...element.classList].filter((name) => name.startsWith("colour-")));
    element.classList.add(`colour-${this.look.colours[label] ?? "white"}`);
  }

  gate(dbfs) {
    this.find("gate").hidden = !Number.isFinite(dbfs);
    if (!Number.isFinite(dbfs)) return;
    this.find("gate").style.left = `${100 * cells(dbfs)}%`;
    this.find("gate-value").textContent = `${Math.round(dbfs)} dBFS`;
  }

  /** Draws before the next frame; a page in the background has none, and draws nothing. */
  draw(what) {
    if (this.due.size === 0) {
      requestAnimationFrame(() => {
        const due = this.due;
        this.due = new Set();
        if (due.has("sound")) this.spectrogram.draw(this.find("sound"));
        if (due.has("level")) this.meter();
      });
    }
    this.due.add(what);
  }

  meter() {
    const now = performance.now();
    const stale = now - this.level.at > STALE_MS;
    const dbfs = stale ? -Infinity : this.level.dbfs;
    const seconds = (now - (this.level.drawn ?? now)) / 1000;
    this.level.shown = Math.max(dbfs, this.level.shown - FALL_DB_PER_S * seconds);
    this.level.drawn = now;
    const shown = this.level.shown;
    const bar = this.find("level-bar");
    bar.style.transform = `scaleX(${cells(shown)})`;
    bar.classList.toggle("below", shown < this.hello.gate_dbfs);
    bar.classList.toggle("loud", shown > LOUD_DBFS && shown <= TOO_LOUD_DBFS);
    bar.classList.toggle("too-loud", shown > TOO_LOUD_DBFS);
    const text = stale ? "no level" : `${Math.round(dbfs)} dBFS`;
    this.find("level").setAttribute("aria-valuenow", String(Math.round(Math.max(QUIETEST_DBFS, Math.min(dbfs, 0)))));
    this.find("level").setAttribute("aria-valuetext", text);
    this.find("level-value").textContent = text;
    clearTimeout(this.level.fall);
    if (!stale || shown > QUIETEST_DBFS) this.level.fall = setTimeout(() => this.draw("level"), stale ? 100 : STALE_MS + 100);
    else this.level.drawn = undefined;
  }
}

/** Share of the meter, 0 to 1, for a level in dBFS. */
function cells(dbfs) {
  return Math.min(Math.max(1 - dbfs / QUIETEST_DBFS, 0), 1);
}
