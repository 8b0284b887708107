/* PullExplorer: where the anchors of one image lie after each part of the training. Traits: snapshot, anchor, everyone. */

import { boxAt, iou } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addChart, Plot } from "../js/kit/charts.js";
import { LOOKS } from "../js/kit/palette.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const PLACE = { left: 40, right: 24, top: 10, bottom: 36 };

/** @param {Float32Array} boxes */
const listed = (boxes) => Array.from({ length: boxes.length / 4 }, (_, i) => boxAt(boxes, i));

class PullExplorer extends Explorer {
  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.anchors = listed(this.floats("anchor_boxes"));
    this.targets = listed(this.floats("target_boxes"));
    this.moved = listed(this.floats("moved_boxes"));
    this.count = this.anchors.length;
    /** @type {number[]} */
    this.steps = this.get("steps");
    this.before = this.anchors.map((box, i) => iou(box, this.targets[i]));
    this.overlaps = this.moved.map((box, i) => iou(box, this.targets[i % this.count])); // moment by moment
    this.means = this.steps.map((_, s) => {
      return this.overlaps.slice(this.at(s, 0), this.at(s + 1, 0)).reduce((sum, one) => sum + one, 0) / this.count;
    });
    this.addKey([
      [LOOKS.start, "the anchor"],
      [LOOKS.followed, "where it is sent"],
      [LOOKS.others, "the other positive anchors"],
    ]);
    this.addControls();
    this.chart = addChart(this.side, "IoU with the object over the training", 400, 220, (pen, size) =>
      this.drawCurves(pen, size),
    );
    this.on(["snapshot", "anchor", "everyone"], () => this.update());
    requestAnimationFrame(() => this.update()); // on the page by then, where the chart finds its colour
  }

  addControls() {
    const { canvas, count, steps } = this;
    const parent = this.addRow();
    const step = (/** @type {number} */ index) => String(steps[index]);
    const nth = (/** @type {number} */ index) => `${index + 1} of ${count}`;
    canvas.addSlider({ label: "Training step", max: steps.length - 1, trait: "snapshot", format: step, parent });
    canvas.addSlider({ label: "Anchor", max: count - 1, trait: "anchor", format: nth, parent });
    canvas.addCheckbox({ label: "show all positive anchors", trait: "everyone", parent });
  }

  /**
   * @param {number} snapshot
   * @param {number} anchor
   */
  at(snapshot, anchor) {
    return snapshot * this.count + anchor;
  }

  /**
   * A click takes the smallest of the boxes, as they lie now, that contain the point, or else the nearest one.
   * @type {Explorer["onClick"]}
   */
  onClick(x, y) {
    const snapshot = this.get("snapshot");
    const order = this.moved.slice(this.at(snapshot, 0), this.at(snapshot + 1, 0)).map(([x1, y1, x2, y2]) => {
      const outside = Math.hypot(Math.max(x1 - x, 0, x - x2), Math.max(y1 - y, 0, y - y2));
      return outside > 0 ? [1, outside] : [0, (x2 - x1) * (y2 - y1)];
    });
    const [best] = [...order.keys()].sort((a, b) => order[a][0] - order[b][0] || order[a][1] - order[b][1]);
    this.tell({ anchor: best });
  }

  update() {
    const [snapshot, anchor] = [this.get("snapshot"), this.get("anchor")];
    const [before, after] = [this.before[anchor], this.overlaps[this.at(snapshot, anchor)]].map((one) =>
      one.toFixed(3),
    );
    this.show(
      `IoU with its object: the anchor itself *${before}*, sent by step ${this.steps[snapshot]} *${after}*`,
      `mean of all ${this.count} positive anchors *${this.means[snapshot].toFixed(3)}*`,
    );
    this.chart.paint();
    this.canvas.redraw();
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    const [snapshot, anchor] = [this.get("snapshot"), this.get("anchor")];
    const all = this.get("everyone") ? this.moved.slice(this.at(snapshot, 0), this.at(snapshot + 1, 0)) : [];
    for (const box of all) view.strokeBox(context, box, LOOKS.others, { cased: false });
    view.strokeBox(context, this.anchors[anchor], LOOKS.start);
    view.strokeBox(context, this.moved[this.at(snapshot, anchor)], LOOKS.followed, { fill: 0.15 });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/kit/charts.js").Size} size
   */
  drawCurves(context, size) {
    const { steps, count, overlaps } = this;
    const plot = new Plot(context, size, PLACE, [0, Math.max(steps.length - 1, 1)]);
    /** @param {(step: number) => number} value */
    const points = (value) => steps.map((_, s) => [s, value(s)]);
    plot.rule([0, 0.5, 1]);
    context.globalAlpha = 0.25;
    for (let i = 0; i < count; i++)
      plot.curve(
        points((s) => overlaps[this.at(s, i)]),
        LOOKS.others,
      );
    context.globalAlpha = 1;
    plot.curve(
      points((s) => this.means[s]),
      { ...LOOKS.start, color: size.ink },
    );
    plot.curve(
      points((s) => overlaps[this.at(s, this.get("anchor"))]),
      LOOKS.followed,
    );
    plot.mark(this.get("snapshot"));
    plot.labelRows([0, 0.5, 1]);
    plot.labelColumns([...steps.keys()], steps.map(String), "training step (dashed: the mean of all)");
  }
}

export default explorer(PullExplorer);
