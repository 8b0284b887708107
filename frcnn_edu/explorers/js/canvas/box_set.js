/* The boxes of a canvas and what is known of each: state, score, caption, whether the hand may move it, whether it is
   shown. */

import { boxAt } from "../detector/boxes.js";

/** @typedef {{ states?: ArrayLike<number>, scores?: ArrayLike<number>, editable?: ArrayLike<number>, captions?: string[] }} Known */

const NEARLY = 1.1; // boxes of the same size but for this factor nearly coincide where they overlap

class BoxSet {
  boxes = new Float32Array(0);
  states = new Uint8Array(0);
  scores = new Float32Array(0); // or empty
  editable = new Uint8Array(0);
  /** @type {string[]} */
  captions = [];
  shown = new Uint8Array(0); // 1 where a box passes the filters

  get count() {
    return this.states.length;
  }

  /** @param {number} index */
  box(index) {
    return this.boxes.subarray(4 * index, 4 * index + 4);
  }

  /**
   * @param {ArrayLike<number>} boxes
   * @param {Known} known  What is left out becomes 0 or nothing
   */
  replace(boxes, { states, scores = [], editable, captions = [] }) {
    const count = boxes.length / 4;
    this.boxes = Float32Array.from(boxes);
    this.states = Uint8Array.from(states ?? new Uint8Array(count));
    this.scores = Float32Array.from(scores);
    this.editable = Uint8Array.from(editable ?? new Uint8Array(count));
    this.captions = captions;
  }

  /**
   * Hide the boxes that score less, are smaller, or are in a hidden state.
   * @param {{ minScore: number | null, minSize: number, hidden: number[] }} filters
   */
  filter({ minScore, minSize, hidden }) {
    const { boxes, states, scores } = this;
    const off = new Set(hidden);
    const threshold = minScore === null ? null : Math.fround(minScore);
    this.shown = new Uint8Array(states.length);
    for (let i = 0, j = 0; i < states.length; i++, j += 4) {
      const low = threshold !== null && i < scores.length && scores[i] < threshold; // false for NaN: it has no score
      const small = boxes[j + 2] - boxes[j] < minSize || boxes[j + 3] - boxes[j + 1] < minSize;
      this.shown[i] = low || small || off.has(states[i]) ? 0 : 1;
    }
  }

  get numEditable() {
    let number = 0;
    for (const flag of this.editable) number += flag;
    return number;
  }

  /** The boxes that are shown and that the hand may move. */
  get movable() {
    return this.indices((i) => this.editable[i] === 1 && this.shown[i] === 1);
  }

  /** @param {(index: number) => boolean} wanted */
  indices(wanted) {
    /** @type {number[]} */
    const found = [];
    for (let i = 0; i < this.count; i++) if (wanted(i)) found.push(i);
    return found;
  }

  /**
   * The smallest shown box that holds the point, or null: of nested boxes the inner one can be reached no other way.
   * Of boxes that nearly coincide it is the preferred one, else the last.
   * @param {number} x
   * @param {number} y
   * @param {number} slack  How far outside a box still counts as inside, for the thin ones
   * @param {{ onlyEditable?: boolean, preferred?: number | null }} [which]
   */
  smallestAt(x, y, slack, { onlyEditable = false, preferred = null } = {}) {
    const { boxes, shown, editable } = this;
    /** @type {number | null} */
    let best = null;
    let bestArea = Number.POSITIVE_INFINITY;
    let preferredArea = Number.POSITIVE_INFINITY;
    for (let i = 0, j = 0; i < shown.length; i++, j += 4) {
      if (!shown[i] || (onlyEditable && !editable[i])) continue;
      if (x < boxes[j] - slack || x > boxes[j + 2] + slack || y < boxes[j + 1] - slack || y > boxes[j + 3] + slack)
        continue;
      const area = (boxes[j + 2] - boxes[j]) * (boxes[j + 3] - boxes[j + 1]);
      if (area <= bestArea) [best, bestArea] = [i, area];
      if (i === preferred) preferredArea = area;
    }
    return preferredArea <= NEARLY * bestArea && Number.isFinite(preferredArea) ? preferred : best;
  }

  /**
   * What there is to say of a box.
   * @param {number} index
   * @param {string} label  Of its state
   */
  describe(index, label) {
    const { scores, captions } = this;
    const [x1, y1, x2, y2] = boxAt(this.boxes, index);
    /** @param {number} value */
    const number = (value) => value.toFixed(1);
    const parts = [
      `#${index} ${label}`,
      `x ${number(x1)} to ${number(x2)}, y ${number(y1)} to ${number(y2)}`,
      `${number(x2 - x1)} × ${number(y2 - y1)} px`,
    ];
    if (index < scores.length && !Number.isNaN(scores[index])) parts.push(`score ${scores[index].toFixed(3)}`);
    if (captions[index]) parts.push(captions[index]);
    return parts.join("  ·  ");
  }
}

export { BoxSet };
