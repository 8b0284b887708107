/* frcnn_edu/anchors.py for the browser. A cell is [row, column]; a ratio is height / width. */

import { boxAround } from "./boxes.js";

/** @typedef {{ stride: number, offset: number }} Grid */

/**
 * The anchors of one cell, centred on (0, 0), ratio by ratio and sizes within.
 * @param {number[]} sizes
 * @param {number[]} ratios
 */
function baseAnchors(sizes, ratios) {
  return ratios.flatMap((ratio) =>
    sizes.map((size) => boxAround([0, 0, size / Math.sqrt(ratio), size * Math.sqrt(ratio)])),
  );
}

/**
 * Rows and columns of the feature map of an image; a border that is left over gets a cell too.
 * @param {{ width: number, height: number }} size
 * @param {number} stride
 */
function mapSize({ width, height }, stride) {
  return [Math.ceil(height / stride), Math.ceil(width / stride)];
}

/**
 * Where the anchors of a cell are centred, x and y.
 * @param {number[]} cell
 * @param {Grid} grid
 */
function cellCenter([row, column], { stride, offset }) {
  return [(column + offset) * stride, (row + offset) * stride];
}

/**
 * An anchor moved from (0, 0) to (x, y).
 * @param {number[]} anchor
 * @param {number[]} center
 */
function placed([x1, y1, x2, y2], [x, y]) {
  return [x1 + x, y1 + y, x2 + x, y2 + y];
}

/**
 * The base anchors at every cell: rows, then columns, then anchors.
 * @param {number[][]} base
 * @param {number[]} size  Rows and columns of the feature map
 * @param {Grid} grid
 */
function gridAnchors(base, [rows, columns], grid) {
  const boxes = new Float32Array(4 * rows * columns * base.length);
  let next = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const center = cellCenter([row, column], grid);
      for (const anchor of base) {
        boxes.set(placed(anchor, center), next);
        next += 4;
      }
    }
  }
  return boxes;
}

export { baseAnchors, cellCenter, gridAnchors, mapSize, placed };
