/* What the first two explorers of lesson 06 share: a feature map, a region on it, and their settings. */

import { alignAxis, wholeCells } from "../js/detector/roi_pool.js";
import { Explorer } from "../js/explorer.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const OPERATORS = /** @type {("pool" | "align")[]} */ (["pool", "align"]);

class RegionExplorer extends Explorer {
  /** @param {Context} context */
  constructor(context) {
    super(context, { pointerStep: context.model.get("stride") / 2 });
    this.map = this.floats("features");
    const [channels, rows, columns] = /** @type {number[]} */ (this.get("map_size"));
    this.channels = channels;
    this.rows = rows;
    this.columns = columns;
    /** @type {number} */
    this.stride = this.get("stride");
    this.area = this.rows * this.columns;
  }

  /** @param {HTMLElement} parent */
  addPoolingControls(parent) {
    const { canvas } = this;
    canvas.addSlider({ label: "Bins each way", min: 1, max: 14, trait: "bins", parent });
    canvas.addSlider({ label: "RoIAlign: points each way", min: 1, max: 4, trait: "samples", parent });
    canvas.addCheckbox({
      label: "RoIAlign: aligned (a value lies in the middle of its cell)",
      trait: "aligned",
      parent,
    });
  }

  /**
   * What the region covers: the cells that RoIPool gives to each bin, and where RoIAlign reads.
   * @param {import("../js/detector/boxes.js").Box} region
   */
  covered([x1, y1, x2, y2]) {
    const [bins, samples, aligned] = ["bins", "samples", "aligned"].map((trait) => this.get(trait));
    const x = { stride: this.stride, cells: this.columns, bins, samples, aligned };
    const y = { ...x, cells: this.rows };
    return {
      across: wholeCells(x1, x2, x),
      down: wholeCells(y1, y2, y),
      x: alignAxis(x1, x2, x),
      y: alignAxis(y1, y2, y),
    };
  }

  /** @param {number} channel */
  channelAt(channel) {
    return { map: this.map, start: channel * this.area, columns: this.columns };
  }
}

export { OPERATORS, RegionExplorer };
