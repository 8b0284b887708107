/* SampleExplorer: the anchors that a step draws, the same as Python's sampler draws with that seed: a dot for each. */

import { baseAnchors, gridAnchors, mapSize } from "../js/detector/anchors.js";
import { boxAt, boxIou, centerSize } from "../js/detector/boxes.js";
import { HIGH, LOW, match, NEGATIVE, POSITIVE, sample } from "../js/detector/matching.js";
import { RandomNumbers } from "../js/detector/random.js";
import { Explorer, explorer } from "../js/explorer.js";
import { element } from "../js/kit/layout.js";
import { drawDots } from "../js/kit/paint.js";
import { percent, sides, wholeNumber } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const BAR = 300; // CSS pixels that stand for the whole batch
const [TRUTH, DRAWN_POSITIVE, DRAWN_NEGATIVE] = [0, 1, 2]; // SAMPLE_STATES
const NAMES = ["", "positive", "negative"];
/** @type {[number, number][]} A state and the radius of its dots in CSS pixels, the few on top. */
const DOTS = [
  [DRAWN_NEGATIVE, 2.5],
  [DRAWN_POSITIVE, 4],
];
const NEAR = 8; // CSS pixels from a dot that still point at it
const HINT = "Dots: centres of the anchors that are drawn. Point at one to see its box.";
const RULES = { high: HIGH, low: LOW, bestRule: true };
const PAPER = { sizes: [128, 256, 512], ratios: [0.5, 1, 2], stride: 16, offset: 0 };

class SampleExplorer extends Explorer {
  anchors = new Float32Array(0);
  /** @type {Int8Array} */
  labels = new Int8Array(0);
  /** @type {number | null} The anchor whose dot is under the pointer. */
  pointed = null;

  /** @param {Context} context */
  constructor(context) {
    super(context);
    const { canvas } = this;
    const parent = this.addRow();
    const nth = (/** @type {number} */ index) => String(index + 1);
    canvas.addSlider({ label: "Photograph", max: this.get("num_pictures") - 1, format: nth, trait: "picture", parent });
    canvas.addSlider({ label: "Step", max: 50, trait: "step", parent });
    canvas.addSlider({ label: "Batch", min: 8, max: 512, step: 8, trait: "batch_size", parent });
    canvas.addSlider({
      label: "Positive at most",
      step: 0.05,
      format: (share) => percent(share),
      trait: "positive_fraction",
      parent,
    });
    this.on(["step", "batch_size", "positive_fraction"], () => this.draw());
  }

  onBoxesChanged() {
    this.label();
    this.draw();
  }

  label() {
    const objects = this.floats("boxes");
    const base = baseAnchors(PAPER.sizes, PAPER.ratios);
    this.anchors = gridAnchors(base, mapSize(this.size, PAPER.stride), PAPER);
    const overlaps = Array.from({ length: objects.length / 4 }, (_, g) => boxIou(objects, g, this.anchors));
    this.labels = match(overlaps, this.anchors.length / 4, RULES).labels;
  }

  /** What the step draws; positives and objects lie on top. */
  draw() {
    const objects = this.floats("boxes");
    const [batchSize, fraction] = [this.get("batch_size"), this.get("positive_fraction")];
    const { positive, negative } = sample(this.labels, batchSize, fraction, new RandomNumbers(this.get("step")));
    const drawn = [...negative, ...positive].flatMap((anchor) => boxAt(this.anchors, anchor));
    this.canvas.setBoxes([...drawn, ...objects], {
      states: [
        ...negative.map(() => DRAWN_NEGATIVE),
        ...positive.map(() => DRAWN_POSITIVE),
        ...Array.from({ length: objects.length / 4 }, () => TRUTH),
      ],
    });
    this.write(positive.length, negative.length);
    this.point(null);
    this.canvas.redraw("under");
  }

  /**
   * @param {number} positive
   * @param {number} negative
   */
  write(positive, negative) {
    /** @param {number} label */
    const there = (label) => wholeNumber(this.labels.filter((one) => one === label).length);
    this.show(
      `drawn: *${positive}* positive and *${negative}* negative, 1 to *${positive ? (negative / positive).toFixed(1) : "∞"}*`,
      `on this photograph there are *${there(POSITIVE)}* positive and *${there(NEGATIVE)}* negative anchors`,
    );
    const bar = element("div", "explorer-bar sample-bar");
    bar.style.width = `${BAR}px`;
    [positive, negative].forEach((count, i) => {
      const part = element("i", "", bar);
      part.style.width = `${(100 * count) / Math.max(positive + negative, 1)}%`;
      part.style.background = this.canvas.palette[[DRAWN_POSITIVE, DRAWN_NEGATIVE][i]].color;
    });
    this.figures.children[0].after(bar);
  }

  /** @param {number} state */
  drawn(state) {
    const { states } = this.canvas;
    return [...states.keys()].filter((i) => states[i] === state);
  }

  /** @param {number} index */
  centerOf(index) {
    return centerSize(boxAt(this.canvas.boxes, index)).slice(0, 2);
  }

  /** @param {number | null} index */
  point(index) {
    this.pointed = index;
    const { states, boxes } = this.canvas;
    this.canvas.setReadout(index === null ? HINT : `${NAMES[states[index]]}, ${sides(boxAt(boxes, index))}`);
    this.canvas.redraw();
  }

  /** @type {Explorer["onPointer"]} */
  onPointer(x, y) {
    /** @type {(index: number) => number} */
    const distance = (index) => Math.hypot(this.centerOf(index)[0] - x, this.centerOf(index)[1] - y);
    const near = [DRAWN_POSITIVE, DRAWN_NEGATIVE].flatMap((state) => this.drawn(state));
    const nearest = near.sort((a, b) => distance(a) - distance(b))[0];
    this.point(nearest !== undefined && distance(nearest) < NEAR * this.canvas.view.px ? nearest : null);
  }

  onLeave() {
    this.point(null);
  }

  /** @type {Explorer["drawUnder"]} */
  drawUnder(context, view) {
    for (const [state, radius] of DOTS) {
      const places = this.drawn(state).map((index) => this.centerOf(index));
      drawDots(context, view, places, radius, this.canvas.palette[state].color);
    }
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    const { boxes, states } = this.canvas;
    if (this.pointed === null || this.pointed >= states.length) return;
    view.strokeBox(context, boxAt(boxes, this.pointed), states[this.pointed], { fill: 0.15, wider: 1 });
  }
}

export default explorer(SampleExplorer);
