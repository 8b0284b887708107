/* Grids of small heat maps: channels of the features, objectness of each anchor shape, pooled proposals. */

import { COLORS, LOOKS, ramp, withAlpha } from "../../../explorers/js/kit/palette.js";

const FOLLOWED = LOOKS.followed.color;

/** @type {Uint32Array} The ramp in 256 steps, a pixel each. */
const STEPS = Uint32Array.from({ length: 256 }, (_, k) => {
  const [red, green, blue] = ramp(k / 255);
  return new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
});

/** How tiles lie: `across` in a row, each `rows` by `columns` values, a gap of one value between them. */
class Tiles {
  image = document.createElement("canvas");

  /**
   * @param {number} count
   * @param {number} across
   * @param {number} rows
   * @param {number} columns
   */
  constructor(count, across, rows, columns) {
    this.count = count;
    this.across = across;
    this.rows = rows;
    this.columns = columns;
    this.width = across * (columns + 1) - 1; // in values
    this.height = Math.ceil(count / across) * (rows + 1) - 1;
    Object.assign(this.image, { width: this.width, height: this.height });
    this.context = /** @type {CanvasRenderingContext2D} */ (this.image.getContext("2d"));
    this.pixels = new ImageData(this.width, this.height);
    this.words = new Uint32Array(this.pixels.data.buffer);
  }

  /** @param {{ count: number, across: number, rows: number, columns: number }} other */
  fits({ count, across, rows, columns }) {
    return this.count === count && this.across === across && this.rows === rows && this.columns === columns;
  }

  /**
   * Where a tile begins, in values.
   * @param {number} tile
   */
  corner(tile) {
    return [(tile % this.across) * (this.columns + 1), Math.floor(tile / this.across) * (this.rows + 1)];
  }

  /**
   * @param {number} tile
   * @param {(row: number, column: number) => number} share  0 to 1
   */
  fill(tile, share) {
    const [left, top] = this.corner(tile);
    for (let row = 0; row < this.rows; row++) {
      let at = (top + row) * this.width + left;
      for (let column = 0; column < this.columns; column++, at++) {
        this.words[at] = STEPS[Math.min(Math.max(Math.round(255 * share(row, column)), 0), 255)];
      }
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {number} width  CSS pixels; the height follows
   */
  draw(pen, width) {
    this.context.putImageData(this.pixels, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.image, 0, 0, width, (width * this.height) / this.width);
  }

  /**
   * The tile and the cell at a place, or null between tiles.
   * @param {number} x  Share of the width
   * @param {number} y  The same
   */
  at(x, y) {
    const [left, top] = [Math.floor(x * this.width), Math.floor(y * this.width)];
    const [column, row] = [left % (this.columns + 1), top % (this.rows + 1)];
    const tile = Math.floor(top / (this.rows + 1)) * this.across + Math.floor(left / (this.columns + 1));
    const inside = left >= 0 && top >= 0 && left < this.width && column < this.columns && row < this.rows;
    return inside && tile < this.count ? { tile, row, column } : null;
  }
}

/**
 * Frame what is in the light, so that it shows on every ground.
 * @param {CanvasRenderingContext2D} pen
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @param {number} [line]
 */
function frame(pen, x, y, width, height, line = 2) {
  for (const [style, thick] of /** @type {[string, number][]} */ ([
    [withAlpha(COLORS.black, 0.7), line + 2],
    [FOLLOWED, line],
  ])) {
    Object.assign(pen, { strokeStyle: style, lineWidth: thick });
    pen.strokeRect(x, y, width, height);
  }
}

export { FOLLOWED, frame, Tiles };
