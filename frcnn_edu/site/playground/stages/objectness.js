/* Stage 2: how sure the region proposal network is of an object, cell by cell, a map for each shape of anchor. */

import { sigmoid } from "../pass.js";
import { Plate } from "../plate.js";
import { shapeWords } from "../words.js";
import { frame, Tiles } from "./maps.js";

/** @typedef {import("../pass.js").Pass} Pass */
/** @typedef {import("../pass.js").Level} Level */

const LABEL = 18; // CSS pixels over each map

class ObjectnessPlate extends Plate {
  /** @type {Tiles | null} */
  tiles = null;

  /**
   * The level of the anchor in the light.
   * @param {Pass} pass
   */
  level(pass) {
    return pass.levelOf(/** @type {number} */ (this.board.focus));
  }

  /** @param {Level} level */
  layout({ perCell: count, rows, columns }) {
    const across = Math.max(1, Math.min(count, 3));
    if (!this.tiles?.fits({ count, across, rows, columns })) this.tiles = new Tiles(count, across, rows, columns);
    return this.tiles;
  }

  /** @type {Plate["heightFor"]} */
  heightFor(width, pass) {
    if (!pass) return width;
    const tiles = this.layout(this.level(pass));
    const lines = Math.ceil(tiles.count / tiles.across);
    return (width * tiles.height) / tiles.width + lines * LABEL;
  }

  /** @type {Plate["draw"]} */
  draw(pen, pass, life, { width, ink }) {
    const { level } = life;
    const tiles = this.layout(level);
    for (let shape = 0; shape < level.perCell; shape++) {
      tiles.fill(shape, (row, column) => {
        return sigmoid(pass.logits[level.start + (row * level.columns + column) * level.perCell + shape]);
      });
    }
    tiles.context.putImageData(tiles.pixels, 0, 0);
    pen.imageSmoothingEnabled = false;
    const unit = width / tiles.width;
    for (let shape = 0; shape < tiles.count; shape++) {
      const [left, top] = tiles.corner(shape);
      const [x, y] = this.place(shape, unit);
      const [wide, tall] = [tiles.columns * unit, tiles.rows * unit];
      pen.drawImage(tiles.image, left, top, tiles.columns, tiles.rows, x, y, wide, tall);
      pen.fillStyle = ink;
      pen.fillText(shapeWords(pass.anchors, level.start + shape), x, y - 5);
      pen.globalAlpha = shape === life.shape ? 1 : 0.55;
      frame(pen, x + life.column * unit, y + life.row * unit, unit, unit, shape === life.shape ? 2 : 1);
      pen.globalAlpha = 1;
    }
  }

  /**
   * Where a map begins.
   * @param {number} shape
   * @param {number} unit
   */
  place(shape, unit) {
    const [left, top] = /** @type {Tiles} */ (this.tiles).corner(shape);
    return [left * unit, top * unit + (Math.floor(shape / /** @type {Tiles} */ (this.tiles).across) + 1) * LABEL];
  }

  /** @type {Plate["anchorAt"]} */
  anchorAt(pass, x, y) {
    const level = this.level(pass);
    const tiles = this.layout(level);
    const unit = this.width / tiles.width;
    for (let shape = 0; shape < tiles.count; shape++) {
      const [left, top] = this.place(shape, unit);
      const [column, row] = [Math.floor((x - left) / unit), Math.floor((y - top) / unit)];
      if (column < 0 || row < 0 || column >= level.columns || row >= level.rows) continue;
      return level.start + (row * level.columns + column) * level.perCell + shape;
    }
    return null;
  }
}

export { ObjectnessPlate };
