/* Parts of the canvas and the kit that need no browser. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { palette } from "./palette.js";

const { BoxSet } = await import("../../frcnn_edu/explorers/js/canvas/box_set.js");
const { HANDLES, handleAt, handlesOf, pulled } = await import("../../frcnn_edu/explorers/js/canvas/handles.js");
const { dashesInPixels, inkBoxes } = await import("../../frcnn_edu/explorers/js/canvas/ink.js");
const { View } = await import("../../frcnn_edu/explorers/js/canvas/view.js");
const { nearest } = await import("../../frcnn_edu/explorers/js/kit/controls.js");
const { Plot } = await import("../../frcnn_edu/explorers/js/kit/charts.js");
const { drawDots, drawMap, drawTag } = await import("../../frcnn_edu/explorers/js/kit/paint.js");
const { ramp, rgb } = await import("../../frcnn_edu/explorers/js/kit/palette.js");
const numberLine = await import("../../frcnn_edu/explorers/question/number_line.js");
const words = await import("../../frcnn_edu/explorers/js/kit/words.js");

const BOX = [20, 30, 60, 90];
const IMAGE = { width: 100, height: 120 };

/** @param {number[][]} boxes */
function setOf(boxes, known = {}) {
  const set = new BoxSet();
  set.replace(boxes.flat(), known);
  set.filter({ minScore: null, minSize: 0, hidden: [] });
  return set;
}

test("the ramp has the palette's colours at its stops, and stays at its ends beyond them", () => {
  palette.ramp.forEach((/** @type {string} */ color, /** @type {number} */ i) => {
    assert.deepEqual(ramp(i / (palette.ramp.length - 1)), rgb(color));
  });
  assert.deepEqual(ramp(-1), ramp(0));
  assert.deepEqual(ramp(7), ramp(1));
});

test("a box is moved whole, and stays in the image", () => {
  const whole = { sx: 0, sy: 0 };
  assert.deepEqual(pulled(BOX, whole, [5, -7], IMAGE), [25, 23, 65, 83]);
  assert.deepEqual(pulled(BOX, whole, [500, -500], IMAGE), [60, 0, 100, 60]);
  assert.deepEqual(pulled(BOX, whole, [500, -500], null), [520, -470, 560, -410]);
});

test("a handle moves its own sides alone, and leaves a pixel", () => {
  for (const [sx, sy] of HANDLES) {
    const [x1, y1, x2, y2] = pulled(BOX, { sx, sy }, [3, 4], IMAGE);
    assert.deepEqual(
      [x1, y1, x2, y2],
      [20 + (sx < 0 ? 3 : 0), 30 + (sy < 0 ? 4 : 0), 60 + (sx > 0 ? 3 : 0), 90 + (sy > 0 ? 4 : 0)],
    );
  }
  assert.deepEqual(pulled(BOX, { sx: 1, sy: 0 }, [-400, 0], IMAGE), [20, 30, 21, 90]);
  assert.deepEqual(pulled(BOX, { sx: -1, sy: 0 }, [400, 0], IMAGE), [59, 30, 60, 90]);
});

test("a box that was outside already may be pulled, but not further out", () => {
  assert.deepEqual(pulled([-10, 0, 10, 20], { sx: 0, sy: 0 }, [-5, 0], IMAGE), [-10, 0, 10, 20]);
});

test("handles in the middle of a side are left out where they would hide the corners", () => {
  assert.equal(handlesOf(BOX, 1).length, 8);
  assert.equal(handlesOf([0, 0, 20, 100], 1).length, 6);
  assert.equal(handlesOf([0, 0, 20, 20], 1).length, 4);
});

test("the nearest handle is taken, of the selected box before another's", () => {
  const set = setOf([BOX, [60, 30, 90, 90]], { editable: [1, 1] });
  const view = Object.assign(new View(), { scale: 1, px: 1 });
  assert.deepEqual(handleAt(set, null, view, 21, 29), { index: 0, sx: -1, sy: -1 });
  assert.deepEqual(handleAt(set, 1, view, 60, 30), { index: 1, sx: -1, sy: -1 });
  assert.equal(handleAt(set, null, view, 40, 60), null);
  assert.equal(handleAt(setOf([BOX]), null, view, 20, 30), null, "a box that is not editable has no handles");
});

