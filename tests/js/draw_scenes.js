/* Draws the scenes of test_playground_scenes.py: node draw_scenes.js CASES PIXELS writes the pixels, a byte a value, and
   prints the boxes and the kinds of their shapes as JSON. The random numbers are those that Python drew. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

const { drawScene, Painter } = await import("../../frcnn_edu/site/playground/scene.js");
const { extentOf } = await import("../../frcnn_edu/site/playground/shapes.js");

const [cases, pixels] = process.argv.slice(2);
/** @type {{ size: { width: number, height: number }, scenes: { difficulty: number, numbers: number[], grain: string }[] }} */
const { size, scenes } = JSON.parse(readFileSync(cases, "utf-8"));

/**
 * @param {number[]} numbers
 * @param {string} grain
 */
function replay(numbers, grain) {
  let at = 0;
  return {
    random: () => numbers[at++],
    integer: (/** @type {number} */ low, /** @type {number} */ high) => {
      const value = numbers[at++];
      assert.ok(Number.isInteger(value) && value >= low && value < high, `number ${at} is out of step`);
      return value;
    },
    bytes: () => new Uint8Array(Buffer.from(grain, "base64")),
    left: () => numbers.length - at,
  };
}

const drawn = scenes.map(({ difficulty, numbers, grain }) => {
  const draws = replay(numbers, grain);
  const scene = drawScene(draws, size, difficulty);
  assert.equal(draws.left(), 0, "Python drew more numbers");
  const levels = new Painter().paint(scene).map((value) => Math.round(255 * value));
  return { scene, levels: Uint8Array.from(levels) };
});
writeFileSync(pixels, Buffer.concat(drawn.map(({ levels }) => levels)));
console.log(
  JSON.stringify(drawn.map(({ scene }) => scene.shapes.map((shape) => ({ kind: shape.kind, box: extentOf(shape) })))),
);
