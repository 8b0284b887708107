/* What explorers paint into the picture. Places are image pixels; radii and line widths are CSS pixels. */

import { COLORS, rampColor, withAlpha } from "./palette.js";

/** @typedef {import("../canvas/view.js").View} View */
/** @typedef {CanvasRenderingContext2D} Pen */

const CASING = withAlpha(COLORS.black, 0.6);

/**
 * Stroke the path with an edge round it that keeps it apart from the image.
 * @param {Pen} pen
 * @param {View} view
 * @param {number} width
 * @param {{ color?: string, casing?: string, edge?: number }} [how]
 */
function strokeCased(pen, view, width, { color = COLORS.white, casing = CASING, edge = 2 } = {}) {
  for (const [style, extra] of /** @type {[string, number][]} */ ([
    [casing, edge],
    [color, 0],
  ])) {
    if (width + extra === 0) continue;
    pen.strokeStyle = style;
    pen.lineWidth = (width + extra) * view.px;
    pen.stroke();
  }
}

/**
 * Lines between pairs of points.
 * @param {Pen} pen
 * @param {View} view
 * @param {number[][][]} pairs
 * @param {number} [width]
 */
function drawLinks(pen, view, pairs, width = 1.5) {
  pen.beginPath();
  for (const [[x1, y1], [x2, y2]] of pairs) {
    pen.moveTo(x1, y1);
    pen.lineTo(x2, y2);
  }
  strokeCased(pen, view, width);
}

/**
 * Dots with a dark edge.
 * @param {Pen} pen
 * @param {View} view
 * @param {Iterable<number[]>} places
 * @param {number} radius
 * @param {string} [fill]
 */
function drawDots(pen, view, places, radius, fill = COLORS.white) {
  pen.beginPath();
  for (const [x, y, own = radius] of places) {
    pen.moveTo(x + own * view.px, y);
    pen.arc(x, y, own * view.px, 0, 2 * Math.PI);
  }
  pen.lineWidth = 1.5 * view.px;
  pen.strokeStyle = withAlpha(COLORS.black, 0.8);
  pen.stroke();
  pen.fillStyle = fill;
  pen.fill();
}

/**
 * Borders of the cells of a feature map.
 * @param {Pen} pen
 * @param {View} view
 * @param {{ rows: number, columns: number, stride: number, alpha: number }} grid
 */
function drawCellBorders(pen, view, { rows, columns, stride, alpha }) {
  pen.beginPath();
  for (let column = 0; column <= columns; column++) {
    pen.moveTo(column * stride, 0);
    pen.lineTo(column * stride, rows * stride);
  }
  for (let row = 0; row <= rows; row++) {
    pen.moveTo(0, row * stride);
    pen.lineTo(columns * stride, row * stride);
  }
  pen.lineWidth = view.px;
  pen.strokeStyle = withAlpha(COLORS.white, alpha);
  pen.stroke();
}

/**
 * A grid of values, a square each, the first with its upper left corner at `start` in both directions. Where that is
 * outside the image, the last ones reach as much further: to what is nearest to their centres.
 * @param {Pen} pen
 * @param {ArrayLike<number>} values  Row by row
 * @param {{ columns: number, stride: number, start?: number, share: (value: number) => number }} how  `share` is 0 to 1
 */
function drawMap(pen, values, { columns, stride, start = 0, share }) {
  const rows = values.length / columns;
  /** @type {(place: number, count: number) => number} */
  const length = (place, count) => (place === count - 1 ? stride - start : stride);
  for (let at = 0; at < values.length; at++) {
    const [row, column] = [Math.floor(at / columns), at % columns];
    pen.fillStyle = rampColor(share(values[at]));
    pen.fillRect(start + column * stride, start + row * stride, length(column, columns), length(row, rows));
  }
}

/**
 * Limit what is painted to the image: a feature map may reach beyond it.
 * @param {Pen} pen
 * @param {View} view
 */
function clipToImage(pen, view) {
  pen.beginPath();
  pen.rect(0, 0, view.width, view.height);
  pen.clip();
}

/**
 * Lines that cut a box into bins.
 * @param {Pen} pen
 * @param {View} view
 * @param {import("../detector/boxes.js").Box} box
 * @param {number} bins
 */
function drawBins(pen, view, [x1, y1, x2, y2], bins) {
  pen.beginPath();
  for (let k = 1; k < bins; k++) {
    const [x, y] = [x1 + (k / bins) * (x2 - x1), y1 + (k / bins) * (y2 - y1)];
    pen.moveTo(x, y1);
    pen.lineTo(x, y2);
    pen.moveTo(x1, y);
    pen.lineTo(x2, y);
  }
  Object.assign(pen, { strokeStyle: withAlpha(COLORS.white, 0.9), lineWidth: 1.2 * view.px });
  pen.stroke();
}

/**
 * A note on the picture, moved so that it ends on it.
 * @param {Pen} pen
 * @param {View} view
 * @param {number} x
 * @param {number} y
 * @param {string} text
 */
function drawTag(pen, view, x, y, text) {
  const { px, margin, width, height } = view;
  pen.font = `${12 * px}px system-ui, sans-serif`;
  const wide = pen.measureText(text).width + 8 * px;
  const left = Math.max(Math.min(x, width + margin - wide), -margin);
  const top = Math.max(Math.min(y, height + margin - 17 * px), -margin);
  pen.fillStyle = withAlpha(COLORS.black, 0.72);
  pen.fillRect(left, top, wide, 17 * px);
  pen.fillStyle = COLORS.white;
  pen.textBaseline = "middle";
  pen.fillText(text, left + 4 * px, top + 9 * px);
}

export { CASING, clipToImage, drawBins, drawCellBorders, drawDots, drawLinks, drawMap, drawTag, strokeCased };
