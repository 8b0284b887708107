/* CoverageExplorer: how well anchors fit the boxes of a data set: the best IoU of every box, their histogram, and the
   plane of widths and heights with an island round each anchor in which it reaches IoU 0.7. */

import { boxAt, centerSize, iou } from "../js/detector/boxes.js";
import { HIGH } from "../js/detector/matching.js";
import { explorer } from "../js/explorer.js";
import { addChart, Plot } from "../js/kit/charts.js";
import { controlRow, element } from "../js/kit/layout.js";
import { LOOKS } from "../js/kit/palette.js";
import { AnchorExplorer, bestAnchor, lookOf, SETTINGS } from "./settings.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {import("../js/kit/charts.js").Size} Size */

const BINS = 20;
const MISSED = 0.5;
const HIGH_32 = Math.fround(HIGH); // as Python rounds it
const CROWD = 400; // dots from which a dark edge round each would be all one sees
const SIDES = [4, 1024].map(Math.log); // the plane's range
const TICKS = [8, 16, 32, 64, 128, 256, 512];
const DIRECTIONS = 48;
const HISTOGRAM = { left: 30, right: 12, top: 24, bottom: 36 };
const PLANE = { left: 46, right: 8, top: 8, bottom: 36 };

/** Where boxes with the same centre have IoU 0.7: points (log of widths' ratio, log of heights' ratio) round 0. */
function island() {
  return Array.from({ length: DIRECTIONS }, (_, i) => {
    const angle = (2 * Math.PI * i) / DIRECTIONS;
    /** @param {number} far */
    const at = (far) => [far * Math.cos(angle), far * Math.sin(angle)];
    let [near, far] = [0, 2];
    for (let step = 0; step < 20; step++) {
      const middle = (near + far) / 2;
      const [width, height] = at(middle).map(Math.exp);
      if (iou([-1, -1, 1, 1], [-width, -height, width, height]) >= HIGH) near = middle;
      else far = middle;
    }
    return at(near);
  });
}

class CoverageExplorer extends AnchorExplorer {
  overlaps = new Float32Array(0); // the best IoU of every box of the data set
  allBoxes = new Float32Array(0);
  island = island();

  /** @param {Context} context */
  constructor(context) {
    super(context);
    const panel = element("div", "explorer-charts", this.side);
    this.histogram = addChart(panel, "histogram of the best IoU of every box", 280, 230, (pen, size) =>
      this.drawHistogram(pen, size),
    );
    this.plane = addChart(panel, "width and height of every box, and of the anchors", 280, 230, (pen, size) =>
      this.drawPlane(pen, size),
    );
    this.addSettings(["sizes", "ratios", "stride", "inverted"]);
    this.addChoice();
    this.on([...SETTINGS, "all_boxes", "image_sizes", "yardstick"], () => this.measure());
    this.measure();
  }

  addChoice() {
    const parent = controlRow(this.canvas.controls);
    const names = Object.fromEntries(this.get("names").map((/** @type {string} */ name) => [name, name]));
    this.canvas.addChooser({ label: "Data set ", names, trait: "data_set", parent });
    const format = (/** @type {number} */ index) => `${index + 1} of ${this.get("num_pictures")}`;
    const picture = this.canvas.addSlider({ label: "Picture", trait: "picture", parent, format });
    const follow = () => picture.span(0, this.get("num_pictures") - 1, 1);
    this.on(["num_pictures"], follow);
    follow();
  }

  onHover() {
    this.plane.paint();
  }

  onBoxesChanged() {
    this.judge();
  }

  measure() {
    const { base, settings } = this;
    const [boxes, sizes] = [this.floats("all_boxes"), this.floats("image_sizes")];
    const count = boxes.length / 4;
    if (sizes.length !== 2 * count) return; // the rest is still on its way
    this.allBoxes = boxes;
    this.overlaps = Float32Array.from({ length: count }, (_, i) => {
      const [height, width] = sizes.subarray(2 * i, 2 * i + 2);
      return bestAnchor(boxAt(boxes, i), base, settings, { width, height }).iou;
    });
    this.judge();
    this.write();
  }

  /** How the boxes of the picture fare. */
  judge() {
    const first = this.get("first_box");
    const here = this.overlaps.subarray(first, first + this.canvas.boxes.length / 4);
    this.canvas.setStates([...here].map((overlap) => this.fit(overlap)));
  }

