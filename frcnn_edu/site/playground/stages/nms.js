/* Stage 5: the candidates, moved to where their objects are, and who suppressed whom. */

import { inkBoxes } from "../../../explorers/js/canvas/ink.js";
import { boxAt, centerSize } from "../../../explorers/js/detector/boxes.js";
import { drawLinks } from "../../../explorers/js/kit/paint.js";
import { SUPPRESSED, SURVIVOR } from "../looks.js";
import { ImagePlate } from "../plate.js";

/** @typedef {import("../pass.js").Pass} Pass */

class NmsPlate extends ImagePlate {
  /** How many candidates are drawn, the best. */
  shown = 60;
  layer = document.createElement("canvas");

  /**
   * The candidates that are drawn, by rank.
   * @param {Pass} pass
   */
  members({ chosen, rankOf }) {
    const all = Array.from(chosen.keys());
    return all.sort((a, b) => rankOf[chosen[a]] - rankOf[chosen[b]]).slice(0, this.shown);
  }

  /** @type {ImagePlate["drawOn"]} */
  drawOn(pen, pass, life, view) {
    const members = this.members(pass);
    this.inkAll(pen, pass, members);
    const index = life.candidate?.index ?? -1;
    if (index < 0) return;
    const by = pass.suppressedBy[index];
    const keeper = by < 0 ? index : by;
    const family = by < 0 ? [...pass.suppressedBy.keys()].filter((one) => pass.suppressedBy[one] === index) : [index];
    const center = (/** @type {number} */ one) => centerSize(boxAt(pass.candidateBoxes, one)).slice(0, 2);
    for (const one of family.slice(0, 40)) view.strokeBox(pen, boxAt(pass.candidateBoxes, one), SUPPRESSED);
    drawLinks(
      pen,
      view,
      family.map((one) => [center(one), center(keeper)]),
    );
    const look = pass.proposalOf[keeper] >= 0 ? SURVIVOR : SUPPRESSED;
    view.strokeBox(pen, boxAt(pass.candidateBoxes, keeper), { ...look, width: 4 }, { fill: 0.15 });
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Pass} pass
   * @param {number[]} members
   */
  inkAll(pen, pass, members) {
    const { width, height } = this.canvas;
    if (this.layer.width !== width || this.layer.height !== height) Object.assign(this.layer, { width, height });
    const image = new ImageData(width, height);
    const kept = members.filter((one) => pass.proposalOf[one] >= 0);
    const gone = members.filter((one) => pass.proposalOf[one] < 0);
    inkBoxes(image, pass.candidateBoxes, gone, { ...SUPPRESSED, width: 1 }, this.view);
    inkBoxes(image, pass.candidateBoxes, kept, { ...SURVIVOR, width: 2 }, this.view);
    this.layer.getContext("2d")?.putImageData(image, 0, 0);
    pen.save();
    pen.resetTransform();
    pen.globalAlpha = 0.75;
    pen.drawImage(this.layer, 0, 0);
    pen.restore();
  }

  /** @type {ImagePlate["anchorOn"]} */
  anchorOn(pass, x, y) {
    let [best, least] = [-1, Number.POSITIVE_INFINITY];
    for (const one of this.members(pass)) {
      const [x1, y1, x2, y2] = boxAt(pass.candidateBoxes, one);
      const area = (x2 - x1) * (y2 - y1);
      if (x >= x1 && x <= x2 && y >= y1 && y <= y2 && area < least) [best, least] = [one, area];
    }
    return best < 0 ? null : pass.chosen[best];
  }

  /** @type {ImagePlate["step"]} */
  step(pass, life, [dx, dy]) {
    const members = this.members(pass);
    const at = members.indexOf(life.candidate?.index ?? -1) + dx + 10 * dy;
    return members[at] === undefined ? null : pass.chosen[members[at]];
  }
}

export { NmsPlate };
