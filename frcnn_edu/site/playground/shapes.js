/* frcnn_edu/datasets/shapes.py for the browser: one shape, how it is made at random and how it is painted.

   Random numbers come from a source that is handed in (`Draws`) and are asked for in Python's order, so a test that
   replays the numbers of a scene of Python's gets that scene. A place is in pixels, a colour three numbers to 255. */

/**
 * A source of random numbers.
 * @typedef {object} Draws
 * @property {() => number} random  From 0 to 1, without 1
 * @property {(low: number, high: number) => number} integer  From `low` to below `high`
 * @property {(count: number) => Uint8Array} bytes
 */

/** @typedef {{ width: number, phase: number }} Bands */
/** @typedef {"flat" | "shaded" | "striped" | "chequered"} Texture */
/** @typedef {{ colour: number[], texture: Texture, strength: number, down: boolean, bands: Bands[] }} Paint */

/**
 * A shape: `a` and `b` are half its width and height along its own axes, which lean by `slope` pixels a pixel; `detail`
 * is the share of its range that a ring's hole or a cross's arm has.
 * @typedef {{ kind: string, x: number, y: number, a: number, b: number, slope: number, detail: number, paint: Paint }} Shape
 */

/** @typedef {{ width: number, height: number, values: Float32Array }} Canvas  Red, then green, then blue, 0 to 255 */

/** The classes of the training, without the background. */
const KINDS = ["disc", "ring", "square", "standing bar", "lying bar", "triangle", "cross"];
const ROUND = ["disc", "ring"];
const SMALLEST_SIDE = 12;
const RATIOS = [2, 3.5];
const LEAN = 0.15;
const RING_HOLE = [0.4, 0.65];
const CROSS_ARM = [0.26, 0.4];
const COLOUR_TRIES = 6;

/**
 * @param {number[]} range
 * @param {number} share
 */
const between = ([low, high], share) => low + share * (high - low);

/**
 * Random numbers that repeat with their seed: Tommy Ettinger's mulberry32.
 * @param {number} seed
 * @returns {Draws}
 */
function drawsOf(seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    random,
    integer: (low, high) => low + Math.floor(random() * (high - low)),
    bytes: (count) => Uint8Array.from({ length: count }, () => 256 * random()),
  };
}

/**
 * A colour that differs from the background by `contrast` in some channel, or the best of a few.
 * @param {number[]} ground
 * @param {number} contrast
 * @param {Draws} draws
 */
function contrasting(ground, contrast, draws) {
  const colours = Array.from({ length: COLOUR_TRIES }, () => ground.map(() => draws.random() * 255));
  const differences = colours.map((one) => Math.max(...one.map((value, k) => Math.abs(value - ground[k]))));
  const enough = differences.findIndex((difference) => difference >= contrast);
  return colours[enough >= 0 ? enough : differences.indexOf(Math.max(...differences))];
}

/**
 * @param {Draws} draws
 * @returns {Bands}
 */
function drawBands(draws) {
  return { width: 2 + 6 * draws.random(), phase: draws.random() };
}

/**
 * +1 and -1 in turn.
 * @param {number} along
 * @param {Bands} bands
 */
function stripe(along, { width, phase }) {
  const band = Math.floor(along / width + phase);
  return 1 - 2 * (band - 2 * Math.floor(band / 2));
}

/**
 * @param {number[]} ground
 * @param {number} difficulty
 * @param {Draws} draws
 * @returns {Paint}
 */
function drawPaint(ground, difficulty, draws) {
  const colour = contrasting(ground, 110 - 60 * difficulty, draws);
  const kind = draws.random();
  const strength = 15 + 40 * difficulty * draws.random();
  const paint = { colour, strength, down: false };
  if (kind >= 0.9 * difficulty) return { ...paint, texture: "flat", bands: [] };
  if (kind < 0.3 * difficulty) return { ...paint, texture: "shaded", bands: [] };
  if (kind >= 0.6 * difficulty) return { ...paint, texture: "chequered", bands: [drawBands(draws), drawBands(draws)] };
  const down = draws.random() >= 0.5;
  return { ...paint, down, texture: "striped", bands: [drawBands(draws)] };
}

/**
 * A shape of this kind about (0, 0), without paint; its longer side is between `smallest` and `largest`.
 * @param {string} kind
 * @param {number[]} sizes
 * @param {Draws} draws
 */
function drawShape(kind, sizes, draws) {
  const [share, detail] = [draws.random(), draws.random()];
  const size = between(sizes, share * share);
  const ratio = between(RATIOS, draws.random());
  const a = kind === "standing bar" ? size / ratio / 2 : size / 2;
  const b = kind === "lying bar" ? size / ratio / 2 : size / 2;
  const slope = ROUND.includes(kind) ? 0 : LEAN * (2 * draws.random() - 1);
  return { kind, x: 0, y: 0, a, b, slope, detail };
}

/**
 * The points that span a shape's extent, along its own axes.
 * @param {{ kind: string, a: number, b: number, detail: number }} shape
 */
function cornersOf({ kind, a, b, detail }) {
  if (kind === "triangle") {
    return [
      [0, -b],
      [-a, b],
      [a, b],
    ];
  }
  const arm = a * between(CROSS_ARM, detail);
  const spans =
    kind === "cross"
      ? [
          [a, arm],
          [arm, b],
        ]
      : [[a, b]];
  return spans.flatMap(([p, q]) => [-1, 1].flatMap((x) => [-1, 1].map((y) => [x * p, y * q])));
}

/**
 * Cosine and sine of a shape's lean.
 * @param {number} slope
 */
