/* LabelExplorer: the label of every anchor, anew whenever an object moves. */

import { boxAt, boxIou } from "../js/detector/boxes.js";
import { IGNORED, match, NEGATIVE } from "../js/detector/matching.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addChart, Plot } from "../js/kit/charts.js";
import { clipToImage } from "../js/kit/paint.js";
import { COLORS, rgb, withAlpha } from "../js/kit/palette.js";
import { wholeNumber } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {import("../js/detector/matching.js").Matches} Matches */

const [TRUTH, BY_IOU, BY_RULE, UNSURE, BACKGROUND, DROPPED] = [0, 1, 2, 3, 4, 5]; // LABEL_STATES
const ALPHA = [0, 255, 255, 120, 110, 0]; // of a square in the mosaic, by state; MOSAIC_ALPHA has the same
const SHADE = 0.35; // how much the mosaic darkens the image
const WORDS = [
  "",
  "positive",
  "positive only as the best anchor of an object",
  "ignored",
  "negative",
  "left out, it reaches over the border",
];
const BINS = 20; // bars over IoU from 0 to 1
const PLACE = { left: 48, right: 10, top: 8, bottom: 32 };
const COUNTS = [1, 10, 100, 1000, 10000]; // labels of the bars' scale

class LabelExplorer extends Explorer {
  /** @type {Float32Array[]} One per object, an entry per anchor. */
  overlaps = [];
  inside = new Uint8Array(0); // 1 where the anchor is within the image
  /** @type {Matches} */
  matches = match([], 0, { high: 1, low: 0, bestRule: false });
  states = new Uint8Array(0); // of objects and anchors
  /** @type {number | null} The anchor whose square is under the pointer. */
  pointed = null;
  dragging = false;
  mosaic = document.createElement("canvas");

  /** @param {Context} context */
  constructor(context) {
    super(context);
    const { canvas } = this;
    const parent = this.addRow();
    this.addThreshold(parent, "Positive from", "high", (value) => Math.max(value, this.get("low")));
    this.addThreshold(parent, "Negative below", "low", (value) => Math.min(value, this.get("high")));
    const switches = this.addRow();
    canvas.addCheckbox({ label: "best-anchor rule", trait: "best_rule", parent: switches });
    canvas.addCheckbox({ label: "drop anchors over the border", trait: "drop_crossing", parent: switches });
    canvas.addCheckbox({ label: "mosaic", trait: "mosaic", parent: switches });
    this.chart = addChart(this.side, "how many anchors reach which IoU", 400, 170, (pen, size) =>
      this.drawBars(pen, size),
    );
    this.on(["high", "low", "best_rule", "drop_crossing"], () => {
      if (this.states.length) this.label();
    });
    this.on(["mosaic"], () => canvas.redraw("under"));
  }

  /**
   * A slider that stops at the other threshold.
   * @param {HTMLElement} parent
   * @param {string} label
   * @param {string} trait
   * @param {(value: number) => number} limit
   */
  addThreshold(parent, label, trait, limit) {
    const binding = {
      traits: [trait],
      read: () => this.get(trait),
      write: (/** @type {number} */ value) => this.tell({ [trait]: limit(value) }),
    };
    const format = (/** @type {number} */ value) => value.toFixed(2);
    this.canvas.addSlider({ label, min: 0.05, max: 0.95, step: 0.05, binding, format, parent });
  }

  /** @type {number} */
  get numObjects() {
    return this.get("num_objects");
  }

  /** @type {Explorer["onBoxesChanged"]} */
  onBoxesChanged(_, { index, final }) {
    this.dragging = !final;
    if (this.dragging) this.point(null);
    if (index === null) this.measureAll();
    else this.measure(index);
    this.label();
  }

  measureAll() {
    const { boxes } = this.canvas;
    const { width, height } = this.size;
    const anchors = boxes.subarray(4 * this.numObjects);
    this.inside = new Uint8Array(anchors.length / 4);
    this.states = new Uint8Array(boxes.length / 4);
    for (let a = 0, j = 0; j < anchors.length; a++, j += 4) {
      const [x1, y1, x2, y2] = [anchors[j], anchors[j + 1], anchors[j + 2], anchors[j + 3]];
      this.inside[a] = x1 >= 0 && y1 >= 0 && x2 <= width && y2 <= height ? 1 : 0;
    }
    this.overlaps = [];
    for (let g = 0; g < this.numObjects; g++) this.measure(g);
  }

  /** @param {number} g  The object whose IoU with every anchor is measured */
  measure(g) {
    const { boxes } = this.canvas;
    this.overlaps[g] = boxIou(boxes, g, boxes.subarray(4 * this.numObjects));
  }

  label() {
    const { inside, states, numObjects } = this;
    const [high, low, bestRule, drop] = ["high", "low", "best_rule", "drop_crossing"].map((trait) => this.get(trait));
    const counted = drop ? this.overlaps.map((column) => column.map((iou, a) => iou * inside[a])) : this.overlaps;
    this.matches = match(counted, inside.length, { high, low, bestRule });
    const { labels, gtIndex, iou } = this.matches;
    const counts = new Array(ALPHA.length).fill(0);
    const from = Math.fround(high);
    const served = new Set();
    for (let a = 0; a < labels.length; a++) {
      const state = drop && !inside[a] ? DROPPED : stateOf(labels[a], iou[a] >= from);
      states[numObjects + a] = state;
      counts[state]++;
      if (state === BY_IOU || state === BY_RULE) served.add(gtIndex[a]);
    }
    states.fill(TRUTH, 0, numObjects);
    this.canvas.setStates(states);
    this.paintMosaic();
    this.chart.paint();
    this.write(counts, served.size);
    if (this.pointed !== null) this.point(this.pointed);
  }

