/* js/detector held to Python: every function answers within 1e-4 what Python's own answers, on the cases that
   parity_cases.py has written to the file named in FRCNN_EDU_CASES. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  baseAnchors,
  cellCenter,
  gridAnchors,
  mapSize,
  placed,
} from "../../frcnn_edu/explorers/js/detector/anchors.js";
import * as boxes from "../../frcnn_edu/explorers/js/detector/boxes.js";
import {
  added,
  crossEntropy,
  rpnTerms,
  sigmoid,
  smoothL1,
  smoothL1Slope,
} from "../../frcnn_edu/explorers/js/detector/losses.js";
import { bestAnchors, match, sample } from "../../frcnn_edu/explorers/js/detector/matching.js";
import { RandomNumbers, randomOrder } from "../../frcnn_edu/explorers/js/detector/random.js";
import { halves, rowsOf, secondStage, softmax } from "../../frcnn_edu/explorers/js/detector/roi_heads.js";
import * as pooling from "../../frcnn_edu/explorers/js/detector/roi_pool.js";
import "./palette.js";

const { bestAnchor } = await import("../../frcnn_edu/explorers/lesson_01_anchors/settings.js");

const TOLERANCE = 1e-4;

/** @type {{ cases: Record<string, any[]> }} */
const { cases } = JSON.parse(readFileSync(/** @type {string} */ (process.env.FRCNN_EDU_CASES), "utf-8"));

/** @param {number[][]} rows */
const flat = (rows) => Float32Array.from(rows.flat());

/** @param {number[]} size */
const sized = ([height, width]) => ({ width, height });

/**
 * Lists of four of a flat list.
 * @param {Float32Array} values
 */
const rows = (values) => Array.from({ length: values.length / 4 }, (_, i) => boxes.boxAt(values, i));

/** @type {Record<string, (given: any) => any>} */
const FUNCTIONS = {
  "boxes.centerSize": (given) =>
    given.boxes.map((/** @type {number[]} */ box, /** @type {number} */ i) => {
      const place = boxes.centerSize(box);
      close(boxes.boxAround(place), box, "boxAround undoes centerSize");
      close(boxes.boxArea(box), given.areas[i], "boxArea");
      return place;
    }),
  "boxes.intersection": (given) =>
    given.boxes.map((/** @type {number[]} */ box, /** @type {number} */ i) => {
      const shared = boxes.intersection(box, given.others[i]);
      return shared ? boxes.boxArea(shared) : 0;
    }),
  "boxes.boxAreas": (given) => boxes.boxAreas(flat(given.boxes)),
  "boxes.boxIou": (given) =>
    given.boxes.map((/** @type {any} */ _, /** @type {number} */ i) => {
      const [all, others] = [flat(given.boxes), flat(given.others)];
      const [areas, otherAreas] = [boxes.boxAreas(all), boxes.boxAreas(others)];
      const ious = boxes.boxIou(all, i, others);
      ious.forEach((iou, k) => {
        close(boxes.pairIou(all, areas, i, others, otherAreas, k), iou, `pairIou of ${i} and ${k}`);
        close(boxes.iou(given.boxes[i], given.others[k]), iou, `iou of ${i} and ${k}`);
      });
      return ious;
    }),
  "boxes.clipBoxes": (given) => rows(boxes.clipBoxes(flat(given.boxes), sized(given.size))),
  "boxes.removeSmallBoxes": (given) => {
    return boxes.removeSmallBoxes(flat(given.boxes), Uint32Array.from(given.boxes.keys()), given.smallest);
  },
  "boxes.encodeBox": (given) =>
    given.boxes.map((/** @type {number[]} */ box, /** @type {number} */ i) => {
      return boxes.encodeBox(box, given.anchors[i], given.weights);
    }),
  "boxes.decodeBox": (given) =>
    given.deltas.map((/** @type {number[]} */ delta, /** @type {number} */ i) => {
      return boxes.decodeBox(delta, given.anchors[i], given.weights);
    }),
  "boxes.nms": (given) => {
    const order = boxes.bestFirst(Float32Array.from(given.scores));
    const { kept, by, moments } = boxes.nms(flat(given.boxes), order, given.threshold, given.limit ?? undefined);
    if (given.limit !== null) return { kept, by: null };
    assert.deepEqual(
      [...moments].sort((a, b) => a - b),
      [...given.boxes.keys()],
      "every box has one moment",
    );
    return { kept, by };
  },
  "anchors.baseAnchors": (given) => baseAnchors(given.sizes, given.ratios),
  "anchors.gridAnchors": (given) => rows(gridAnchors(given.base, given.size, given.grid)),
  "anchors.cellCenter": (given) => placed(given.anchor, cellCenter(given.cell, given.grid)),
  "anchors.mapSize": (given) => mapSize(sized(given.size), given.stride),
  "settings.bestAnchor": (given) =>
    given.boxes.map((/** @type {number[]} */ box) => {
      return bestAnchor(box, given.base, given.grid, sized(given.size)).iou;
    }),
  "matching.match": (given) => match(columns(given), given.count, given.rules),
  "matching.bestAnchors": (given) => [...bestAnchors(columns(given))].sort((a, b) => a - b),
  "matching.sample": ({ labels, batchSize, fraction, seed }) => {
    return sample(Int8Array.from(labels), batchSize, fraction, new RandomNumbers(seed));
  },
  "random.randomOrder": ({ seed, counts }) => {
    const numbers = new RandomNumbers(seed);
    return counts.map((/** @type {number} */ count) => randomOrder(count, numbers));
  },
  "losses.crossEntropy": ({ logit, label }) => [crossEntropy(logit, label), sigmoid(logit)],
  "losses.smoothL1": ({ error, beta }) => [smoothL1(error, beta), smoothL1Slope(error, beta)],
  "losses.rpnTerms": ({ answers, labels, targets, options }) => {
    const terms = answers.map((/** @type {number[]} */ [logit, ...deltas], /** @type {number} */ i) => {
      const found = rpnTerms({ logit, deltas }, { label: labels[i], deltas: targets[i] }, options);
      return [found.objectness, ...found.deltas];
    });
    /** @type {(of: (term: import("../../frcnn_edu/explorers/js/detector/losses.js").Term) => number) => number[][]} */
    const each = (of) => terms.map((/** @type {any[]} */ five) => five.map(of));
    return { added: each(added), gradient: each(({ slope, weight }) => slope * weight) };
  },
  "roi_pool.pool": (given) => {
    const { channel, down, across } = region(given);
    const found = pooling.winners(channel, down, across);
    return { values: pooling.valuesAt(channel.map, found), gradient: pooling.poolGradient(found, 0, given.map.length) };
  },
  "roi_heads.secondStage": ({ weights, sizes, pooled }) => {
    const found = secondStage(rowsOf(halves(Uint16Array.from(weights)), sizes), Float32Array.from(pooled));
    return { ...found, probabilities: softmax(found.logits) };
  },
  "roi_pool.align": (given) => {
    const { channel, x, y } = region(given);
    return { values: pooling.alignedValues(channel, y, x), gradient: pooling.alignGradient(y, x) };
  },
};

