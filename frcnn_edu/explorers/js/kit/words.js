/* Numbers as the explorers write them. */

const MINUS = "\u2212";
const TIMES = "\u00d7";

/** @param {number} value */
const shortNumber = (value) => String(Math.round(value * 100) / 100);

/** @param {number} value */
const wholeNumber = (value) => Math.round(value).toLocaleString("en");

/** @param {number} value */
const pixels = (value) => `${shortNumber(value)} px`;

/**
 * @param {number} share
 * @param {number} [digits]
 */
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;

/** @param {number} iou */
const iouText = (iou) => `IoU ${iou.toFixed(2)}`;

/**
 * @param {number} value
 * @param {number} [digits]
 */
const signed = (value, digits = 2) => (value < 0 ? MINUS : "+") + Math.abs(value).toFixed(digits);

/**
 * A number with a proper minus sign, and without one before a zero.
 * @param {number} value
 * @param {number} digits
 */
const fixed = (value, digits) =>
  value
    .toFixed(digits)
    .replace(/^-(0\.?0*)$/, "$1")
    .replace("-", MINUS);

/**
 * Width and height of a box.
 * @param {import("../detector/boxes.js").Box} box
 * @param {number} [digits]
 */
const sides = ([x1, y1, x2, y2], digits = 0) => `${(x2 - x1).toFixed(digits)} ${TIMES} ${(y2 - y1).toFixed(digits)} px`;

/**
 * A class name without the underscores of "__background__".
 * @param {string} name
 */
const plainName = (name) => name.replaceAll("_", "");

export { fixed, iouText, percent, pixels, plainName, shortNumber, sides, signed, TIMES, wholeNumber };
