/* Parts of the playground that need no browser. */

import assert from "node:assert/strict";
import { test } from "node:test";
import "./palette.js";

const { readMetadata } = await import("../../frcnn_edu/site/playground/onnx_metadata.js");
const { FATES, Pass, sigmoid, softmax, WANTED, wantedOf } = await import("../../frcnn_edu/site/playground/pass.js");
const { Runner } = await import("../../frcnn_edu/site/playground/runner.js");
const { drawScene, Painter, withSurroundings } = await import("../../frcnn_edu/site/playground/scene.js");
const { drawsOf, extentOf, fitted, KINDS } = await import("../../frcnn_edu/site/playground/shapes.js");
const { lifeWords, shapeWords } = await import("../../frcnn_edu/site/playground/words.js");

// --------------------------------------------------------------------------------------------- metadata

/** @param {number} value */
function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}

/**
 * A field with a length, as protocol buffers write it.
 * @param {number} number
 * @param {string | number[]} content
 */
function field(number, content) {
  const bytes = typeof content === "string" ? [...new TextEncoder().encode(content)] : content;
  return [...varint(8 * number + 2), ...varint(bytes.length), ...bytes];
}

/** @param {Record<string, unknown>} noted */
function fileWith(noted) {
  const pairs = Object.entries(noted).map(([key, value]) =>
    field(14, [...field(1, key), ...field(2, JSON.stringify(value))]),
  );
  const others = [...varint(8), ...varint(10), ...field(2, "frcnn_edu"), ...field(7, Array(300).fill(255))];
  return Uint8Array.from([...others, ...pairs.flat()]);
}

const NOTED = {
  model: "tiny",
  class_names: ["__background__", "赤血球"],
  anchors_per_cell: [2],
  config: { max_size: 9 },
};

test("the metadata of a file are found between its other fields", () => {
  assert.deepEqual(readMetadata(fileWith(NOTED)), NOTED);
});

test("a file that the export did not write is refused, and so is what is no such file", () => {
  assert.throws(() => readMetadata(fileWith({ model: "yolo" })), /was not written by frcnn-edu export/);
  assert.throws(() => readMetadata(new TextEncoder().encode("GIF89a, a picture")), /not an \.onnx file|cut short/);
  assert.throws(() => readMetadata(fileWith(NOTED).subarray(0, 100)), /cut short/);
  assert.throws(() => readMetadata(new Uint8Array(0)), /was not written/);
});

// --------------------------------------------------------------------------------------------- a pass

const OF = { data: Float32Array, labels: Int32Array };

/**
 * @param {number[]} values
 * @param {number[]} [dims]
 * @param {"data" | "labels"} [kind]
 */
function output(values, dims = [values.length], kind = "data") {
  return { data: OF[kind].from(values), dims };
}

/** @param {number[]} values */
const whole = (values) => output(values, undefined, "labels");

const B = { first: [0, 0, 10, 10], second: [10, 0, 20, 20] };

/** Two levels, 2 x 1 cells of two anchors and 1 x 1 of two; three candidates, two proposals, one detection. */
function pass() {
  const anchors = [B.first, [0, 0, 10, 20], [16, 0, 26, 10], [16, 0, 26, 20], [0, 0, 40, 40], [0, 0, 20, 40]];
  const outputs = {
    boxes: output([0, 0, 20, 20], [1, 4]),
    labels: whole([1]),
    scores: output([0.9]),
    proposal_index: whole([0]),
    anchor_index: whole([3]),
    "batch.sizes": whole([32, 48]),
    "features.0": output(Array(6).fill(0), [1, 3, 1, 2]),
    "features.pool": output(Array(3).fill(0), [1, 3, 1, 1]),
    "rpn.anchors": output(anchors.flat(), [6, 4]),
    "rpn.logits": output([0, -9, 1, 5, 3, -1]),
    "rpn.proposals.anchor_index": whole([3, 2, 4, 0]),
    "rpn.proposals.clipped": output([B.second, B.second, [0, 0, 40, 32], [5, 5, 5, 9]].flat(), [4, 4]),
    "rpn.proposals.valid": whole([1, 1, 1, 0]),
    "rpn.proposals.kept": whole([0, 2]),
    "rpn.proposals.suppressed_by": whole([-1, 0, -1, -1]),
    "roi.pooled": output(
      Array.from({ length: 24 }, (_, k) => k),
      [2, 3, 2, 2],
    ),
    "roi.class_logits": output([0, 3, 5, 0], [2, 2]),
    "roi.candidates.proposal_index": whole([0]),
    "roi.candidates.labels": whole([1]),
    "roi.candidates.scores": output([0.9]),
    "roi.candidates.clipped": output([0, 0, 20, 20], [1, 4]),
    "roi.candidates.kept": whole([0]),
    "roi.candidates.suppressed_by": whole([-1]),
  };
  return new Pass(outputs, { ...NOTED, anchors_per_cell: [2, 2] }, { width: 24, height: 16 });
}

