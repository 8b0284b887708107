/* Stage 4: all anchors by falling objectness, and the cut after the best k. */

import { Plot } from "../../../explorers/js/kit/charts.js";
import { fateColors } from "../looks.js";
import { Plate } from "../plate.js";
import { WORDS } from "../words.js";

/** @typedef {import("../pass.js").Pass} Pass */

const PLACE = { left: 36, right: 12, top: 20, bottom: 36 };
const STEPS = 400; // points of the curve

class TopKPlate extends Plate {
  /** @type {Plate["heightFor"]} */
  heightFor(width) {
    return Math.min(0.85 * width, 340);
  }

  /**
   * Ranks are laid out by their logarithm, so that the best have room.
   * @param {Pass} pass
   * @param {import("../plate.js").Extent} extent
   */
  plot(pass, extent) {
    return new Plot(this.pen, extent, PLACE, [0, Math.log10(pass.order.length)]);
  }

  /** @type {Plate["draw"]} */
  draw(pen, pass, life, extent) {
    const plot = this.plot(pass, extent);
    const total = pass.order.length;
    plot.rule([0, 0.5, 1]);
    plot.labelRows([0, 0.5, 1], (value) => value.toFixed(1));
    const ranks = [1, 10, 100, 1000, 10000, 100000].filter((rank) => rank <= total);
    plot.labelColumns(ranks.map(Math.log10), ranks.map(String), WORDS.rank);
    const colors = fateColors();
    let last = -1;
    for (let step = 0; step <= STEPS; step++) {
      const rank = Math.round(10 ** ((step / STEPS) * Math.log10(total))) - 1;
      if (rank === last) continue;
      last = rank;
      const anchor = pass.order[rank];
      const x = plot.across(Math.log10(rank + 1));
      const y = plot.up(pass.score(anchor));
      pen.fillStyle = colors[pass.fates[anchor]];
      pen.fillRect(x - 1.5, y - 1.5, 3, plot.up(0) - y + 1.5);
    }
    pen.fillStyle = extent.ink;
    if (pass.levels.length === 1 && pass.chosen.length < total) {
      const x = plot.across(Math.log10(pass.chosen.length + 0.5));
      pen.fillRect(x, PLACE.top - 8, 1.5, plot.up(0) - PLACE.top + 8);
      pen.textAlign = "right";
      pen.fillText(WORDS.cut(pass.chosen.length), x - 5, PLACE.top - 2);
    }
    plot.dot(Math.log10(life.rank + 1), life.score, colors[life.fate]);
  }

  /** @type {Plate["anchorAt"]} */
  anchorAt(pass, x) {
    const plot = this.plot(pass, { width: this.width, height: this.height, ink: "" });
    const share = Math.min(Math.max((x - plot.left) / plot.width, 0), 1);
    return pass.order[Math.round(10 ** (share * Math.log10(pass.order.length))) - 1];
  }

  /** @type {Plate["step"]} */
  step(pass, life, [dx, dy]) {
    return pass.order[life.rank + dx - 10 * dy] ?? null;
  }
}

export { TopKPlate };
