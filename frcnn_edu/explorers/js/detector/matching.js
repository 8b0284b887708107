/* frcnn_edu/matching.py for the browser: which anchors are examples of what. */

import { randomOrder } from "./random.js";

/** @typedef {import("./random.js").RandomNumbers} RandomNumbers */

const [POSITIVE, NEGATIVE, IGNORED] = [1, 0, -1];
const HIGH = 0.7; // IoU from which an anchor is positive
const LOW = 0.3; // and below which it is negative

/** @typedef {{ labels: Int8Array, gtIndex: Uint16Array, iou: Float32Array }} Matches */

/**
 * Label boxes by their IoU with the ground truth, an array for each object with an entry for each of `count` boxes.
 * Without an object all are negative.
 * @param {Float32Array[]} overlaps
 * @param {number} count
 * @param {{ high: number, low: number, bestRule: boolean }} rules  `bestRule`: an object's best boxes are positive
 * @returns {Matches}
 */
function match(overlaps, count, { high, low, bestRule }) {
  const iou = new Float32Array(count);
  const gtIndex = new Uint16Array(count);
  const labels = new Int8Array(count);
  if (!overlaps.length) return { labels, gtIndex, iou };
  const [from, below] = [Math.fround(high), Math.fround(low)];
  iou.set(overlaps[0]);
  for (let g = 1; g < overlaps.length; g++) {
    const column = overlaps[g];
    for (let a = 0; a < count; a++) {
      if (column[a] > iou[a]) {
        iou[a] = column[a];
        gtIndex[a] = g;
      }
    }
  }
  for (let a = 0; a < count; a++) labels[a] = iou[a] >= from ? POSITIVE : iou[a] < below ? NEGATIVE : IGNORED;
  if (bestRule) for (const a of bestAnchors(overlaps)) labels[a] = POSITIVE;
  return { labels, gtIndex, iou };
}

/**
 * The boxes that overlap some object as well as any box does, ties included; nothing is best at no overlap at all.
 * @param {Float32Array[]} overlaps
 */
function bestAnchors(overlaps) {
  /** @type {Set<number>} */
  const found = new Set();
  for (const column of overlaps) {
    let best = 0;
    for (let a = 0; a < column.length; a++) if (column[a] > best) best = column[a];
    for (let a = 0; best > 0 && a < column.length; a++) if (column[a] === best) found.add(a);
  }
  return found;
}

/**
 * Draw up to `batchSize` boxes by their labels, at most the share `fraction` of them positive, the rest negative.
 * @param {Int8Array} labels
 * @param {number} batchSize
 * @param {number} fraction
 * @param {RandomNumbers} numbers
 */
function sample(labels, batchSize, fraction, numbers) {
  /** @type {(label: number, count: number) => number[]} */
  const drawn = (label, count) => {
    const all = [...labels.keys()].filter((index) => labels[index] === label);
    if (all.length <= count) return all;
    return [...randomOrder(all.length, numbers).subarray(0, count)].map((place) => all[place]);
  };
  const positive = drawn(POSITIVE, Math.floor(batchSize * fraction));
  return { positive, negative: drawn(NEGATIVE, batchSize - positive.length) };
}

export { bestAnchors, HIGH, IGNORED, LOW, match, NEGATIVE, POSITIVE, sample };
