/* frcnn_edu/boxes.py for the browser. A box is [x1, y1, x2, y2] in pixels; many boxes are a Float32Array, four numbers
   each. What is compared with a threshold is rounded to float32 where Python rounds it, so that both decide alike. */

/** @typedef {number[] | Float32Array} Box */

/** The largest dw or dh that decodeBox takes as it is: a 16 px anchor may grow to 1000 px. */
const LOG_SCALE_LIMIT = Math.log(1000 / 16);
const UNIT_WEIGHTS = [1, 1, 1, 1];
const TINY = 2 ** -126; // the smallest normal float32
const round = Math.fround;

/**
 * Box number `index`, as a list of its own.
 * @param {Float32Array} boxes
 * @param {number} index
 */
function boxAt(boxes, index) {
  return [...boxes.subarray(4 * index, 4 * index + 4)];
}

/**
 * Centre, width and height.
 * @param {Box} box
 */
function centerSize([x1, y1, x2, y2]) {
  return [x1 + 0.5 * (x2 - x1), y1 + 0.5 * (y2 - y1), x2 - x1, y2 - y1];
}

/**
 * The box of this centre, width and height.
 * @param {number[]} place
 */
function boxAround([x, y, width, height]) {
  return [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
}

/** @param {Box} box */
function boxArea([x1, y1, x2, y2]) {
  return (x2 - x1) * (y2 - y1);
}

/**
 * Area of every box.
 * @param {Float32Array} boxes
 */
function boxAreas(boxes) {
  const areas = new Float32Array(boxes.length / 4);
  for (let i = 0, j = 0; i < areas.length; i++, j += 4) {
    areas[i] = round(boxes[j + 2] - boxes[j]) * round(boxes[j + 3] - boxes[j + 1]);
  }
  return areas;
}

/**
 * What two boxes share; null if they do not overlap.
 * @param {Box} a
 * @param {Box} b
 */
function intersection(a, b) {
  const box = [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])];
  return box[0] < box[2] && box[1] < box[3] ? box : null;
}

/**
 * Intersection over union of two boxes; 0 for two without area.
 * @param {Box} a
 * @param {Box} b
 */
function iou(a, b) {
  const shared = intersection(a, b);
  if (!shared) return 0;
  const overlap = boxArea(shared);
  return overlap / (boxArea(a) + boxArea(b) - overlap);
}

/**
 * IoU of one box of `boxes` with one of `others`, in float32; the areas are those of `boxAreas`.
 * @param {Float32Array} boxes
 * @param {Float32Array} areas
 * @param {number} index
 * @param {Float32Array} others
 * @param {Float32Array} otherAreas
 * @param {number} other
 */
function pairIou(boxes, areas, index, others, otherAreas, other) {
  const [i, j] = [4 * index, 4 * other];
  const width = round(Math.min(boxes[i + 2], others[j + 2]) - Math.max(boxes[i], others[j]));
  if (width <= 0) return 0;
  const height = round(Math.min(boxes[i + 3], others[j + 3]) - Math.max(boxes[i + 1], others[j + 1]));
  if (height <= 0) return 0;
  const shared = round(width * height);
  return round(shared / Math.max(round(round(areas[index] + otherAreas[other]) - shared), TINY));
}

/**
 * IoU of box `index` of `boxes` with every one of `others`, in float32.
 * @param {Float32Array} boxes
 * @param {number} index
 * @param {Float32Array} others
 */
function boxIou(boxes, index, others) {
  const own = boxes.subarray(4 * index, 4 * index + 4);
  const [areas, otherAreas] = [boxAreas(own), boxAreas(others)];
  const ious = new Float32Array(otherAreas.length);
  for (let k = 0; k < ious.length; k++) ious[k] = pairIou(own, areas, 0, others, otherAreas, k);
  return ious;
}

/**
 * Boxes with every corner moved inside the image.
 * @param {Float32Array} boxes
 * @param {{ width: number, height: number }} size
 */
function clipBoxes(boxes, { width, height }) {
  return boxes.map((value, k) => Math.min(Math.max(value, 0), k % 2 ? height : width));
}

/**
 * Those of `indices` whose boxes have both sides of at least `minSize`.
 * @param {Float32Array} boxes
 * @param {Uint32Array} indices
 * @param {number} minSize
 */
function removeSmallBoxes(boxes, indices, minSize) {
  return indices.filter((index) => {
    const j = 4 * index;
    return round(boxes[j + 2] - boxes[j]) >= minSize && round(boxes[j + 3] - boxes[j + 1]) >= minSize;
  });
}

/**
 * The deltas dx, dy, dw, dh that turn an anchor into a box.
 * @param {Box} box
 * @param {Box} anchor
 * @param {number[]} [weights]
 */
function encodeBox(box, anchor, weights = UNIT_WEIGHTS) {
  const [gx, gy, gw, gh] = centerSize(box);
  const [ax, ay, aw, ah] = centerSize(anchor);
  const deltas = [(gx - ax) / aw, (gy - ay) / ah, Math.log(gw / aw), Math.log(gh / ah)];
  return deltas.map((delta, k) => weights[k] * delta);
}

/**
 * The box that deltas make of their anchor.
 * @param {Box} deltas
 * @param {Box} anchor
 * @param {number[]} [weights]
 */
function decodeBox(deltas, anchor, weights = UNIT_WEIGHTS) {
  const [x, y, width, height] = centerSize(anchor);
  const [dx, dy, dw, dh] = [...deltas].map((delta, k) => delta / weights[k]);
  const [growWidth, growHeight] = [dw, dh].map((log) => Math.exp(Math.min(log, LOG_SCALE_LIMIT)));
  return boxAround([x + dx * width, y + dy * height, width * growWidth, height * growHeight]);
}

/**
 * Indices by falling score; of equal scores the earlier first.
 * @param {Float32Array} scores
 */
function bestFirst(scores) {
  return Uint32Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
}

/**
 * Non-maximum suppression of the boxes in `order`, best first, which ends at the best `limit`.
 *
 * Besides the indices that are `kept`, it says who suppressed each box (`by`: the box itself if it is kept, -1 if the
 * search ended before it), and in which order that happened (`moments`: each kept box, then those that it suppresses).
 * @param {Float32Array} boxes
 * @param {Uint32Array} order
 * @param {number} threshold
 * @param {number} [limit]
 */
function nms(boxes, order, threshold, limit = Number.POSITIVE_INFINITY) {
  const areas = boxAreas(boxes);
  const by = new Int32Array(areas.length).fill(-1);
  /** @type {number[]} */
  const kept = [];
  /** @type {number[]} */
  const moments = [];
  /** @type {ArrayLike<number>} */
  let waiting = order;
  while (waiting.length && kept.length < limit) {
    const best = waiting[0];
    const rest = [];
    by[best] = best;
    kept.push(best);
    moments.push(best);
    for (let k = 1; k < waiting.length; k++) {
      const other = waiting[k];
      if (pairIou(boxes, areas, best, boxes, areas, other) > threshold) {
        by[other] = best;
        moments.push(other);
      } else rest.push(other);
    }
    waiting = rest;
  }
  return { by, kept, moments };
}

export {
  bestFirst,
  boxArea,
  boxAreas,
  boxAround,
  boxAt,
  boxIou,
  centerSize,
  clipBoxes,
  decodeBox,
  encodeBox,
  intersection,
  iou,
  nms,
  pairIou,
  removeSmallBoxes,
};
