// The image of the sound, drawn as the network sees it: dB below the loudest cell, from the floor up, in 256 colours.

import { MAGMA } from "./magma.js";

const SHORTEST_S = 3; // an image of fewer columns would begin as a few wide blocks
const MOST_COLUMNS = 4096; // 131 s of columns of 32 ms: longer than the longest utterance

/** The columns of one utterance. */
export class Spectrogram {
  constructor(bands, columnSeconds, floor) {
    this.bands = bands > 0 ? bands : 64;
    this.floor = floor > 0 ? floor : 80;
    this.shortest = Math.ceil(SHORTEST_S / (columnSeconds > 0 ? columnSeconds : 0.032));
    this.begin = 0; // columns before it were missed, by a page that connected in the middle of an utterance
    this.columns = 0;
    this.codes = new Uint8Array(this.bands * this.shortest);
  }

  /**
   * Adds columns.
   * @param {number} first index of the first of them in its utterance; 0 begins a new one.
   * @param {string} encoded base64 of the cells, lowest band first, each 2 * (100 + dB).
   */
  add(first, encoded) {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
    const count = Math.floor(bytes.length / this.bands);
    if (!(first >= 0) || first + count > MOST_COLUMNS) return;
    if (first + count > this.codes.length / this.bands) {
      const larger = new Uint8Array(2 * (first + count) * this.bands);
      larger.set(this.codes);
      this.codes = larger;
    }
    if (first === 0) this.begin = 0;
    else if (first > this.columns) this.begin = first;
    this.codes.set(bytes.subarray(0, count * this.bands), first * this.bands);
    this.columns = first + count;
  }

  /** Colours: {width, height, pixels}, four bytes per pixel, time to the right, frequency upwards. */
  image() {
    const width = Math.max(this.columns, this.shortest);
    const height = this.bands;
    const pixels = new Uint8ClampedArray(4 * width * height);
    const cells = this.codes.subarray(0, this.columns * height);
    const first = this.begin;
    let loudest = 0;
    let quietest = 255;
    for (const code of cells.subarray(first * height)) {
      if (code > loudest) loudest = code;
      if (code < quietest) quietest = code;
    }
    const lowest = Math.max(quietest, loudest - 2 * this.floor); // a code is half a decibel
    const span = loudest - lowest;
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const code = column >= first && column < this.columns ? cells[column * height + (height - 1 - row)] : lowest;
        const step = span > 0 ? Math.min(255, Math.floor((Math.max(code, lowest) - lowest) / span * 256)) : 0;
        const at = 4 * (row * width + column);
        pixels[at] = MAGMA[3 * step];
        pixels[at + 1] = MAGMA[3 * step + 1];
        pixels[at + 2] = MAGMA[3 * step + 2];
        pixels[at + 3] = 255;
      }
    }
    return { width, height, pixels };
  }

  draw(canvas) {
    const { width, height, pixels } = this.image();
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  }
}
