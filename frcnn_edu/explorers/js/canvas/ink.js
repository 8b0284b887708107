/* Outlines of thousands of boxes. Stroking them dashed takes a canvas half a second; dash by dash into its pixels takes
   some milliseconds. */

import { COLORS, rgb } from "../kit/palette.js";

const CROWD = 400; // from so many boxes of a state on the dark edges would merge, so they are left out
const CASING_ALPHA = 0.6;

/**
 * Draw boxes of one state into an image of device pixels.
 * @param {ImageData} image
 * @param {Float32Array} boxes
 * @param {number[]} members  Which of the boxes
 * @param {import("../kit/palette.js").Look} look
 * @param {import("./view.js").View} view
 */
function inkBoxes(image, boxes, members, { color, dash, width }, view) {
  const ink = new Uint32Array(image.data.buffer);
  const { thick, first } = view.pen(width);
  const dashes = dashesInPixels(dash, view.dpr);
  const passes = [{ pixel: asPixel(color), edge: 0 }];
  if (members.length <= CROWD)
    passes.unshift({ pixel: asPixel(COLORS.black, CASING_ALPHA), edge: Math.round(view.dpr) });
  for (const { pixel, edge } of passes) {
    const page = { ink, width: image.width, height: image.height, pixel, edge };
    for (const index of members) {
      const j = 4 * index;
      const low = [first(boxes[j]), first(boxes[j + 1])];
      const high = [first(boxes[j + 2]) + thick, first(boxes[j + 3]) + thick];
      inkOutline(page, low, high, thick, dashes);
    }
  }
}

/** @typedef {{ ink: Uint32Array, width: number, height: number, pixel: number, edge: number }} Page */

/**
 * @param {Page} page
 * @param {number[]} low
 * @param {number[]} high
 * @param {number} thick
 * @param {{ on: number[][], period: number }} dashes
 */
function inkOutline(page, [left, top], [right, bottom], thick, { on, period }) {
  for (const [start, length] of on) {
    for (let x = left + start; x < right; x += period) {
      const end = Math.min(x + length, right);
      inkArea(page, x, top, end, top + thick);
      inkArea(page, x, bottom - thick, end, bottom);
    }
    for (let y = top + start; y < bottom; y += period) {
      const end = Math.min(y + length, bottom);
      inkArea(page, left, y, left + thick, end);
      inkArea(page, right - thick, y, right, end);
    }
  }
}

/**
 * Fill a rectangle, wider by the page's edge on all sides, as far as it is on the page.
 * @param {Page} page
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 */
function inkArea({ ink, width, height, pixel, edge }, x1, y1, x2, y2) {
  const left = Math.max(x1 - edge, 0);
  const right = Math.min(x2 + edge, width);
  const end = Math.min(y2 + edge, height);
  for (let y = Math.max(y1 - edge, 0); y < end; y++) {
    for (let k = y * width + left; k < y * width + right; k++) ink[k] = pixel;
  }
}

/**
 * Where the drawn parts of a dash pattern start and how long they are, and after how many pixels it repeats.
 * @param {number[]} dash
 * @param {number} dpr
 */
function dashesInPixels(dash, dpr) {
  if (!dash.length) return { on: [[0, Number.POSITIVE_INFINITY]], period: Number.POSITIVE_INFINITY };
  /** @type {number[][]} */
  const on = [];
  let period = 0;
  dash.forEach((part, i) => {
    const length = Math.max(1, Math.round(part * dpr));
    if (i % 2 === 0) on.push([period, length]);
    period += length;
  });
  return { on, period };
}

/**
 * A colour as one number of four bytes.
 * @param {string} color
 * @param {number} [alpha]
 */
function asPixel(color, alpha = 1) {
  return new Uint32Array(new Uint8Array([...rgb(color), 255 * alpha]).buffer)[0];
}

export { dashesInPixels, inkBoxes };
