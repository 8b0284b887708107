/* OddShapeExplorer: one object of any shape, the best anchor for it, and the best IoU over all shapes as a curve. */

import { baseAnchors } from "../js/detector/anchors.js";
import { boxArea, boxAround, boxAt, centerSize } from "../js/detector/boxes.js";
import { HIGH } from "../js/detector/matching.js";
import { explorer } from "../js/explorer.js";
import { addChart, Plot } from "../js/kit/charts.js";
import { COLORS, LOOKS } from "../js/kit/palette.js";
import { shortNumber } from "../js/kit/words.js";
import { AnchorExplorer, bestAnchor, lookOf } from "./settings.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const REACH = 12; // the curve runs from 1 / REACH to REACH
const STEPS = 160;
const PARTS = [0.5, 1, 2]; // sizes of the anchors over the object's own
const CHOICES = [[1], [0.5, 1, 2], [0.25, 0.5, 1, 2, 4], [0.125, 0.25, 0.5, 1, 2, 4, 8]];
const TICKS = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8];
const PLACE = { left: 42, right: 12, top: 10, bottom: 34 };

/** @param {number[]} box */
const ratioOf = (box) => {
  const [, , width, height] = centerSize(box);
  return height / width;
};

class OddShapeExplorer extends AnchorExplorer {
  object = [0, 0, 1, 1];
  /** @type {import("./settings.js").Best | null} Drawn from the first frame on. */
  best = null;
  /** @type {number[][]} */
  curve = [];

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.addKey([
      [LOOKS.wide, "best anchor, wide"],
      [LOOKS.square, "square"],
      [LOOKS.tall, "tall"],
    ]);
    const ratios = {
      traits: ["ratios"],
      read: () => this.chosen,
      write: (/** @type {number} */ index) => this.tell({ ratios: CHOICES[index] }),
    };
    const format = () => String(this.get("ratios").length);
    this.canvas.addSlider({ label: "Ratios", max: CHOICES.length - 1, binding: ratios, format, parent: this.addRow() });
    this.side.append(this.figures); // below the slider
    this.chart = addChart(this.side, "best IoU over the object's ratio", 400, 230, (context, size) =>
      this.drawCurve(context, size),
    );
    this.on(["ratios", "stride", "offset"], () => this.update());
  }

  /** Which of CHOICES has as many ratios. */
  get chosen() {
    const at = CHOICES.findIndex((ratios) => ratios.length >= this.get("ratios").length);
    return at < 0 ? CHOICES.length - 1 : at;
  }

  /** Anchors of half, once and twice the size of the object. */
  get base() {
    const size = Math.sqrt(boxArea(this.object));
    const { ratios, inverted } = this.settings;
    return baseAnchors(
      PARTS.map((part) => part * size),
      inverted ? ratios.map((ratio) => 1 / ratio) : ratios,
    );
  }

  onBoxesChanged() {
    this.update();
  }

  update() {
    this.object = boxAt(this.canvas.boxes, 0);
    const { base, size } = this;
    const grid = this.settings;
    const [x, y] = centerSize(this.object);
    const side = Math.sqrt(boxArea(this.object));
    this.best = bestAnchor(this.object, base, grid, size);
    this.curve = Array.from({ length: STEPS + 1 }, (_, i) => {
      const log = (2 * i) / STEPS - 1;
      const root = Math.sqrt(REACH ** log);
      return [log, bestAnchor(boxAround([x, y, side / root, side * root]), base, grid, size).iou];
    });
    this.show(
      `${grid.ratios.length} ratios × 3 sizes = *${base.length}* anchors per cell: ${grid.ratios.map(shortNumber).join(", ")}`,
      `object's height / width *${shortNumber(ratioOf(this.object))}*`,
      `best IoU *${this.best.iou.toFixed(3)}*`,
    );
    this.chart.paint();
    this.canvas.redraw();
  }

  /** @type {AnchorExplorer["drawOver"]} */
  drawOver(context, view) {
    if (this.best) view.strokeBox(context, this.best.box, lookOf(this.base[this.best.anchor]), { fill: 0.15 });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/kit/charts.js").Size} size
   */
  drawCurve(context, size) {
    const plot = new Plot(context, size, PLACE, [-1, 1]);
    const log = (/** @type {number} */ ratio) => Math.log(ratio) / Math.log(REACH);
    const rows = [0, 0.5, HIGH, 1];
    plot.rule(rows, this.settings.ratios.map(log));
    plot.labelRows(rows);
    const texts = TICKS.map((ratio) => (ratio < 1 ? `1/${1 / ratio}` : String(ratio)));
    plot.labelColumns(TICKS.map(log), texts, "wide  ←  height / width  →  tall");
    plot.curve(this.curve, LOOKS.curve);
    const ratio = Math.min(Math.max(ratioOf(this.object), 1 / REACH), REACH);
    plot.dot(log(ratio), this.best?.iou ?? 0, COLORS.vermilion);
  }
}

export default explorer(OddShapeExplorer);
