/* GradientExplorer: which cells of the map a region's gradient reaches, if each of its pooled values sends 1 back. */

import { boxAt } from "../js/detector/boxes.js";
import { alignGradient, poolGradient, winners } from "../js/detector/roi_pool.js";
import { explorer } from "../js/explorer.js";
import { addChart } from "../js/kit/charts.js";
import { element } from "../js/kit/layout.js";
import { clipToImage, drawCellBorders, drawMap } from "../js/kit/paint.js";
import { COLORS, rampColor } from "../js/kit/palette.js";
import { OPERATORS, RegionExplorer } from "./region.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {"pool" | "align"} Operator */

const NAMES = { pool: "RoIPool", align: "RoIAlign" };
const PICTURE = 214; // CSS pixels, the longer side of a small map
const TOP = 20;
const FAINT = 1e-9; // below this nothing arrives
const TRAITS = ["channel", "all_channels", "bins", "samples", "aligned", "operator"];

class GradientExplorer extends RegionExplorer {
  /** @type {Record<Operator, Float64Array> | null} The gradient of every cell. */
  gradients = null;
  region = [0, 0, 1, 1];

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.cell = PICTURE / Math.max(this.rows, this.columns);
    const panel = element("div", "explorer-charts", this.side);
    this.pictures = { pool: this.addMap(panel, "pool"), align: this.addMap(panel, "align") };
    const parent = this.addRow();
    const { canvas, channels } = this;
    canvas.addChooser({ label: "On the picture: ", names: NAMES, trait: "operator", parent });
    canvas.addCheckbox({ label: `all ${channels} channels (mean)`, trait: "all_channels", parent });
    this.channel = canvas.addSlider({ label: "Channel", max: channels - 1, trait: "channel", parent });
    this.addPoolingControls(parent);
    this.on(TRAITS, () => this.onBoxesChanged());
  }

  /**
   * @param {HTMLElement} panel
   * @param {Operator} operator
   */
  addMap(panel, operator) {
    const [width, height] = [this.columns * this.cell, this.rows * this.cell + TOP];
    const label = `${NAMES[operator]}: gradient of every cell`;
    return addChart(panel, label, width, height, (context) => this.drawSmall(context, operator));
  }

  onBoxesChanged() {
    if (!this.canvas.boxes.length) return;
    this.region = boxAt(this.canvas.boxes, 0);
    const { across, down, x, y } = this.covered(this.region);
    this.gradients = { pool: this.meanOverChannels(down, across), align: alignGradient(y.weights, x.weights) };
    for (const operator of OPERATORS) {
      this.pictures[operator].picture.dataset.values = JSON.stringify([...this.gradients[operator]]);
      this.pictures[operator].paint();
    }
    this.channel.input.disabled = this.get("all_channels");
    this.write();
    this.canvas.redraw("under");
  }

  /**
   * @param {number[][]} down
   * @param {number[][]} across
   */
  meanOverChannels(down, across) {
    const some = this.get("all_channels") ? [...Array(this.channels).keys()] : [this.get("channel")];
    const sum = new Float64Array(this.area);
    for (const at of some) {
      const channel = this.channelAt(at);
      poolGradient(winners(channel, down, across), channel.start, this.area).forEach((value, k) => {
        sum[k] += value / some.length;
      });
    }
    return sum;
  }

  onPointer() {
    this.write();
  }

  onLeave() {
    this.write();
  }

  write() {
    const { gradients } = this;
    if (!gradients) return;
    const texts = OPERATORS.map((operator) => {
      const values = gradients[operator];
      const reached = values.filter((value) => value > FAINT).length;
      const total = values.reduce((sum, value) => sum + value, 0);
      return `${NAMES[operator]}: *${reached}* cells get a gradient, the largest *${most(values).toFixed(2)}*, all together *${total.toFixed(2)}*`;
    });
    this.show(...texts);
    const cell = this.cellAt();
    if (!cell) {
      this.canvas.setReadout("Point at a cell to read its gradient.");
      return;
    }
    const [pool, align] = OPERATORS.map((operator) => gradients[operator][cell[0] * this.columns + cell[1]].toFixed(3));
    this.canvas.setReadout(`Cell in row ${cell[0]}, column ${cell[1]}: RoIPool ${pool}, RoIAlign ${align}.`);
  }

  cellAt() {
    const { pointer } = this.canvas;
    if (!pointer) return null;
    const [i, j] = [Math.floor(pointer.y / this.stride), Math.floor(pointer.x / this.stride)];
    return i >= 0 && j >= 0 && i < this.rows && j < this.columns ? [i, j] : null;
  }

  /** @type {RegionExplorer["drawUnder"]} */
  drawUnder(context, view) {
    if (!this.gradients) return;
    const { rows, columns, stride } = this;
    const values = this.gradients[/** @type {Operator} */ (this.get("operator"))];
    const top = most(values);
    clipToImage(context, view);
    context.globalAlpha = 0.72;
    drawMap(context, values, { columns, stride, share: (value) => value / top });
    context.globalAlpha = 1;
    drawCellBorders(context, view, { rows, columns, stride, alpha: 0.25 });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Operator} operator
   */
  drawSmall(context, operator) {
    if (!this.gradients) return;
    const { cell } = this;
    const values = this.gradients[operator];
    const top = most(values);
    context.fillText(NAMES[operator], 0, 13);
    values.forEach((value, at) => {
      context.fillStyle = rampColor(value / top);
      const [x, y] = [(at % this.columns) * cell, TOP + Math.floor(at / this.columns) * cell];
      context.fillRect(x, y, cell + 0.5, cell + 0.5);
    });
    const [x1, y1, x2, y2] = this.region.map((edge) => (edge / this.stride) * cell);
    Object.assign(context, { strokeStyle: COLORS.orange, lineWidth: 2 });
    context.strokeRect(x1, TOP + y1, x2 - x1, y2 - y1);
  }
}

/** @param {Float64Array} values */
const most = (values) => Math.max(...values, FAINT);

export default explorer(GradientExplorer);