  /**
   * @param {number[]} counts  By state
   * @param {number} served  How many objects have a positive anchor
   */
  write(counts, served) {
    const positive = counts[BY_IOU] + counts[BY_RULE];
    const each = positive ? wholeNumber(counts[BACKGROUND] / positive) : "∞";
    this.show(
      `*${wholeNumber(this.inside.length)}* anchors`,
      `*${wholeNumber(positive)}* positive, *${wholeNumber(counts[BY_RULE])}* of them only as best anchor`,
      `*${wholeNumber(counts[UNSURE])}* ignored`,
      `*${wholeNumber(counts[BACKGROUND])}* negative`,
      `*${wholeNumber(counts[DROPPED])}* left out`,
      `1 positive to *${each}* negatives`,
      `*${this.numObjects - served}* objects without a positive anchor`,
    );
  }

  /**
   * Which square of the mosaic holds the point, by the order of anchors: rows, columns, then those of the cell.
   * @type {Explorer["onPointer"]}
   */
  onPointer(x, y) {
    const [rows, across, high, wide] = this.get("_cells");
    const [column, row] = [x, y].map((value) => value / this.get("stride") + 0.5);
    const away = column < 0 || row < 0 || column >= across || row >= rows;
    if (this.dragging || !this.get("mosaic") || away) {
      this.point(null);
      return;
    }
    const [left, top] = [Math.floor((column % 1) * wide), Math.floor((row % 1) * high)];
    this.point(((Math.floor(row) * across + Math.floor(column)) * high + top) * wide + left);
  }

  onLeave() {
    this.point(null);
  }

  /** @param {number | null} a */
  point(a) {
    this.pointed = a;
    this.canvas.setReadout(a === null ? null : this.describe(a));
    this.canvas.redraw();
  }

  /** @param {number} a */
  describe(a) {
    const { iou, gtIndex } = this.matches;
    const whose = iou[a] > 0 ? ` with ${this.canvas.captions[gtIndex[a]]}` : "";
    return `Anchor of this square: IoU ${iou[a].toFixed(3)}${whose}, so ${WORDS[this.states[this.numObjects + a]]}`;
  }

  /**
   * Bars on a scale of powers of ten, in the colours of the thresholds.
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/kit/charts.js").Size} size
   */
  drawBars(context, size) {
    const [high, low] = [this.get("high"), this.get("low")];
    const counts = new Array(BINS).fill(0);
    this.matches.iou.forEach((overlap, a) => {
      if (this.states[this.numObjects + a] !== DROPPED) counts[Math.min(Math.floor(overlap * BINS), BINS - 1)]++;
    });
    const plot = new Plot(context, size, PLACE, [0, 1], [0, 4.5]);
    /** @param {number} count */
    const log = (count) => Math.log10(Math.max(count, 0.5) * 2);
    counts.forEach((count, bin) => {
      const middle = (bin + 0.5) / BINS;
      context.fillStyle = this.canvas.palette[middle >= high ? BY_IOU : middle < low ? BACKGROUND : UNSURE].color;
      context.fillRect(
        plot.across(bin / BINS),
        plot.up(log(count)),
        plot.width / BINS - 1,
        plot.up(0) - plot.up(log(count)),
      );
    });
    context.fillStyle = size.ink;
    context.fillRect(plot.left, plot.up(0), plot.width, 1);
    for (const threshold of [low, high]) plot.mark(threshold);
    plot.labelRows(COUNTS.map(log), (value) => wholeNumber(10 ** value / 2));
    const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1];
    plot.labelColumns(ticks, ticks.map(String), "anchors by their best IoU with an object");
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    if (this.pointed === null || !this.states.length) return;
    const index = this.numObjects + this.pointed;
    view.strokeBox(context, boxAt(this.canvas.boxes, index), { ...this.canvas.palette[this.states[index]], width: 3 });
  }

  paintMosaic() {
    const [rows, across, high, wide] = this.get("_cells");
    const pixels = new ImageData(across * wide, rows * high);
    const ink = new Uint32Array(pixels.data.buffer); // a number for the four bytes of each square
    const colors = this.canvas.palette.map(({ color }, state) => {
      return new Uint32Array(new Uint8Array([...rgb(color), ALPHA[state]]).buffer)[0];
    });
    for (let a = 0; a < this.inside.length; a++) {
      const inCell = a % (high * wide);
      const cell = (a - inCell) / (high * wide);
      const y = Math.floor(cell / across) * high + Math.floor(inCell / wide);
      const x = (cell % across) * wide + (inCell % wide);
      ink[y * across * wide + x] = colors[this.states[this.numObjects + a]];
    }
    Object.assign(this.mosaic, { width: pixels.width, height: pixels.height });
    this.mosaic.getContext("2d")?.putImageData(pixels, 0, 0);
    this.canvas.redraw("under");
  }

  /** @type {Explorer["drawUnder"]} */
  drawUnder(context, view) {
    if (!this.get("mosaic") || !this.states.length) return;
    const [rows, across] = this.get("_cells");
    const stride = this.get("stride");
    clipToImage(context, view);
    context.fillStyle = withAlpha(COLORS.black, SHADE);
    context.fillRect(0, 0, view.width, view.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.mosaic, -stride / 2, -stride / 2, across * stride, rows * stride);
  }
}

/**
 * @param {number} label
 * @param {boolean} reached  Whether it overlaps an object by the threshold
 */
function stateOf(label, reached) {
  if (label === IGNORED) return UNSURE;
  if (label === NEGATIVE) return BACKGROUND;
  return reached ? BY_IOU : BY_RULE;
}

export default explorer(LabelExplorer);