/** @param {any} given */
const columns = (given) => given.columns.map((/** @type {number[]} */ column) => Float32Array.from(column));

/** @param {any} given */
function region({ map, region: [x1, y1, x2, y2], axis, rows: tall, columns: wide }) {
  const [horizontal, vertical] = [
    { ...axis, cells: wide },
    { ...axis, cells: tall },
  ];
  return {
    channel: { map: Float32Array.from(map), start: 0, columns: wide },
    across: pooling.wholeCells(x1, x2, horizontal),
    down: pooling.wholeCells(y1, y2, vertical),
    x: pooling.alignAxis(x1, x2, horizontal).weights,
    y: pooling.alignAxis(y1, y2, vertical).weights,
  };
}

/**
 * @param {any} found
 * @param {any} expected
 * @param {string} where
 */
function close(found, expected, where) {
  if (typeof expected === "number") {
    const far = Math.abs(found - expected);
    assert.ok(far <= TOLERANCE * Math.max(1, Math.abs(expected)), `${where}: ${found}, Python has ${expected}`);
  } else if (expected === null) assert.equal(found, null, where);
  else if (Array.isArray(expected)) {
    assert.equal(found.length, expected.length, `${where}: ${found.length} of them, Python has ${expected.length}`);
    expected.forEach((one, k) => {
      close(found[k], one, `${where}[${k}]`);
    });
  } else for (const key of Object.keys(expected)) close(found[key], expected[key], `${where}.${key}`);
}

test("every function has cases, and every case a function", () => {
  assert.deepEqual(Object.keys(cases).sort(), Object.keys(FUNCTIONS).sort());
});

for (const [name, call] of Object.entries(FUNCTIONS)) {
  test(`${name} answers as Python does, ${cases[name].length} cases`, () => {
    assert.ok(cases[name].length > 5, "too few to mean anything");
    cases[name].forEach(({ expected, ...given }, i) => {
      close(call(given), expected, `case ${i}`);
    });
  });
}