  write() {
    const { overlaps } = this;
    const count = overlaps.length;
    const mean = overlaps.reduce((sum, one) => sum + one, 0) / count;
    /** @param {number} least */
    const share = (least) => Math.round((100 * overlaps.filter((one) => one >= Math.fround(least)).length) / count);
    this.show(
      `${count} boxes`,
      `mean best IoU *${mean.toFixed(3)}* (the paper's nine at stride 16: ${this.get("yardstick").toFixed(3)})`,
      `*${share(HIGH)} %* reach ${HIGH}`,
      `*${100 - share(MISSED)} %* stay below ${MISSED}`,
    );
    this.histogram.paint();
    this.plane.paint();
  }

  /** @param {number} overlap */
  fit(overlap) {
    return overlap >= HIGH_32 ? 0 : overlap >= MISSED ? 1 : 2;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Size} size
   */
  drawHistogram(context, size) {
    const bars = new Array(BINS).fill(0);
    for (const one of this.overlaps) bars[Math.min(Math.floor(one * BINS + 1e-6), BINS - 1)]++;
    const most = Math.max(...bars, 1);
    const plot = new Plot(context, size, HISTOGRAM, [0, 1], [0, most]);
    const ticks = [0, 0.25, MISSED, HIGH, 1];
    plot.labelColumns(ticks, ticks.map(String), "best IoU of each box");
    plot.labelRows([most]);
    context.textAlign = "left";
    context.fillText("boxes", 4, 12);
    context.fillRect(plot.left, plot.up(0), plot.width, 1);
    bars.forEach((count, i) => {
      context.fillStyle = this.canvas.palette[this.fit((i + 0.5) / BINS)].color;
      context.fillRect(plot.across(i / BINS) + 1, plot.up(count), plot.width / BINS - 2, plot.up(0) - plot.up(count));
    });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Size} size
   */
  drawPlane(context, size) {
    const plot = new Plot(context, size, PLANE, SIDES, SIDES);
    const ticks = TICKS.map(Math.log);
    plot.rule(ticks, ticks);
    plot.labelColumns(ticks, TICKS.map(String), "width of a box, px");
    plot.labelRows(ticks, (log) => String(Math.round(Math.exp(log))));
    context.save();
    context.translate(10, size.height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText("height, px", 0, 0);
    context.restore();
    for (const anchor of this.base) this.drawIsland(context, plot, anchor);
    this.canvas.palette.forEach(({ color }, fit) => {
      this.drawBoxes(context, plot, color, fit);
    });
    this.drawHovered(context, plot);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Plot} plot
   * @param {number[]} anchor
   */
  drawIsland(context, plot, anchor) {
    const [x, y] = centerSize(anchor).slice(2).map(Math.log);
    const { color } = lookOf(anchor);
    context.beginPath();
    for (const [dx, dy] of this.island) context.lineTo(plot.across(x + dx), plot.up(y + dy));
    context.closePath();
    Object.assign(context, { fillStyle: color, strokeStyle: color, lineWidth: 1.5, globalAlpha: 0.3 });
    context.fill();
    context.globalAlpha = 1;
    context.stroke();
  }

  /**
   * The boxes of one colour in one path: a data set has thousands.
   * @param {CanvasRenderingContext2D} context
   * @param {Plot} plot
   * @param {string} color
   * @param {number} fit
   */
  drawBoxes(context, plot, color, fit) {
    const { allBoxes, overlaps } = this;
    context.beginPath();
    overlaps.forEach((overlap, i) => {
      if (this.fit(overlap) !== fit) return;
      const [width, height] = centerSize(boxAt(allBoxes, i)).slice(2);
      const [x, y] = [plot.across(Math.log(width)), plot.up(Math.log(height))];
      context.moveTo(x + 2.5, y);
      context.arc(x, y, 2.5, 0, 2 * Math.PI);
    });
    Object.assign(context, { fillStyle: color, strokeStyle: plot.ink, lineWidth: 0.75 });
    context.fill();
    if (overlaps.length >= CROWD) return;
    context.globalAlpha = 0.4; // or a heap of dots is all edges
    context.stroke();
    context.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Plot} plot
   */
  drawHovered(context, plot) {
    const { boxes, hovered } = this.canvas;
    if (hovered === null) return;
    const [width, height] = centerSize(boxes.subarray(4 * hovered, 4 * hovered + 4)).slice(2);
    context.beginPath();
    context.arc(plot.across(Math.log(width)), plot.up(Math.log(height)), 7, 0, 2 * Math.PI);
    Object.assign(context, { strokeStyle: LOOKS.tall.color, lineWidth: 3 });
    context.stroke();
  }
}

export default explorer(CoverageExplorer);
