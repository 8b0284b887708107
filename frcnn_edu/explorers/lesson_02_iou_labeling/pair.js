/* IoUExplorer: two boxes, the area they share, the area they cover, and two curves of what moves their IoU. */

import { boxArea, boxAround, boxAt, centerSize, intersection, iou } from "../js/detector/boxes.js";
import { HIGH, LOW } from "../js/detector/matching.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addChart, Plot } from "../js/kit/charts.js";
import { COLORS, LOOKS } from "../js/kit/palette.js";
import { shortNumber, wholeNumber } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {{ name: string, at: (x: number) => number[], ticks: number[], texts: string[] }} Curve  From x = -1 to 1 */

const STEPS = 80;
const SHIFTS = [-1, -0.5, 0, 0.5, 1];
const FACTORS = [0.25, 0.5, 1, 2, 4];
const PLACE = { left: 36, right: 14, top: 10, bottom: 34 };

class IoUExplorer extends Explorer {
  object = [0, 0, 1, 1]; // drawn from the first frame on
  anchor = [0, 0, 1, 1];

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.charts = [
      addChart(this.side, "IoU if the anchor were shifted", 400, 170, (pen, size) => this.draw(pen, size, this.shifts)),
      addChart(this.side, "IoU if the anchor were scaled", 400, 170, (pen, size) => this.draw(pen, size, this.scales)),
    ];
  }

  onBoxesChanged() {
    [this.object, this.anchor] = [boxAt(this.canvas.boxes, 0), boxAt(this.canvas.boxes, 1)];
    const { object, anchor, shared } = this;
    const overlap = shared ? boxArea(shared) : 0;
    const union = boxArea(object) + boxArea(anchor) - overlap;
    this.show(
      `object *${wholeNumber(boxArea(object))}* px²`,
      `anchor *${wholeNumber(boxArea(anchor))}* px²`,
      `overlap *${wholeNumber(overlap)}* px²`,
      `union *${wholeNumber(union)}* px²`,
      `IoU = overlap / union = *${iou(object, anchor).toFixed(3)}*`,
    );
    for (const chart of this.charts) chart.paint();
    this.canvas.redraw();
  }

  get shared() {
    return intersection(this.object, this.anchor);
  }

  /** @returns {Curve} */
  get shifts() {
    const [x, y, width, height] = centerSize(this.anchor);
    return {
      name: "IoU if the anchor is shifted sideways, in pixels",
      at: (shift) => boxAround([x + shift * width, y, width, height]),
      ticks: SHIFTS,
      texts: SHIFTS.map((shift) => shortNumber(shift * width)),
    };
  }

  /** @returns {Curve} */
  get scales() {
    const [x, y, width, height] = centerSize(this.anchor);
    return {
      name: "IoU if the anchor is scaled, both sides times",
      at: (log) => boxAround([x, y, 4 ** log * width, 4 ** log * height]),
      ticks: FACTORS.map((factor) => Math.log(factor) / Math.log(4)),
      texts: FACTORS.map(String),
    };
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context) {
    const { shared } = this;
    if (!shared) return;
    context.fillStyle = COLORS.white;
    context.globalAlpha = 0.5;
    context.fillRect(shared[0], shared[1], shared[2] - shared[0], shared[3] - shared[1]);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/kit/charts.js").Size} size
   * @param {Curve} curve
   */
  draw(context, size, { at, name, ticks, texts }) {
    const { object, anchor } = this;
    const plot = new Plot(context, size, PLACE, [-1, 1]);
    plot.rule([0, LOW, HIGH, 1], ticks);
    plot.labelRows([0, LOW, HIGH, 1]);
    plot.labelColumns(ticks, texts, name);
    const points = Array.from({ length: STEPS + 1 }, (_, i) => (2 * i) / STEPS - 1);
    plot.curve(
      points.map((x) => [x, iou(at(x), object)]),
      LOOKS.curve,
    );
    plot.dot(0, iou(anchor, object), COLORS.vermilion); // where the anchor stands
  }
}

export default explorer(IoUExplorer);
