/* TimeMachine: one scene at each snapshot of the training. Python sends all snapshots once, this shows one of them. */

import { boxAt, iou } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addChart, Plot } from "../js/kit/charts.js";
import { clipToImage, drawMap } from "../js/kit/paint.js";
import { LOOKS } from "../js/kit/palette.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {{ box: number[], label: number, score: number }} Detection */

const FOUND = 0.5; // IoU from which a box has found an object
const [TRUTH, PROPOSAL, RIGHT, WRONG] = [0, 1, 2, 3]; // the palette of TimeMachine
const ALPHA = 0.55;
const PLACE = { left: 34, right: 22, top: 26, bottom: 36 };
const SAMPLE = 18; // CSS pixels, the length of a line in the legend

class TimeMachine extends Explorer {
  /** @type {number[][]} */
  truths = [];
  /** @type {number[][]} For each snapshot how many objects are reached and rightly detected. */
  counts = [];

  /** @param {Context} context */
  constructor(context) {
    super(context);
    /** @type {number[]} */
    this.steps = this.get("steps");
    const proposals = cut(this.floats("proposals"), 4, this.get("proposal_counts"));
    const detections = cut(this.floats("detections"), 6, this.get("detection_counts"));
    this.film = this.steps.map((_, i) => ({ proposals: proposals[i], detections: detections[i].map(asDetection) }));
    this.objectness = this.floats("objectness");
    this.chart = addChart(this.side, "objects reached and detected, by step of training", 400, 200, (pen, size) =>
      this.drawChart(pen, size),
    );
    this.addControls();
    this.on(["snapshot", "show_objectness"], () => this.update());
    this.on(["num_proposals", "threshold"], () => this.count());
  }

  addControls() {
    const { canvas, steps } = this;
    const parent = this.addRow();
    const step = (/** @type {number} */ at) => `step ${steps[at]}`;
    const best = (/** @type {number} */ count) => `best ${count}`;
    const score = (/** @type {number} */ value) => value.toFixed(2);
    canvas.addSlider({ label: "Snapshot", max: steps.length - 1, trait: "snapshot", format: step, parent });
    canvas.addSlider({ label: "Proposals", max: 50, trait: "num_proposals", format: best, parent });
    canvas.addSlider({
      label: "Detections from score",
      min: 0.1,
      step: 0.01,
      trait: "threshold",
      format: score,
      parent,
    });
    canvas.addCheckbox({ label: "objectness", trait: "show_objectness", parent });
  }

  /** @param {number} index */
  proposalsAt(index) {
    return this.film[index].proposals.slice(0, this.get("num_proposals"));
  }

  /** @param {number} index */
  detectionsAt(index) {
    const threshold = Math.fround(this.get("threshold"));
    return this.film[index].detections.filter(({ score }) => score >= threshold);
  }

  /**
   * Which detections are right: best first, each takes the object of its class that it overlaps most, if none before it
   * has.
   * @param {Detection[]} detections
   */
  judge(detections) {
    const labels = this.get("truth_labels");
    const taken = new Set();
    return detections.map(({ box, label }) => {
      const overlaps = this.truths.map((truth, at) => (labels[at] === label ? iou(box, truth) : 0));
      const best = overlaps.indexOf(Math.max(...overlaps));
      const right = overlaps[best] >= FOUND && !taken.has(best);
      if (right) taken.add(best);
      return right;
    });
  }

  /** @type {Explorer["onBoxesChanged"]} */
  onBoxesChanged(_, { index }) {
    if (index !== null) return;
    const known = this.floats("boxes");
    this.truths = Array.from({ length: known.length / 4 }, (_, i) => boxAt(known, i));
    this.count();
  }

  count() {
    this.counts = this.steps.map((_, i) => {
      const proposals = this.proposalsAt(i);
      const reached = this.truths.filter((truth) => proposals.some((one) => iou(one, truth) >= FOUND));
      return [reached.length, this.judge(this.detectionsAt(i)).filter(Boolean).length];
    });
    this.update();
  }

  update() {
    const now = this.get("snapshot");
    const { truths, steps } = this;
    const [proposals, detections] = [this.proposalsAt(now), this.detectionsAt(now)];
    this.lay(proposals, detections);
    const [reached, found] = this.counts[now] ?? [0, 0];
    this.show(
      `after *${steps[now]}* steps`,
      `the best ${proposals.length} proposals reach *${reached}* of ${truths.length} objects`,
      `${detections.length} detections, *${found}* right`,
    );
    this.canvas.redraw("under");
    this.chart.paint();
  }

  /**
   * @param {number[][]} proposals
   * @param {Detection[]} detections
   */
  lay(proposals, detections) {
    const names = this.get("class_names");
    /** @type {number[]} */
    const labels = this.get("truth_labels");
    const right = this.judge(detections).map((one) => (one ? RIGHT : WRONG));
    this.canvas.setBoxes([...this.truths, ...proposals, ...detections.map(({ box }) => box)].flat(), {
      states: [...this.truths.map(() => TRUTH), ...proposals.map(() => PROPOSAL), ...right],
      captions: [
        ...labels.map((label) => names[label]),
        ...proposals.map((_, rank) => `proposal, rank ${rank + 1}`),
        ...detections.map(({ label, score }) => `${names[label]} ${score.toFixed(2)}`),
      ],
    });
  }

  /** @type {Explorer["drawUnder"]} */
  drawUnder(context, view) {
    if (!this.get("show_objectness")) return;
    const [rows, columns] = this.get("map_size");
    const stride = this.get("stride");
    const start = this.get("snapshot") * rows * columns;
    clipToImage(context, view);
    context.globalAlpha = ALPHA; // a cell is drawn round the point where its anchors stand
    const values = this.objectness.subarray(start, start + rows * columns);
    drawMap(context, values, { columns, stride, start: -stride / 2, share: (value) => value });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/kit/charts.js").Size} size
   */
  drawChart(context, size) {
    const { steps, counts } = this;
    const most = Math.max(this.truths.length, 1);
    const plot = new Plot(context, size, PLACE, [0, Math.max(steps.length - 1, 1)], [0, most]);
    plot.rule(Array.from({ length: most + 1 }, (_, value) => value));
    plot.mark(this.get("snapshot"));
    plot.labelColumns([...steps.keys()], steps.map(String), "step of training");
    plot.labelRows([0, most]);
    let at = PLACE.left;
    [LOOKS.reached, LOOKS.detected].forEach((look, k) => {
      plot.curve(
        counts.map((pair, i) => [i, pair[k]]),
        look,
      );
      context.fillStyle = look.color;
      context.fillRect(at, 9, SAMPLE, 3);
      for (const [i, pair] of counts.entries()) context.fillRect(plot.across(i) - 3, plot.up(pair[k]) - 3, 6, 6);
      Object.assign(context, { fillStyle: size.ink, textAlign: "left" });
      context.fillText(look.label ?? "", at + SAMPLE + 5, 14);
      at += SAMPLE + 15 + context.measureText(look.label ?? "").width;
    });
  }
}

/**
 * Rows of `width` numbers, a list of them for each count.
 * @param {Float32Array} all
 * @param {number} width
 * @param {number[]} counts
 */
function cut(all, width, counts) {
  let start = 0;
  return counts.map((count) =>
    Array.from({ length: count }, () => {
      start += width;
      return [...all.subarray(start - width, start)];
    }),
  );
}

/**
 * @param {number[]} row
 * @returns {Detection}
 */
const asDetection = (row) => ({ box: row.slice(0, 4), label: row[4], score: row[5] });

export default explorer(TimeMachine);
