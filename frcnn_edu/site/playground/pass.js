/* One pass through the detector, as the exported graph gives it: stages, and the life of every anchor through them.

   Names are those of `Trace` in frcnn_edu/faster_rcnn.py. Boxes are in pixels of the resized image, which the network
   sees, except those of `detections`. */

import { bestFirst, boxAt } from "../../explorers/js/detector/boxes.js";

/** @typedef {Float32Array | Int32Array | Uint8Array} Numbers */
/** @typedef {{ data: Numbers, dims: readonly number[] }} Output */
/** @typedef {Record<string, Output>} Outputs */
/** @typedef {import("./onnx_metadata.js").Metadata} Metadata */
/** @typedef {{ width: number, height: number }} Size */

/**
 * A level of the feature pyramid; `start` is its first anchor.
 * @typedef {{ name: string, map: Float32Array, channels: number, rows: number, columns: number, perCell: number, start: number }} Level
 */

/**
 * What a detection is; its proposal and its anchor are those that it came from.
 * @typedef {{ box: number[], label: number, score: number, proposal: number, anchor: number }} Detection
 */

/**
 * A candidate of the second stage: a proposal with a class; `by` is the one that suppressed it, `detection` what it became, -1 each.
 * @typedef {{ proposal: number, label: number, score: number, box: number[], by: number, detection: number }} Candidate
 */

/**
 * Everything that there is to know of an anchor; what it did not reach is null.
 * @typedef {object} Life
 * @property {number} anchor
 * @property {number[]} box
 * @property {Level} level
 * @property {number} row
 * @property {number} column
 * @property {number} shape  Which of the cell's anchors it is
 * @property {number} score  Its objectness
 * @property {number} rank  Among all anchors, from 0
 * @property {number} fate
 * @property {{ index: number, box: number[], by: number, kept: boolean, valid: boolean } | null} candidate
 * @property {{ index: number, probabilities: number[], candidates: Candidate[] } | null} proposal
 * @property {Detection[]} detections
 */

const CANONICAL_SIZE = 224;
const CANONICAL_LEVEL = 4;
const LEVEL_TOLERANCE = 1e-6;

/** What becomes of an anchor, from the least to the most. */
const FATES = { leftOut: 0, suppressed: 1, background: 2, duplicate: 3, detected: 4 };

/** The outputs that a pass needs, beside its feature maps. */
const WANTED = [
  "boxes",
  "labels",
  "scores",
  "proposal_index",
  "anchor_index",
  "batch.sizes",
  "rpn.anchors",
  "rpn.logits",
  "rpn.proposals.anchor_index",
  "rpn.proposals.clipped",
  "rpn.proposals.valid",
  "rpn.proposals.kept",
  "rpn.proposals.suppressed_by",
  "roi.pooled",
  "roi.class_logits",
  "roi.candidates.proposal_index",
  "roi.candidates.labels",
  "roi.candidates.scores",
  "roi.candidates.clipped",
  "roi.candidates.kept",
  "roi.candidates.suppressed_by",
];

/**
 * Those of a detector's outputs that a pass needs; raises an error, whose message can be shown, where one is missing.
 * @param {readonly string[]} outputs
 */
function wantedOf(outputs) {
  const missing = WANTED.filter((name) => !outputs.includes(name));
  if (missing.length) throw new Error(`another version has written this file: it has no output ${missing[0]}`);
  return outputs.filter((name) => WANTED.includes(name) || name.startsWith("features."));
}

/** @param {number} logit */
const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));

/** @param {number[]} logits */
function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/**
 * Where each of `count` things stands in a list, -1 where it does not.
 * @param {ArrayLike<number>} list
 * @param {number} count
 */
function placesIn(list, count) {
  const places = new Int32Array(count).fill(-1);
  for (let at = 0; at < list.length; at++) places[list[at]] = at;
  return places;
}

class Pass {
  /** @type {Life | null} The life that was asked for last: every picture asks for the same. */
  lastLife = null;

