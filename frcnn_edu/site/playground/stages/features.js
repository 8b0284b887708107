/* Stage 1: the channels of the feature map, a tile each. */

import { Plate } from "../plate.js";
import { FOLLOWED, frame, Tiles } from "./maps.js";

/** @typedef {import("../pass.js").Pass} Pass */
/** @typedef {import("../pass.js").Level} Level */

const MOST_CHANNELS = 96;
const MOST_CELLS = 32; // each way; of larger maps every second, third … cell is shown
const NARROW = 560; // CSS pixels

class FeaturesPlate extends Plate {
  /** @type {Tiles | null} */
  tiles = null;

  /**
   * Height over width that the picture aims at.
   * @param {number} width
   */
  aim(width) {
    return width > NARROW ? 0.36 : 0.9;
  }

  /**
   * How the finest map is laid out.
   * @param {Pass} pass
   * @param {number} [width]
   */
  layout({ levels: [{ channels, rows, columns }] }, width = this.width) {
    const every = Math.ceil(Math.max(rows, columns) / MOST_CELLS);
    const count = Math.min(channels, MOST_CHANNELS);
    const shown = { rows: Math.ceil(rows / every), columns: Math.ceil(columns / every) };
    const across = Math.max(1, Math.round(Math.sqrt((count * shown.rows) / shown.columns / this.aim(width))));
    if (!this.tiles?.fits({ count, across, ...shown }))
      this.tiles = new Tiles(count, across, shown.rows, shown.columns);
    return { tiles: this.tiles, every };
  }

  /** @type {Plate["heightFor"]} */
  heightFor(width, pass) {
    if (!pass) return this.aim(width) * width;
    const { tiles } = this.layout(pass, width);
    return (width * tiles.height) / tiles.width;
  }

  /** @type {Plate["draw"]} */
  draw(pen, pass, life, { width }) {
    const { tiles, every } = this.layout(pass);
    const [level] = pass.levels;
    const { map, rows, columns } = level;
    for (let channel = 0; channel < tiles.count; channel++) {
      const start = channel * rows * columns;
      const [low, high] = limits(map, start, start + rows * columns);
      const scale = high > low ? 1 / (high - low) : 0;
      tiles.fill(channel, (row, column) => (map[start + row * every * columns + column * every] - low) * scale);
    }
    tiles.draw(pen, width);
    const unit = width / tiles.width;
    const { row, column } = cellOn(pass, level, life);
    Object.assign(pen, { strokeStyle: FOLLOWED, lineWidth: 1 });
    for (let channel = 0; channel < tiles.count; channel++) {
      const [left, top] = tiles.corner(channel);
      const [x, y] = [left + Math.floor(column / every), top + Math.floor(row / every)];
      pen.strokeRect(x * unit, y * unit, unit, unit);
    }
    const [left, top] = tiles.corner(Math.min(this.board.channel, tiles.count - 1));
    frame(pen, left * unit, top * unit, tiles.columns * unit, tiles.rows * unit);
  }

  /**
   * @param {Pass} pass
   * @param {number} x
   * @param {number} y
   */
  under(pass, x, y) {
    const { tiles, every } = this.layout(pass);
    const found = tiles.at(x / this.width, y / this.width);
    return found && { channel: found.tile, row: found.row * every, column: found.column * every };
  }

  /** @type {Plate["anchorAt"]} */
  anchorAt(pass, x, y) {
    const found = this.under(pass, x, y);
    return found && pass.bestAt(pass.levels[0], found.row, found.column);
  }

  /** @type {Plate["press"]} */
  press(x, y, pass) {
    const found = this.under(pass, x, y);
    if (found) this.board.choose(found.channel);
  }
}

/**
 * @param {Float32Array} values
 * @param {number} from
 * @param {number} to
 */
function limits(values, from, to) {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let at = from; at < to; at++) {
    if (values[at] < low) low = values[at];
    if (values[at] > high) high = values[at];
  }
  return [low, high];
}

/**
 * The cell of a level that lies where an anchor stands.
 * @param {Pass} pass
 * @param {Level} level
 * @param {import("../pass.js").Life} life
 */
function cellOn(pass, level, life) {
  if (life.level === level) return life;
  const [x, y] = pass.centerOf(life.anchor);
  return pass.cellAt(level, x, y);
}

export { cellOn, FeaturesPlate, limits };