function leanOf(slope) {
  const cos = 1 / Math.sqrt(1 + slope * slope);
  return [cos, slope * cos];
}

/**
 * The box round a shape, x1, y1, x2, y2.
 * @param {Omit<Shape, "paint">} shape
 */
function extentOf(shape) {
  const [cos, sin] = leanOf(shape.slope);
  const turned = cornersOf(shape).map(([u, v]) => [u * cos - v * sin, v * cos + u * sin]);
  const [across, down] = [0, 1].map((k) => turned.map((corner) => corner[k]));
  return [
    shape.x + Math.min(...across),
    shape.y + Math.min(...down),
    shape.x + Math.max(...across),
    shape.y + Math.max(...down),
  ];
}

/**
 * Signed distance of a point from a shape, negative inside.
 * @param {{ kind: string, a: number, b: number, detail: number }} shape
 * @param {number} u  Along the shape's own axes, from its middle
 * @param {number} v
 */
function distance({ kind, a, b, detail }, u, v) {
  if (kind === "disc") return Math.sqrt(u * u + v * v) - a;
  if (kind === "ring") {
    const radius = Math.sqrt(u * u + v * v);
    return Math.max(radius - a, a * between(RING_HOLE, detail) - radius);
  }
  if (kind === "triangle") {
    return Math.max((2 * b * Math.abs(u) - a * (v + b)) / Math.sqrt(a * a + 4 * b * b), v - b);
  }
  const [across, down] = [Math.abs(u), Math.abs(v)];
  if (kind === "cross") {
    const arm = a * between(CROSS_ARM, detail);
    return Math.min(Math.max(across - a, down - arm), Math.max(across - arm, down - b));
  }
  return Math.max(across - a, down - b);
}

/**
 * Call `visit` for every pixel that a shape covers, on the image or not, with its opacity.
 * @param {Omit<Shape, "paint">} shape
 * @param {(x: number, y: number, opacity: number, u: number, v: number) => void} visit
 */
function eachPixel(shape, visit) {
  const [cos, sin] = leanOf(shape.slope);
  const [x1, y1, x2, y2] = extentOf(shape);
  for (let y = Math.floor(y1) - 1; y <= y2 + 1; y++) {
    const dy = y + 0.5 - shape.y;
    for (let x = Math.floor(x1) - 1; x <= x2 + 1; x++) {
      const dx = x + 0.5 - shape.x;
      const [u, v] = [dx * cos + dy * sin, dy * cos - dx * sin];
      const opacity = 0.5 - distance(shape, u, v);
      if (opacity > 0) visit(x, y, Math.min(opacity, 1), u, v);
    }
  }
}

/**
 * How much brighter than its colour a shape is at a point.
 * @param {Shape} shape
 * @param {number} u
 * @param {number} v
 */
function shade({ paint, a, b }, u, v) {
  const { texture, strength, bands, down } = paint;
  if (texture === "flat") return 0;
  if (texture === "shaded") return (strength * u) / Math.max(a, b);
  if (texture === "striped") return strength * stripe(down ? v : u, bands[0]);
  return strength * stripe(u, bands[0]) * stripe(v, bands[1]);
}

/**
 * Blend one pixel of the canvas with a colour.
 * @param {Canvas} canvas
 * @param {number} at  The pixel's place in a plane
 * @param {number[]} colour
 * @param {number} opacity
 * @param {number} [brighter]
 */
function blend({ values, width, height }, at, colour, opacity, brighter = 0) {
  for (let k = 0, place = at; k < 3; k++, place += width * height) {
    values[place] += (colour[k] + brighter - values[place]) * opacity;
  }
}

/**
 * @param {Canvas} canvas
 * @param {Shape} shape
 */
function paintShape(canvas, shape) {
  const { width, height } = canvas;
  eachPixel(shape, (x, y, opacity, u, v) => {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    blend(canvas, y * width + x, shape.paint.colour, opacity, shade(shape, u, v));
  });
}

/**
 * The shape that fills a box. Discs, rings and crosses keep their proportions and the side that has not moved.
 * @param {Shape} shape
 * @param {number[]} box
 * @returns {Shape}
 */
function fitted(shape, box) {
  const [x1, y1, x2, y2] = extentOf(shape);
  let [left, top, right, bottom] = box;
  if ([...ROUND, "cross"].includes(shape.kind)) {
    const scales = [(right - left) / (x2 - x1), (bottom - top) / (y2 - y1)];
    const scale = Math.abs(Math.log(scales[0])) > Math.abs(Math.log(scales[1])) ? scales[0] : scales[1];
    const [wide, tall] = [scale * (x2 - x1), scale * (y2 - y1)];
    if (Math.abs(left - x1) > Math.abs(right - x2)) left = right - wide;
    else right = left + wide;
    if (Math.abs(top - y1) > Math.abs(bottom - y2)) top = bottom - tall;
    else bottom = top + tall;
  }
  const made = { ...shape };
  for (let round = 0; round < 8; round++) {
    const [l, t, r, b] = extentOf(made);
    made.a = Math.max((made.a * (right - left)) / (r - l), 1);
    made.b = Math.max((made.b * (bottom - top)) / (b - t), 1);
  }
  const [l, t, r, b] = extentOf(made);
  made.x += (left + right - l - r) / 2;
  made.y += (top + bottom - t - b) / 2;
  return made;
}

export {
  between,
  blend,
  contrasting,
  drawBands,
  drawPaint,
  drawShape,
  drawsOf,
  eachPixel,
  extentOf,
  fitted,
  KINDS,
  paintShape,
  SMALLEST_SIDE,
  stripe,
};