test("an anchor's level, cell and shape are found from its number", () => {
  const { levels } = pass();
  assert.deepEqual(
    levels.map((/** @type {any} */ { start, rows, columns, perCell }) => [start, rows, columns, perCell]),
    [
      [0, 1, 2, 2],
      [4, 1, 1, 2],
    ],
  );
  const { level, row, column, shape, rank } = pass().life(3);
  assert.deepEqual(
    [level, row, column, shape, rank],
    [levels[0], 0, 1, 1, 0].map((one, k) => (k ? one : level)),
  );
  assert.equal(pass().levelOf(4).name, "features.pool");
  assert.equal(pass().bestAt(levels[0], 0, 1), 3);
  assert.deepEqual(pass().cellAt(levels[0], 100, 3), { row: 0, column: 1 });
});

test("every anchor has the fate that it met", () => {
  const { fates, counts } = pass();
  const { leftOut, suppressed, background, detected } = FATES;
  assert.deepEqual([...fates], [suppressed, leftOut, suppressed, detected, background, leftOut]);
  assert.deepEqual(counts, [2, 2, 1, 0, 1]);
});

test("a life ends where the anchor ends, and says so", () => {
  /** @param {number} anchor */
  const last = (anchor) => lifeWords(pass(), pass().life(anchor)).at(-1);
  assert.match(last(1)?.text ?? "", /not among the best 4/);
  assert.match(last(2)?.text ?? "", /suppressed by rank 1, IoU 1.00/);
  assert.match(last(0)?.text ?? "", /too small/);
  assert.match(last(4)?.text ?? "", /background/);
  assert.match(last(3)?.text ?? "", /赤血球, score 0.90/);
  for (const anchor of [0, 1, 2, 3, 4, 5]) assert.ok(last(anchor)?.end);
});

test("a proposal's pooled channel and its probabilities are its own", () => {
  assert.deepEqual([...pass().pooled(1, 2)], [20, 21, 22, 23]);
  const [background, cell] = pass().probabilities(1);
  assert.ok(Math.abs(background - sigmoid(5)) < 1e-6 && Math.abs(background + cell - 1) < 1e-6);
  assert.deepEqual(softmax([1000, 1000]), [0.5, 0.5]);
  assert.equal(pass().leading, 3);
});

test("a region is pooled from the level that fits its size, and never from the pooled one", () => {
  const levels = [8, 16, 32].map((stride) => ({ name: `features.${stride}`, rows: 512 / stride }));
  const pyramid = Object.create(Pass.prototype);
  Object.assign(pyramid, {
    levels: [...levels, { name: "features.pool", rows: 8 }],
    size: { width: 640, height: 512 },
  });
  /** @param {number} side */
  const from = (side) => pyramid.pooledFrom([5, 5, 5 + side, 5 + side]).name;
  const found = [10, 111, 112, 223, 224, 447, 448, 2000].map(from);
  const expected = [8, 8, 8, 8, 16, 16, 32, 32].map((stride) => `features.${stride}`);
  assert.deepEqual(found, expected);
  assert.equal(pass().pooledFrom([0, 0, 20, 20]).name, "features.0");
});

test("the shape of an anchor is said as side and ratio", () => {
  assert.equal(shapeWords(Float32Array.from([0, 0, 20, 80]), 0), "40 px · 1:4");
  assert.equal(shapeWords(Float32Array.from([0, 0, 80, 20]), 0), "40 px · 4:1");
});

test("only what a pass reads is asked for", () => {
  assert.deepEqual(wantedOf(["batch.tensors", ...WANTED, "features.0"]), [...WANTED, "features.0"]);
  assert.throws(() => wantedOf(WANTED.slice(1)), /no output boxes/);
});

// --------------------------------------------------------------------------------------------- the runner