  /**
   * @param {Outputs} outputs
   * @param {Metadata} metadata
   * @param {Size} picture  The image as it was given
   */
  constructor(outputs, metadata, picture) {
    this.outputs = outputs;
    this.metadata = metadata;
    this.picture = picture;
    const [height, width] = this.data("batch.sizes");
    /** @type {Size} What the network sees. */
    this.size = { width, height };
    this.anchors = /** @type {Float32Array} */ (this.data("rpn.anchors"));
    this.logits = /** @type {Float32Array} */ (this.data("rpn.logits"));
    this.levels = this.readLevels();
    this.order = bestFirst(this.logits);
    this.rankOf = placesIn(this.order, this.logits.length);
    this.chosen = /** @type {Int32Array} */ (this.data("rpn.proposals.anchor_index"));
    this.candidateOf = placesIn(this.chosen, this.logits.length);
    this.candidateBoxes = /** @type {Float32Array} */ (this.data("rpn.proposals.clipped"));
    this.kept = /** @type {Int32Array} */ (this.data("rpn.proposals.kept"));
    this.proposalOf = placesIn(this.kept, this.chosen.length);
    this.suppressedBy = /** @type {Int32Array} */ (this.data("rpn.proposals.suppressed_by"));
    this.candidates = this.readCandidates();
    this.detections = this.readDetections();
    this.fates = this.readFates();
  }

  /** @param {string} name */
  data(name) {
    return this.outputs[name].data;
  }

  get classCount() {
    return this.metadata.class_names.length;
  }

  /** @returns {Level[]} */
  readLevels() {
    const names = Object.keys(this.outputs).filter((name) => name.startsWith("features."));
    let start = 0;
    return names.map((name, at) => {
      const { data, dims } = this.outputs[name];
      const [, channels, rows, columns] = dims;
      const perCell = this.metadata.anchors_per_cell[at];
      const level = { name, map: /** @type {Float32Array} */ (data), channels, rows, columns, perCell, start };
      start += rows * columns * perCell;
      return level;
    });
  }

  /** @returns {Candidate[]} */
  readCandidates() {
    const part = (/** @type {string} */ name) => this.data(`roi.candidates.${name}`);
    const [proposals, labels, scores, by] = ["proposal_index", "labels", "scores", "suppressed_by"].map(part);
    const detectionOf = placesIn(part("kept"), labels.length);
    const boxes = /** @type {Float32Array} */ (part("clipped"));
    return Array.from(labels, (label, i) => ({
      proposal: proposals[i],
      label,
      score: scores[i],
      box: boxAt(boxes, i),
      by: by[i],
      detection: detectionOf[i],
    }));
  }

  /** @returns {Detection[]} */
  readDetections() {
    const [labels, scores] = [this.data("labels"), this.data("scores")];
    const [proposals, anchors] = [this.data("proposal_index"), this.data("anchor_index")];
    const boxes = /** @type {Float32Array} */ (this.data("boxes"));
    return Array.from(labels, (label, i) => ({
      box: boxAt(boxes, i),
      label,
      score: scores[i],
      proposal: proposals[i],
      anchor: anchors[i],
    }));
  }

  readFates() {
    const fates = new Uint8Array(this.logits.length).fill(FATES.leftOut);
    for (const anchor of this.chosen) fates[anchor] = FATES.suppressed;
    for (const candidate of this.kept) fates[this.chosen[candidate]] = FATES.background;
    for (const { proposal } of this.candidates) fates[this.anchorOf(proposal)] = FATES.duplicate;
    for (const { anchor } of this.detections) fates[anchor] = FATES.detected;
    return fates;
  }

  /** How many anchors have each fate. */
  get counts() {
    const counts = Object.values(FATES).map(() => 0);
    for (const fate of this.fates) counts[fate]++;
    return counts;
  }

  /**
   * The anchor that a proposal came from.
   * @param {number} proposal
   */
  anchorOf(proposal) {
    return this.chosen[this.kept[proposal]];
  }

  /**
   * The logits of a proposal's classes as probabilities; the first is the background.
   * @param {number} proposal
   */
  probabilities(proposal) {
    const all = /** @type {Float32Array} */ (this.data("roi.class_logits"));
    return softmax([...all.subarray(proposal * this.classCount, (proposal + 1) * this.classCount)]);
  }

  /**
   * The level that a region is pooled from, as `pyramid_level` in frcnn_edu/roi_pool.py chooses it.
   * @param {ArrayLike<number>} box
   */
  pooledFrom(box) {
    const maps = this.levels.filter(({ name }) => name !== "features.pool");
    const strides = maps.map(({ rows }) => Math.round(Math.log2(this.size.height / rows)));
    const side = Math.sqrt((box[2] - box[0]) * (box[3] - box[1]));
    const wanted = Math.floor(CANONICAL_LEVEL + Math.log2(side / CANONICAL_SIZE) + LEVEL_TOLERANCE);
    return maps[Math.min(Math.max(wanted - strides[0], 0), maps.length - 1)];
  }