test("of boxes that nearly coincide the preferred one is found, else the last", () => {
  const set = new BoxSet();
  set.replace([0, 0, 100, 100, 0, 0, 100, 100, 2, 2, 98, 99, 40, 40, 60, 60], {});
  set.filter({ minScore: null, minSize: 0, hidden: [] });
  assert.equal(set.smallestAt(20, 20, 0, { preferred: 0 }), 0);
  assert.equal(set.smallestAt(20, 20, 0), 2, "the smallest");
  assert.equal(set.smallestAt(1, 1, 0), 1, "the last of two that are equal");
  assert.equal(set.smallestAt(50, 50, 0, { preferred: 0 }), 3, "the inner one");
  assert.equal(set.smallestAt(150, 150, 0, { preferred: 0 }), null);
});

test("of nested boxes the smallest is found, and no hidden one", () => {
  const set = setOf(
    [
      [0, 0, 100, 100],
      [10, 10, 50, 50],
      [20, 20, 30, 30],
    ],
    { states: [0, 1, 2], editable: [1, 0, 0] },
  );
  assert.equal(set.smallestAt(25, 25, 0), 2);
  assert.equal(set.smallestAt(25, 25, 0, { onlyEditable: true }), 0);
  set.filter({ minScore: null, minSize: 0, hidden: [2] });
  assert.equal(set.smallestAt(25, 25, 0), 1);
  assert.equal(set.smallestAt(200, 200, 0), null);
  assert.equal(set.smallestAt(102, 50, 3), 0, "within the slack");
});

test("filters hide low scores, short sides and states, but no box without a score", () => {
  const set = setOf(
    [
      [0, 0, 9, 9],
      [0, 0, 9, 2],
      [0, 0, 9, 9],
      [0, 0, 9, 9],
    ],
    {
      scores: [0.1, 0.9, Number.NaN, 0.3],
      states: [0, 0, 0, 1],
    },
  );
  set.filter({ minScore: 0.3, minSize: 0, hidden: [] });
  assert.deepEqual([...set.shown], [0, 1, 1, 1]);
  set.filter({ minScore: 0.3, minSize: 5, hidden: [1] });
  assert.deepEqual([...set.shown], [0, 0, 1, 0]);
});

test("dashes repeat after all of their parts, in whole device pixels", () => {
  assert.deepEqual(dashesInPixels([7, 5], 1), { on: [[0, 7]], period: 12 });
  assert.deepEqual(dashesInPixels([9, 3, 2, 3], 2), {
    on: [
      [0, 18],
      [24, 4],
    ],
    period: 34,
  });
  assert.deepEqual(dashesInPixels([0.2, 0.2], 1), { on: [[0, 1]], period: 2 });
});

test("inked outlines cover the border of a box, its dashes and nothing else", () => {
  const view = Object.assign(new View(), { scale: 1, px: 1, dpr: 1, margin: 0 });
  /** @param {number[]} dash */
  const inked = (dash) => {
    const image = /** @type {ImageData} */ ({ data: new Uint8ClampedArray(4 * 60 * 60), width: 60, height: 60 });
    const members = new Array(500).fill(0); // a crowd, which has no dark edge
    inkBoxes(image, Float32Array.from([10, 10, 40, 30]), members, { color: "#FF0000", dash, width: 1 }, view);
    return image.data.filter((_, at) => at % 4 === 3).reduce((sum, alpha) => sum + Number(alpha > 0), 0);
  };
  assert.equal(inked([]), 2 * (31 + 21) - 4);
  assert.ok(inked([2, 2]) < 0.6 * inked([]));
});

test("a slider with stops shows the stop that is nearest by ratio", () => {
  assert.equal(nearest([0.5, 1, 2, 4], 1.5), 2);
  assert.equal(nearest([0.5, 1, 2, 4], 100), 3);
});

test("numbers are written with a real minus sign, and never as minus nothing", () => {
  assert.equal(words.signed(-1.234), "\u22121.23");
  assert.equal(words.signed(0.5, 1), "+0.5");
  assert.equal(words.fixed(-0.00001, 3), "0.000");
  assert.equal(words.fixed(-0.5, 1), "\u22120.5");
  assert.equal(words.wholeNumber(17100.4), "17,100");
  assert.equal(words.sides([0, 0, 10.4, 20]), "10 \u00d7 20 px");
});

