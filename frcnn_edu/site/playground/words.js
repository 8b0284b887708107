/* What the page says of what it shows; whoever translates it finds all sentences that change here and in page.html. */

import { boxAt, iou } from "../../explorers/js/detector/boxes.js";
import {
  iouText,
  percent,
  plainName,
  shortNumber,
  sides,
  signed,
  TIMES,
  wholeNumber,
} from "../../explorers/js/kit/words.js";
import { FATES } from "./pass.js";

/** @typedef {import("./pass.js").Pass} Pass */
/** @typedef {import("./pass.js").Life} Life */

const FATE_NAMES = {
  [FATES.leftOut]: "not among the best",
  [FATES.suppressed]: "suppressed",
  [FATES.background]: "proposal, judged background",
  [FATES.duplicate]: "duplicate of a detection",
  [FATES.detected]: "became a detection",
};

const WORDS = {
  rank: "rank by objectness",
  cut: (/** @type {number} */ count) => `the best ${wholeNumber(count)} go on`,
  step: (/** @type {number} */ step) => `step ${wholeNumber(step)}`,
  fetching: (/** @type {string} */ what, /** @type {number} */ share) => `Fetching ${what}: ${percent(share)}`,
  runtime: "what runs the detector",
  snapshot: (/** @type {number} */ step) => `the weights after step ${wholeNumber(step)}`,
  failed: (/** @type {string} */ reason) => `The detector could not run: ${reason}`,
  noDetector: (/** @type {string} */ name, /** @type {string} */ reason) => `${name} was not loaded: ${reason}.`,
  noPicture: (/** @type {string} */ name) => `${name} is not a picture that this browser can show.`,
  noCamera: (/** @type {string} */ reason) => `The camera cannot be used: ${reason}.`,
  neither: (/** @type {string} */ name) => `${name} is neither a photograph nor a detector (.onnx).`,
  own: (/** @type {string} */ name, /** @type {number} */ classes) => `${name}, ${classes} classes`,
  shipped: "The course's detector",
  sceneTitle: "The scene. Shapes can be dragged and resized; detections are drawn on it",
  photoTitle: "The photograph, with detections drawn on it",
  times: (/** @type {number} */ network, /** @type {number} */ whole) =>
    `hand to picture ${Math.round(whole)} ms, network ${Math.round(network)}`,
};

/**
 * What a stage gives, in numbers.
 * @type {Record<string, (pass: Pass, found: number) => string>}
 */
const FIGURES = {
  features: ({ levels: [{ channels, rows, columns }] }) => product([channels, rows, columns]),
  objectness: ({ logits }) => `${wholeNumber(logits.length)} scores`,
  anchors: ({ levels: [{ rows, columns, perCell }] }) => product([rows, columns, perCell]),
  topK: ({ logits, chosen }) => becomes(logits.length, chosen.length),
  nms: ({ chosen, kept }) => becomes(chosen.length, kept.length),
  pooling: ({ outputs }) => product(outputs["roi.pooled"].dims),
  classes: ({ kept, classCount }) => product([kept.length, classCount]),
  detections: ({ candidates }, found) => becomes(candidates.length, found),
};

/** @param {import("./pass.js").Level} level */
const levelName = ({ rows, columns }) => `${rows} ${TIMES} ${columns}`;

/** @param {readonly number[]} sizes */
const product = (sizes) => sizes.map(wholeNumber).join(` ${TIMES} `);

/**
 * @param {number} before
 * @param {number} after
 */
const becomes = (before, after) => `${wholeNumber(before)} → ${wholeNumber(after)}`;

/**
 * The side and the ratio of an anchor: 40 px, 1:2.
 * @param {Float32Array} anchors
 * @param {number} anchor
 */
function shapeWords(anchors, anchor) {
  const [x1, y1, x2, y2] = boxAt(anchors, anchor);
  const [width, height] = [x2 - x1, y2 - y1];
  const ratio = height / width;
  const words = ratio >= 1 ? `1:${shortNumber(ratio)}` : `${shortNumber(1 / ratio)}:1`;
  return `${Math.round(Math.sqrt(width * height))} px · ${words}`;
}

/**
 * The life of an anchor, a line for each stage that it reached: a title, a sentence, and whether it ended there.
 * @param {Pass} pass
 * @param {Life} life
 * @returns {{ stage: string, text: string, end?: boolean }[]}
 */
function lifeWords(pass, life) {
  const lines = [
    {
      stage: "Anchor",
      text: `${shapeWords(pass.anchors, life.anchor)}, at row ${life.row}, column ${life.column} of ${life.level.rows} ${TIMES} ${life.level.columns}`,
    },
    {
      stage: "Objectness",
      text: `${life.score.toFixed(3)}, rank ${wholeNumber(life.rank + 1)} of ${wholeNumber(pass.order.length)}`,
    },
  ];
  const { candidate, proposal } = life;
  if (!candidate)
    return [...lines, { stage: "Top-k", text: `not among the best ${wholeNumber(pass.chosen.length)}`, end: true }];
  lines.push({ stage: "Moved", text: movedWords(life.box, candidate.box) });
  if (!proposal) return [...lines, { stage: "NMS", text: nmsWords(pass, candidate), end: true }];
  const gone = pass.suppressedBy.filter((by) => by === candidate.index).length;
  lines.push({ stage: "NMS", text: `kept as proposal ${proposal.index + 1}; suppresses ${gone || "nobody"}` });
  const best = proposal.probabilities.indexOf(Math.max(...proposal.probabilities));
  lines.push({ stage: "Class", text: `${nameOf(pass, best)} ${proposal.probabilities[best].toFixed(2)}` });
  return [...lines, ...endWords(pass, life)];
}

/**
 * @param {Pass} pass
 * @param {number} label
 */
const nameOf = (pass, label) => plainName(pass.metadata.class_names[label]);

/**
 * @param {number[]} anchor
 * @param {number[]} box
 */
function movedWords(anchor, box) {
  const [dx, dy] = [0, 1].map((k) => (box[k] + box[k + 2] - anchor[k] - anchor[k + 2]) / 2);
  return `by ${signed(dx, 1)}, ${signed(dy, 1)} px, to ${sides(box)}`;
}

/**
 * @param {Pass} pass
 * @param {NonNullable<Life["candidate"]>} candidate
 */
function nmsWords(pass, { index, by, valid, box }) {
  if (!valid) return "too small to be kept";
  if (by < 0) return `not suppressed, but beyond the best ${wholeNumber(pass.kept.length)}`;
  const rank = pass.rankOf[pass.chosen[by]] + 1;
  const overlap = iou(box, boxAt(pass.candidateBoxes, by));
  return index === by ? "kept" : `suppressed by rank ${wholeNumber(rank)}, ${iouText(overlap)}`;
}

/**
 * @param {Pass} pass
 * @param {Life} life
 */
function endWords(pass, { proposal, detections }) {
  if (detections.length) {
    return detections.map(({ label, score }) => ({
      stage: "Detection",
      text: `${nameOf(pass, label)}, score ${score.toFixed(2)}`,
      end: true,
    }));
  }
  const [candidate] = proposal?.candidates ?? [];
  if (!candidate) return [{ stage: "Detection", text: "none: the second stage says background", end: true }];
  const winner = candidate.by < 0 ? null : pass.candidates[candidate.by];
  const whose = winner ? `, a better ${nameOf(pass, winner.label)} with ${winner.score.toFixed(2)}` : "";
  return [{ stage: "Detection", text: `none: suppressed as a duplicate${whose}`, end: true }];
}

export { FATE_NAMES, FIGURES, levelName, lifeWords, nameOf, shapeWords, WORDS };
