/* Stage 6: RoI pooling. One plate has the proposal in the light on the feature map, cut into bins; the other what came out
   of every proposal. */

import { clipToImage, drawBins, drawMap } from "../../../explorers/js/kit/paint.js";
import { SURVIVOR } from "../looks.js";
import { ImagePlate, Plate } from "../plate.js";
import { limits } from "./features.js";
import { frame, Tiles } from "./maps.js";

/** @typedef {import("../pass.js").Pass} Pass */

/**
 * The proposal that an anchor has become, or the one that suppressed it; the best one if there is neither.
 * @param {Pass} pass
 * @param {import("../pass.js").Life} life
 */
function proposalOf(pass, { candidate }) {
  const found = candidate ? pass.proposalOf[candidate.by < 0 ? candidate.index : candidate.by] : -1;
  return Math.max(found, 0);
}

/**
 * The box of that proposal.
 * @param {Pass} pass
 * @param {import("../pass.js").Life} life
 */
function regionOf(pass, life) {
  const candidate = pass.kept[proposalOf(pass, life)];
  return pass.candidateBoxes.subarray(4 * candidate, 4 * candidate + 4);
}

/**
 * The anchor of the proposal that an arrow leads to.
 * @param {Pass} pass
 * @param {import("../pass.js").Life} life
 * @param {number} step
 */
function proposalStep(pass, life, step) {
  const next = proposalOf(pass, life) + step;
  return next >= 0 && next < pass.kept.length ? pass.anchorOf(next) : null;
}

class RegionPlate extends ImagePlate {
  /** @type {ImagePlate["drawGround"]} */
  drawGround(pen, pass, life) {
    const { view } = this;
    const level = pass.kept.length ? pass.pooledFrom(regionOf(pass, life)) : pass.levels[0];
    const { rows, columns, map } = level;
    const start = Math.min(this.board.channel, level.channels - 1) * rows * columns;
    const values = map.subarray(start, start + rows * columns);
    const [low, high] = limits(values, 0, values.length);
    const [[x, y], [stride]] = pass.gridOf(level);
    clipToImage(pen, view);
    pen.drawImage(this.board.picture, 0, 0, view.width, view.height);
    pen.globalAlpha = 0.8;
    pen.translate(x, y);
    drawMap(pen, values, {
      columns,
      stride,
      start: -stride / 2,
      share: (value) => (high > low ? (value - low) / (high - low) : 0),
    });
    pen.translate(-x, -y);
    pen.globalAlpha = 1;
  }

  /** @type {ImagePlate["drawOn"]} */
  drawOn(pen, pass, life, view) {
    if (!pass.kept.length) return;
    const box = regionOf(pass, life);
    drawBins(pen, view, box, pass.bins);
    view.strokeBox(pen, box, SURVIVOR);
  }

  /** @type {ImagePlate["anchorOn"]} */
  anchorOn(pass, x, y) {
    for (let proposal = 0; proposal < pass.kept.length; proposal++) {
      const [x1, y1, x2, y2] = pass.candidateBoxes.subarray(4 * pass.kept[proposal]);
      if (x >= x1 && x <= x2 && y >= y1 && y <= y2) return pass.anchorOf(proposal);
    }
    return null;
  }

  /** @type {ImagePlate["step"]} */
  step(pass, life, [dx, dy]) {
    return proposalStep(pass, life, dx + dy);
  }
}

const MOST_TILES = 100;

class PooledPlate extends Plate {
  /** @type {Tiles | null} */
  tiles = null;

  /** @param {Pass} pass */
  layout({ kept, bins }) {
    const count = Math.max(1, Math.min(kept.length, MOST_TILES));
    const across = Math.min(10, count);
    if (!this.tiles?.fits({ count, across, rows: bins, columns: bins })) {
      this.tiles = new Tiles(count, across, bins, bins);
    }
    return this.tiles;
  }

  /** @type {Plate["heightFor"]} */
  heightFor(width, pass) {
    if (!pass) return width;
    const tiles = this.layout(pass);
    return (width * tiles.height) / tiles.width;
  }

  /** @type {Plate["draw"]} */
  draw(pen, pass, life, { width }) {
    if (!pass.kept.length) return;
    const tiles = this.layout(pass);
    const channel = Math.min(this.board.channel, pass.levels[0].channels - 1);
    const all = Array.from({ length: tiles.count }, (_, proposal) => pass.pooled(proposal, channel));
    const spans = all.map((values) => limits(values, 0, values.length));
    const [low, high] = [Math.min(...spans.map(([least]) => least)), Math.max(...spans.map(([, most]) => most))];
    all.forEach((values, tile) => {
      tiles.fill(tile, (row, column) => (high > low ? (values[row * tiles.columns + column] - low) / (high - low) : 0));
    });
    tiles.draw(pen, width);
    const unit = width / tiles.width;
    const proposal = proposalOf(pass, life);
    if (proposal >= tiles.count) return;
    const [left, top] = tiles.corner(proposal);
    frame(pen, left * unit, top * unit, tiles.columns * unit, tiles.rows * unit);
  }

  /** @type {Plate["anchorAt"]} */
  anchorAt(pass, x, y) {
    const found = this.layout(pass).at(x / this.width, y / this.width);
    return found && found.tile < pass.kept.length ? pass.anchorOf(found.tile) : null;
  }

  /** @type {Plate["step"]} */
  step(pass, life, [dx, dy]) {
    return proposalStep(pass, life, dx + dy * this.layout(pass).across);
  }
}

export { PooledPlate, proposalOf, proposalStep, RegionPlate };
