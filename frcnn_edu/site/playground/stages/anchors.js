/* Stage 3: every anchor as a dot where it stands, coloured by what became of it. */

import { drawLinks } from "../../../explorers/js/kit/paint.js";
import { LOOKS } from "../../../explorers/js/kit/palette.js";
import { fateColors } from "../looks.js";
import { FATES } from "../pass.js";
import { ImagePlate } from "../plate.js";
import { FOLLOWED } from "./maps.js";

/** @typedef {import("../pass.js").Pass} Pass */
/** @typedef {import("../pass.js").Level} Level */

const MOST_LEFT_OUT = 20000; // from so many anchors on, those that were left out are not drawn

class AnchorsPlate extends ImagePlate {
  /** @type {ImagePlate["drawOn"]} */
  drawOn(pen, pass, life, view) {
    const few = pass.logits.length <= MOST_LEFT_OUT;
    const colors = fateColors();
    for (const fate of Object.values(FATES)) {
      if (fate === FATES.leftOut && !few) continue;
      pen.fillStyle = colors[fate];
      pen.globalAlpha = fate === FATES.leftOut ? 0.25 : 1;
      for (const level of pass.levels) this.drawDots(pen, pass, level, fate);
    }
    pen.globalAlpha = 1;
    const [x1, y1, x2, y2] = life.box;
    if (life.candidate) {
      const [left, top, right, bottom] = life.candidate.box;
      const corners = [
        [x1, y1, left, top],
        [x2, y1, right, top],
        [x2, y2, right, bottom],
        [x1, y2, left, bottom],
      ];
      drawLinks(
        pen,
        view,
        corners.map(([x, y, toX, toY]) => [
          [x, y],
          [toX, toY],
        ]),
      );
      view.strokeBox(pen, life.candidate.box, LOOKS.predicted, { fill: 0.12 });
    }
    view.strokeBox(pen, life.box, LOOKS.start);
    const [x, y] = this.dotOf(pass, life.level, life.anchor);
    const side = this.side(pass, life.level) + 3 * view.px;
    pen.strokeStyle = FOLLOWED;
    pen.lineWidth = 2 * view.px;
    pen.strokeRect(x - side / 2, y - side / 2, side, side);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Pass} pass
   * @param {Level} level
   * @param {number} fate
   */
  drawDots(pen, pass, level, fate) {
    const { anchors, fates } = pass;
    const apart = this.side(pass, level);
    const side = apart * (fate === FATES.detected ? 1.5 : 0.8);
    const each = Math.ceil(Math.sqrt(level.perCell));
    const first = -((each - 1) / 2) * apart - side / 2;
    const end = level.start + level.rows * level.columns * level.perCell;
    for (let anchor = level.start, j = 4 * anchor; anchor < end; anchor++, j += 4) {
      if (fates[anchor] !== fate) continue;
      const shape = (anchor - level.start) % level.perCell;
      const x = (anchors[j] + anchors[j + 2]) / 2 + first + (shape % each) * apart;
      const y = (anchors[j + 1] + anchors[j + 3]) / 2 + first + Math.floor(shape / each) * apart;
      pen.fillRect(x, y, side, side);
    }
  }

  /**
   * How far the dots of a cell lie apart.
   * @param {Pass} pass
   * @param {Level} level
   */
  side(pass, level) {
    const [, [across, down]] = pass.gridOf(level);
    return Math.min(across, down) / (Math.ceil(Math.sqrt(level.perCell)) + 1);
  }

  /**
   * Where the dot of an anchor lies: the anchors of a cell stand on one point, so they are spread round it.
   * @param {Pass} pass
   * @param {Level} level
   * @param {number} anchor
   */
  dotOf(pass, level, anchor) {
    const each = Math.ceil(Math.sqrt(level.perCell));
    const side = this.side(pass, level);
    const shape = (anchor - level.start) % level.perCell;
    const [x, y] = pass.centerOf(anchor);
    const middle = (each - 1) / 2;
    return [x + ((shape % each) - middle) * side, y + (Math.floor(shape / each) - middle) * side];
  }

  /** @type {ImagePlate["anchorOn"]} */
  anchorOn(pass, x, y) {
    const level = pass.levelOf(/** @type {number} */ (this.board.focus));
    const { row, column } = pass.cellAt(level, x, y);
    const first = level.start + (row * level.columns + column) * level.perCell;
    const [cx, cy] = pass.centerOf(first);
    const each = Math.ceil(Math.sqrt(level.perCell));
    const side = this.side(pass, level);
    /** @type {(offset: number) => number} */
    const nearest = (offset) => Math.min(Math.max(Math.round(offset / side + (each - 1) / 2), 0), each - 1);
    return first + Math.min(nearest(y - cy) * each + nearest(x - cx), level.perCell - 1);
  }
}

export { AnchorsPlate };