/** A context that writes down what is called; a letter is 6 px wide. */
function recorder() {
  /** @type {[string, ...any[]][]} */
  const calls = [];
  const pen = new Proxy(
    /** @type {any} */ ({ measureText: (/** @type {string} */ text) => ({ width: 6 * text.length }) }),
    {
      get: (own, name) => own[name] ?? ((/** @type {any[]} */ ...given) => calls.push([String(name), ...given])),
    },
  );
  const of = (/** @type {string} */ name) => calls.filter((call) => call[0] === name).map((call) => call.slice(1));
  return { pen, of };
}

test("a colour is read channel by channel", () => {
  assert.deepEqual(rgb("#01FF80"), [1, 255, 128]);
});

test("a view fits the image into the page, and finds places in it", () => {
  const view = new View();
  const measures = { width: 100, height: 50, margin: 10, dpr: 2, cssWidth: 254 };
  assert.equal(view.fit(measures), true);
  assert.equal(view.fit({ ...measures }), false, "nothing has changed");
  assert.equal(view.scale, 2);
  assert.equal(view.cssHeight, 154);
  assert.deepEqual(view.toImage(7 + 2 * 10, 7 + 2 * 10), [0, 0]);
  assert.deepEqual(view.toImage(7 + 2 * 60, 7 + 2 * 35), [50, 25]);
  assert.equal(view.look("none"), undefined);
});

test("a plot lies between its margins, and leaves out labels that would touch", () => {
  const { pen, of } = recorder();
  const size = { width: 130, height: 80, ink: "black" };
  const plot = new Plot(pen, size, { left: 20, right: 10, top: 10, bottom: 20 }, [-1, 1], [0, 4]);
  assert.deepEqual([plot.across(-1), plot.across(1), plot.up(0), plot.up(4)], [20, 120, 60, 10]);
  plot.labelColumns([-1, -0.9, 1], ["ab", "cd", "ef"], "name");
  assert.deepEqual(
    of("fillText").map(([text]) => text),
    ["ab", "ef", "name"],
  );
  plot.curve(
    [
      [-1, 0],
      [1, 4],
    ],
    { color: "red", dash: [1], width: 2 },
  );
  assert.deepEqual(of("lineTo"), [
    [20, 60],
    [120, 10],
  ]);
});

test("a map of cells round their corners reaches the border on all sides", () => {
  const { pen, of } = recorder();
  drawMap(pen, [0, 1, 0, 1, 0, 1], { columns: 3, stride: 16, start: -8, share: (value) => value });
  assert.deepEqual(of("fillRect")[0], [-8, -8, 16, 16]);
  assert.deepEqual(of("fillRect")[5], [24, 8, 24, 24], "the last cell goes on to (48, 32)");
});

test("a tag ends on the picture, and dots lie where they are told", () => {
  const view = Object.assign(new View(), { px: 1, width: 100, height: 50, margin: 5 });
  const { pen, of } = recorder();
  drawTag(pen, view, 95, 90, "abcd");
  assert.deepEqual(of("fillRect"), [[73, 38, 32, 17]]);
  drawDots(
    pen,
    view,
    [
      [3, 4],
      [5, 6, 9],
    ],
    2,
  );
  assert.deepEqual(
    of("arc").map(([x, y, radius]) => [x, y, radius]),
    [
      [3, 4, 2],
      [5, 6, 9],
    ],
  );
});

test("a number line rounds as its step says, and finds back where a number lies", () => {
  const linear = { low: 0, high: 100, step: 0.5, log: false };
  const log = { low: 1, high: 1e6, step: 1, log: true };
  assert.equal(numberLine.numberAt(linear, 0.3), 30);
  assert.equal(numberLine.numberAt(linear, 0.303), 30.5);
  assert.equal(numberLine.numberAt(log, 0.5), 1000);
  assert.equal(numberLine.numberAt(log, 0.55), 2000);
  for (const line of [linear, log])
    for (const place of [0, 0.25, 1])
      assert.ok(Math.abs(numberLine.placeOf(line, numberLine.numberAt(line, place)) - place) < 0.01);
  assert.equal(numberLine.placeOf(linear, 1000), 1);
  assert.equal(numberLine.placeOf(log, 0), 0);
  assert.equal(numberLine.plain(linear, 7), "7.0");
  assert.equal(numberLine.plain(log, 8550), "8,550");
  assert.equal(numberLine.plain(log, 2.34), "2.3");
});