  /**
   * What RoI pooling made of a proposal: one channel, row by row.
   * @param {number} proposal
   * @param {number} channel
   */
  pooled(proposal, channel) {
    const { data, dims } = this.outputs["roi.pooled"];
    const bins = dims[2] * dims[3];
    const start = (proposal * dims[1] + channel) * bins;
    return /** @type {Float32Array} */ (data).subarray(start, start + bins);
  }

  /** Bins each way. */
  get bins() {
    return this.outputs["roi.pooled"].dims[2];
  }

  /** @param {number} anchor */
  score(anchor) {
    return sigmoid(this.logits[anchor]);
  }

  /** @param {number} anchor */
  levelOf(anchor) {
    return /** @type {Level} */ (this.levels.findLast(({ start }) => start <= anchor));
  }

  /**
   * The anchor of highest objectness at a cell.
   * @param {Level} level
   * @param {number} row
   * @param {number} column
   */
  bestAt({ start, columns, perCell }, row, column) {
    const first = start + (row * columns + column) * perCell;
    return Array.from({ length: perCell }, (_, shape) => first + shape).reduce((best, one) =>
      this.logits[one] > this.logits[best] ? one : best,
    );
  }

  /**
   * A level's cell whose anchors stand nearest to a place.
   * @param {Level} level
   * @param {number} x
   * @param {number} y
   */
  cellAt(level, x, y) {
    const [origin, step] = this.gridOf(level);
    const row = Math.min(Math.max(Math.round((y - origin[1]) / step[1]), 0), level.rows - 1);
    const column = Math.min(Math.max(Math.round((x - origin[0]) / step[0]), 0), level.columns - 1);
    return { row, column };
  }

  /**
   * Where the anchors of a level's first cell stand, and how far the next ones are.
   * @param {Level} level
   */
  gridOf({ start, perCell, rows, columns }) {
    const [x, y] = this.centerOf(start);
    const across = columns > 1 ? this.centerOf(start + perCell)[0] - x : this.size.width;
    const down = rows > 1 ? this.centerOf(start + perCell * columns)[1] - y : this.size.height;
    return [
      [x, y],
      [across, down],
    ];
  }

  /** @param {number} anchor */
  centerOf(anchor) {
    const [x1, y1, x2, y2] = boxAt(this.anchors, anchor);
    return [(x1 + x2) / 2, (y1 + y2) / 2];
  }

  /** The anchor that is looked at where the reader looks at none. */
  get leading() {
    return this.detections[0]?.anchor ?? this.order[0];
  }

  /**
   * @param {number} anchor
   * @returns {Life}
   */
  life(anchor) {
    if (this.lastLife?.anchor !== anchor) this.lastLife = this.readLife(anchor);
    return this.lastLife;
  }

  /**
   * @param {number} anchor
   * @returns {Life}
   */
  readLife(anchor) {
    const level = this.levelOf(anchor);
    const within = anchor - level.start;
    const cell = Math.floor(within / level.perCell);
    const index = this.candidateOf[anchor];
    const proposal = index < 0 ? -1 : this.proposalOf[index];
    return {
      anchor,
      box: boxAt(this.anchors, anchor),
      level,
      row: Math.floor(cell / level.columns),
      column: cell % level.columns,
      shape: within % level.perCell,
      score: this.score(anchor),
      rank: this.rankOf[anchor],
      fate: this.fates[anchor],
      candidate:
        index < 0
          ? null
          : {
              index,
              box: boxAt(this.candidateBoxes, index),
              by: this.suppressedBy[index],
              kept: proposal >= 0,
              valid: this.data("rpn.proposals.valid")[index] === 1,
            },
      proposal:
        proposal < 0
          ? null
          : {
              index: proposal,
              probabilities: this.probabilities(proposal),
              candidates: this.candidates.filter((one) => one.proposal === proposal),
            },
      detections: this.detections.filter((one) => one.anchor === anchor),
    };
  }
}

export { FATES, Pass, sigmoid, softmax, WANTED, wantedOf };
