/* PoolingExplorer: one channel of a feature map, a region to drag over it, and what RoIPool and RoIAlign make of it. */

import { boxAt, iou } from "../js/detector/boxes.js";
import { alignedValues, valuesAt, winners } from "../js/detector/roi_pool.js";
import { explorer } from "../js/explorer.js";
import { addChart } from "../js/kit/charts.js";
import { element } from "../js/kit/layout.js";
import { clipToImage, drawBins, drawCellBorders, drawDots, drawMap } from "../js/kit/paint.js";
import { COLORS, LOOKS, rampColor, withAlpha } from "../js/kit/palette.js";
import { percent, sides, signed } from "../js/kit/words.js";
import { OPERATORS, RegionExplorer } from "./region.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {"pool" | "align"} Operator */

const WITH_NUMBERS = 7; // bins each way, up to which their values fit into the grids
const GRID = { size: 214, left: 2, top: 20 };
const TITLES = { pool: "RoIPool: largest of each bin", align: "RoIAlign: mean of each bin" };
const TRAITS = ["channel", "bins", "samples", "aligned", "operator", "opacity"];

class PoolingExplorer extends RegionExplorer {
  /** @type {ReturnType<PoolingExplorer["compute"]> | null} All that follows from region and settings. */
  now = null;
  /** @type {number[] | null} The bin under the pointer. */
  pointed = null;
  stale = false; // whether figures and grids wait for the next frame

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.addKey([[LOOKS.read, "what the bins cover"]]);
    const panel = element("div", "explorer-charts", this.side);
    const [size, tall] = [GRID.size, GRID.size + GRID.top];
    this.grids = {
      pool: addChart(panel, "", size, tall, (pen, { ink }) => this.drawGrid(pen, ink, "pool")),
      align: addChart(panel, "", size, tall, (pen, { ink }) => this.drawGrid(pen, ink, "align")),
    };
    this.addControls();
    this.on(TRAITS, () => this.follow());
    this.readChannel();
  }

  addControls() {
    const { canvas } = this;
    const parent = this.addRow();
    const names = { pool: "RoIPool's cells", align: "RoIAlign's points" };
    const shown = (/** @type {number} */ share) => percent(share);
    canvas.addChooser({ label: "On the picture: ", names, trait: "operator", parent });
    canvas.addSlider({ label: "Channel", max: this.channels - 1, trait: "channel", parent });
    this.addPoolingControls(parent);
    canvas.addSlider({ label: "Map over the image", step: 0.05, trait: "opacity", format: shown, parent });
  }

  // ------------------------------------------------------------------------------------------- arithmetic

  follow() {
    this.readChannel();
    this.onBoxesChanged();
  }

  readChannel() {
    const start = this.get("channel") * this.area;
    this.values = this.map.subarray(start, start + this.area);
    this.limits = [Math.min(...this.values), Math.max(...this.values)];
    this.canvas.redraw("under");
  }

  onBoxesChanged() {
    if (!this.canvas.boxes.length) return;
    const now = this.compute(boxAt(this.canvas.boxes, 0));
    this.now = now;
    for (const operator of OPERATORS) this.grids[operator].picture.dataset.values = JSON.stringify(now[operator]);
    this.onPointer();
  }

  /** @param {number[]} region */
  compute(region) {
    const [bins, aligned] = [this.get("bins"), this.get("aligned")];
    const channel = this.channelAt(this.get("channel"));
    const covered = this.covered(region);
    const { across, down, x, y } = covered;
    const found = winners(channel, down, across);
    const pool = valuesAt(this.map, found);
    const align = alignedValues(channel, y.weights, x.weights);
    const edges = [across[0][0], down[0][0], across[bins - 1][1], down[bins - 1][1]];
    const read = edges.map((cell) => cell * this.stride);
    return { ...covered, region, bins, aligned, start: channel.start, found, pool, align, read };
  }

  /** @param {number} value */
  share(value) {
    const [least, most] = this.limits ?? [0, 0];
    return most > least ? (value - least) / (most - least) : 0;
  }

  // ------------------------------------------------------------------------------------------- hand and words

  onPointer() {
    if (!this.now) return;
    this.pointed = this.binAt();
    this.stale = true; // figures and grids follow in the next frame, once for all that has happened by then
    this.canvas.setReadout(
      this.pointed ? this.binText(this.pointed) : `${this.edgeText()} Point at a bin to see how it got its value.`,
    );
    this.canvas.redraw();
  }

  onLeave() {
    this.onPointer();
  }

  binAt() {
    const { pointer } = this.canvas;
    if (!pointer || !this.now) return null;
    const { bins, read, region } = this.now;
    const [x1, y1, x2, y2] = this.get("operator") === "pool" ? read : region;
    const bin = [(pointer.y - y1) / (y2 - y1), (pointer.x - x1) / (x2 - x1)].map((share) => Math.floor(share * bins));
    return bin.every((place) => place >= 0 && place < bins) ? bin : null;
  }

  write() {
    if (!this.now) return;
    const { region, read } = this.now;
    const moved = read.map((edge, k) => signed(edge - region[k], 1));
    this.show(
      `asked for *${sides(region, 1)}*`,
      `RoIPool reads *${sides(read)}*`,
      `edges moved by *${moved[0]}* left, *${moved[1]}* top, *${moved[2]}* right, *${moved[3]}* bottom px`,
      `IoU of the two *${iou(region, read).toFixed(3)}*`,
    );
  }

  edgeText() {
    const cells = this.now?.region.map((edge) => (edge / this.stride).toFixed(2)) ?? [];
    return `In cells: x ${cells[0]} to ${cells[2]}, y ${cells[1]} to ${cells[3]}.`;
  }

  /** @param {number[]} bin */
  binText([i, j]) {
    if (!this.now) return "";
    const { align, across, down, found, pool, start } = this.now;
    if (this.get("operator") === "align") {
      const points = this.get("samples") ** 2;
      return `Bin ${i}, ${j}: RoIAlign reads ${points} points between the cells, mean ${align[i][j].toFixed(3)}.`;
    }
    const [[top, bottom], [from, to]] = [down[i], across[j]];
    if (found[i][j] < 0) return `Bin ${i}, ${j} holds no cell of the map: it gives 0.`;
    const at = found[i][j] - start;
    const where = `row ${Math.floor(at / this.columns)}, column ${at % this.columns}`;
    return (
      `Bin ${i}, ${j}: rows ${top} to ${bottom - 1}, columns ${from} to ${to - 1}, ` +
      `${(bottom - top) * (to - from)} cells. The largest, ${pool[i][j].toFixed(3)}, is in ${where}.`
    );
  }

  // ------------------------------------------------------------------------------------------- pictures

  /** @type {RegionExplorer["drawUnder"]} */
  drawUnder(context, view) {
    const { stride, rows, columns } = this;
    context.save();
    clipToImage(context, view);
    context.globalAlpha = this.get("opacity");
    drawMap(context, this.values ?? [], { columns, stride, share: (value) => this.share(value) });
    context.globalAlpha = 1;
    drawCellBorders(context, view, { rows, columns, stride, alpha: 0.3 });
    context.restore();
    if (this.get("operator") === "align")
      drawDots(context, view, this.valuePlaces(), 1.6, withAlpha(COLORS.white, 0.9));
  }

  /** Where RoIAlign takes the values of the map to lie. */
  valuePlaces() {
    const offset = this.get("aligned") ? 0.5 : 0;
    const { area, columns, stride } = this;
    return Array.from({ length: area }, (_, at) => {
      return [((at % columns) + offset) * stride, (Math.floor(at / columns) + offset) * stride];
    });
  }

  /** @type {RegionExplorer["drawOver"]} */
  drawOver(context, view) {
    if (!this.now) return;
    if (this.stale) {
      this.stale = false;
      this.write();
      for (const operator of OPERATORS) this.grids[operator].paint();
    }
    if (this.get("operator") === "pool") this.drawPool(context, view, this.now);
    else this.drawAlign(context, view, this.now);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/explorer.js").View} view
   * @param {NonNullable<PoolingExplorer["now"]>} now
   */
  drawPool(context, view, { read, bins, across, down, found, start }) {
    const { stride, columns } = this;
    /** @param {number} at */
    const middle = (at) => [
      (((at - start) % columns) + 0.5) * stride,
      (Math.floor((at - start) / columns) + 0.5) * stride,
    ];
    const cells = [...new Set(found.flat())].filter((at) => at >= 0);
    drawBins(context, view, read, bins);
    view.strokeBox(context, read, LOOKS.read);
    drawDots(context, view, cells.map(middle), 3, COLORS.orange);
    if (!this.pointed) return;
    const [i, j] = this.pointed;
    const [[top, bottom], [from, to]] = [down[i], across[j]];
    context.fillStyle = withAlpha(COLORS.white, 0.35);
    context.fillRect(from * stride, top * stride, (to - from) * stride, (bottom - top) * stride);
    if (found[i][j] >= 0) drawDots(context, view, [middle(found[i][j])], 6, COLORS.vermilion);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/explorer.js").View} view
   * @param {NonNullable<PoolingExplorer["now"]>} now
   */
  drawAlign(context, view, { region, bins, x, y, aligned }) {
    const { stride, rows, columns, pointed } = this;
    /** @param {number} point */
    const place = (point) => (point + (aligned ? 0.5 : 0)) * stride;
    const points = y.points.flatMap((down) => x.points.map((across) => [place(across), place(down)]));
    drawBins(context, view, region, bins);
    drawDots(context, view, points, 2, COLORS.orange);
    if (!pointed) return;
    const samples = x.points.length / bins;
    const mine = [y.points, x.points].map((all, axis) =>
      all.slice(pointed[axis] * samples, (pointed[axis] + 1) * samples),
    );
    context.beginPath();
    for (const down of mine[0]) {
      for (const across of mine[1]) {
        for (const i of between(down, rows)) {
          for (const j of between(across, columns)) {
            context.moveTo(place(across), place(down));
            context.lineTo(place(j), place(i));
          }
        }
      }
    }
    Object.assign(context, { strokeStyle: COLORS.white, lineWidth: 1.5 * view.px });
    context.stroke();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {string} ink
   * @param {Operator} operator
   */
  drawGrid(context, ink, operator) {
    if (!this.now) return;
    const { bins } = this.now;
    const cell = (GRID.size - 2 * GRID.left) / bins;
    context.fillText(TITLES[operator], GRID.left, 13);
    Object.assign(context, { textAlign: "center", textBaseline: "middle", font: "10px system-ui, sans-serif" });
    this.now[operator].forEach((values, i) => {
      values.forEach((value, j) => {
        const [x, y] = [GRID.left + j * cell, GRID.top + i * cell];
        context.fillStyle = rampColor(this.share(value));
        context.fillRect(x, y, cell + 0.5, cell + 0.5);
        if (bins > WITH_NUMBERS) return;
        context.fillStyle = this.share(value) > 0.5 ? COLORS.black : COLORS.white;
        context.fillText(value.toFixed(2), x + cell / 2, y + cell / 2 + 1);
      });
    });
    Object.assign(context, { strokeStyle: COLORS.vermilion, lineWidth: 3, fillStyle: ink });
    if (this.pointed) {
      const [i, j] = this.pointed;
      context.strokeRect(GRID.left + j * cell + 1, GRID.top + i * cell + 1, cell - 2, cell - 2);
    }
    const name = operator === "pool" ? "RoIPool" : "RoIAlign";
    this.grids[operator].picture.setAttribute("aria-label", `${name}: ${bins} by ${bins} values`);
  }
}

/**
 * The cells that a point lies between along one axis.
 * @param {number} point
 * @param {number} cells
 */
function between(point, cells) {
  const near = Math.floor(Math.min(Math.max(point, 0), cells - 1));
  return [near, Math.min(near + 1, cells - 1)];
}

export default explorer(PoolingExplorer);