test("while the detector is busy only the newest image waits", () => {
  /** @type {any[]} */
  const sent = [];
  /** @type {number[]} */
  const answered = [];
  const runner = new Runner(
    (/** @type {any} */ _, /** @type {any} */ image) => answered.push(image.width),
    () => {},
  );
  const detector = { key: "a", metadata: { ...NOTED, anchors_per_cell: [2, 2] }, wanted: [] };
  Object.assign(runner, { worker: { postMessage: (/** @type {any} */ message) => sent.push(message) } });
  /** @param {number} width */
  const ask = (width) => runner.ask({ pixels: new Float32Array(3 * width), width, height: 1, since: 0 });
  ask(1);
  assert.equal(sent.length, 0, "there is no detector yet");
  runner.current = detector;
  for (const width of [2, 3, 4]) ask(width);
  assert.deepEqual(sent.splice(0)[0].dims, [3, 1, 2]);
  const { outputs } = pass();
  runner.hear({ kind: "ran", outputs, ms: 1 });
  assert.deepEqual(
    sent.splice(0).map(({ dims }) => dims),
    [[3, 1, 4]],
  );
  assert.deepEqual(answered, [2]);
  runner.current = { ...detector, key: "b" };
  runner.hear({ kind: "ran", outputs, ms: 1 });
  assert.deepEqual(answered, [2], "what another detector answers is not shown");
  assert.equal(runner.dropped, 2);
});

test("a run that fails is told, and the next image is taken", () => {
  /** @type {string[]} */
  const told = [];
  const runner = new Runner(
    () => {},
    (/** @type {string} */ reason) => told.push(reason),
  );
  const sent = [];
  Object.assign(runner, { worker: { postMessage: (/** @type {any} */ message) => sent.push(message) } });
  runner.current = { key: "a", metadata: NOTED, wanted: [] };
  const image = { pixels: new Float32Array(3), width: 1, height: 1, since: 0 };
  runner.ask(image);
  runner.hear({ kind: "failed", of: "run", key: "a", reason: "out of memory" });
  runner.ask(image);
  assert.deepEqual(told, ["out of memory"]);
  assert.equal(sent.length, 2);
});

// --------------------------------------------------------------------------------------------- scenes

const SIZE = { width: 64, height: 48 };

test("a seed draws the same scene again, in whole levels", () => {
  const [one, two] = [5, 5].map((seed) => new Painter().paint(drawScene(drawsOf(seed), SIZE, 0.5)));
  assert.deepEqual(one, two);
  assert.notDeepEqual(one, new Painter().paint(drawScene(drawsOf(6), SIZE, 0.5)));
  assert.equal(one.length, 3 * 64 * 48);
  for (const value of one)
    assert.ok(value >= 0 && value <= 1 && Math.abs(255 * value - Math.round(255 * value)) < 1e-4);
});

test("random numbers are spread evenly", () => {
  const draws = drawsOf(1);
  const shares = Array.from({ length: 4000 }, draws.random);
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  assert.ok(Math.abs(mean - 0.5) < 0.02);
  const bytes = draws.bytes(4000);
  assert.ok(Math.abs(bytes.reduce((sum, byte) => sum + byte, 0) / 4000 - 127.5) < 5);
  const counts = Array(7).fill(0);
  for (let k = 0; k < 7000; k++) counts[draws.integer(0, 7)]++;
  assert.ok(Math.min(...counts) > 850 && Math.max(...counts) < 1150);
});

test("other surroundings leave the shapes as they are, and the hills where they were", () => {
  const scene = drawScene(drawsOf(9), SIZE, 0.5);
  const calm = withSurroundings(scene, drawsOf(9), 0);
  assert.equal(calm.shapes, scene.shapes);
  assert.deepEqual(calm.ground.colour, scene.ground.colour);
  assert.ok(calm.noise < scene.noise + 1e-9);
  assert.equal(calm.behind.length + calm.front.length, 0);
});

test("a shape that is pulled into a box fills it", () => {
  const draws = drawsOf(2);
  for (const kind of KINDS) {
    const shape = {
      kind,
      x: 50,
      y: 40,
      a: 12,
      b: 8,
      slope: 0.1,
      detail: draws.random(),
      paint: /** @type {any} */ ({}),
    };
    if (["disc", "ring", "cross"].includes(kind)) Object.assign(shape, { b: 12 });
    if (["disc", "ring"].includes(kind)) shape.slope = 0;
    const [x1, y1, x2, y2] = extentOf(shape);
    const moved = extentOf(fitted(shape, [x1 + 5, y1 - 3, x2 + 5, y2 - 3]));
    [x1 + 5, y1 - 3, x2 + 5, y2 - 3].forEach((edge, k) => {
      assert.ok(Math.abs(moved[k] - edge) < 0.05, `${kind} moved: ${moved}`);
    });
    const wider = extentOf(fitted(shape, [x1, y1, x2 + 20, y2]));
    assert.ok(Math.abs(wider[0] - x1) < 0.3 && Math.abs(wider[2] - x2 - 20) < 0.3, `${kind} widened: ${wider}`);
    const grown = wider[3] - wider[1] > y2 - y1 + 1;
    assert.equal(grown, ["disc", "ring", "cross"].includes(kind), `${kind} keeps its proportions, or does not`);
  }
});
