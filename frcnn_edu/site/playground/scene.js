/* frcnn_edu/datasets/shapes.py for the browser: a whole scene, as data that the hand may change, and as pixels. */

import {
  blend,
  contrasting,
  drawBands,
  drawPaint,
  drawShape,
  eachPixel,
  extentOf,
  KINDS,
  paintShape,
  SMALLEST_SIDE,
  stripe,
} from "./shapes.js";

/** @typedef {import("./shapes.js").Draws} Draws */
/** @typedef {import("./shapes.js").Canvas} Canvas */
/** @typedef {import("./shapes.js").Shape} Shape */
/** @typedef {import("./shapes.js").Bands} Bands */

/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ colour: number[], hills: number[], stripes: { across: number, down: number, bands: Bands, strength: number } | null }} Ground */
/** @typedef {{ kind: "wire" | "blob" | "specks", colour: number[], numbers: number[] }} Clutter */
/** @typedef {{ size: Size, ground: Ground, behind: Clutter[], shapes: Shape[], front: Clutter[], grain: Uint8Array, noise: number }} Scene */

const MOST_CLUTTER = 14;
const CLUTTER_CONTRAST = 30;
const HILLS = 5;
const SPECKS = 6;
const OBJECTS = [1, 8];
const EMPTY = 0.05;
const MIN_VISIBLE = 0.4;
const SMALL_OVERLAP = 0.1;
const PLACING_TRIES = 12;
const HANGING_SHARE = 0.3;
const OVERHANG = 0.25;

/**
 * `count` random numbers.
 * @param {Draws} draws
 * @param {number} count
 */
const several = (draws, count) => Array.from({ length: count }, () => draws.random());

/**
 * A scene as the training draws them.
 * @param {Draws} draws
 * @param {Size} size
 * @param {number} difficulty
 * @returns {Scene}
 */
function drawScene(draws, size, difficulty) {
  const ground = drawGround(draws, difficulty);
  const clutter = draws.integer(0, 1 + Math.round(MOST_CLUTTER * difficulty));
  const inFront = Math.floor(clutter / 4);
  const behind = drawClutter(draws, clutter - inFront, ground.colour, size);
  const crowd = new Crowd(size, difficulty);
  if (draws.random() >= EMPTY) {
    for (let count = draws.integer(OBJECTS[0], OBJECTS[1] + 1); count; count--) crowd.add(draws, ground.colour);
  }
  const front = drawClutter(draws, inFront, ground.colour, size);
  return { size, ground, behind, shapes: crowd.shapes, front, ...drawNoise(draws, size, difficulty) };
}

/**
 * The same shapes in surroundings of another difficulty. The draws that made the scene give the same hills, higher or
 * lower.
 * @param {Scene} scene
 * @param {Draws} draws
 * @param {number} difficulty
 * @returns {Scene}
 */
function withSurroundings({ size, shapes }, draws, difficulty) {
  const ground = drawGround(draws, difficulty);
  const clutter = draws.integer(0, 1 + Math.round(MOST_CLUTTER * difficulty));
  const inFront = Math.floor(clutter / 4);
  const behind = drawClutter(draws, clutter - inFront, ground.colour, size);
  const front = drawClutter(draws, inFront, ground.colour, size);
  return { size, ground, behind, shapes, front, ...drawNoise(draws, size, difficulty) };
}

/**
 * @param {Draws} draws
 * @param {number} difficulty
 * @returns {Ground}
 */
function drawGround(draws, difficulty) {
  const grey = 40 + 150 * draws.random();
  const colour = several(draws, 3).map((tint) => grey + 30 * tint);
  const hills = several(draws, 3 * HILLS * HILLS).map(
    (height, k) => (height - 0.5) * (16 + 90 * difficulty) + colour[Math.floor(k / (HILLS * HILLS))],
  );
  if (draws.random() >= 0.4 * difficulty) return { colour, hills, stripes: null };
  const [across, down] = several(draws, 2).map((step) => 2 * step - 1);
  const bands = drawBands(draws);
  return { colour, hills, stripes: { across, down, bands, strength: 4 + 10 * draws.random() } };
}

/**
 * @param {Draws} draws
 * @param {number} count
 * @param {number[]} ground
 * @param {Size} size
 * @returns {Clutter[]}
 */
function drawClutter(draws, count, ground, { width, height }) {
  return several(draws, count).map((kind) => {
    const colour = contrasting(ground, CLUTTER_CONTRAST, draws);
    if (kind < 0.5) {
      const [x, x2, y, y2, thick] = several(draws, 5);
      return { kind: "wire", colour, numbers: [x * width, y * height, x2 * width, y2 * height, 1 + thick] };
    }
    if (kind < 0.75) {
      const [x, y, share] = several(draws, 3);
      const radius = SMALLEST_SIDE + (share * Math.min(width, height)) / 4;
      return { kind: "blob", colour, numbers: [x * width, y * height, radius] };
    }
    const numbers = several(draws, 2 * SPECKS).map((share, k) => share * (k % 2 ? height : width));
    return { kind: "specks", colour, numbers };
  });
}

/**
 * @param {Draws} draws
 * @param {Size} size
 * @param {number} difficulty
 */
function drawNoise(draws, { width, height }, difficulty) {
  return { grain: draws.bytes(width * height), noise: 2 + 10 * difficulty * draws.random() };
}

/** The shapes of a scene while it is drawn: each leaves enough of itself and of all before it visible. */
class Crowd {
  /** @type {Shape[]} */
  shapes = [];
  /** @type {number[]} Pixels of each shape. */
  whole = [];
  /** @type {number[]} The visible ones among them. */
  seen = [];

  /**
   * @param {Size} size
   * @param {number} difficulty
   */
  constructor(size, difficulty) {
    this.size = size;
    this.difficulty = difficulty;
    this.owner = new Int16Array(size.width * size.height).fill(-1); // the shape that each pixel shows
  }

  /**
   * Draw one shape where there is room for it, if there is.
   * @param {Draws} draws
   * @param {number[]} ground
   */
  add(draws, ground) {
    const { width, height } = this.size;
    const kind = KINDS[draws.integer(1, KINDS.length + 1) - 1];
    const bare = drawShape(kind, [SMALLEST_SIDE, Math.min(width, height) / 2], draws);
    const [low, high] = [extentOf(bare).slice(0, 2), extentOf(bare).slice(2)];
    const middle = low.map((edge) => 1 - edge + draws.random());
    const paint = drawPaint(ground, this.difficulty, draws);
    const share = draws.random() < HANGING_SHARE ? OVERHANG : 0;
    const tries = Array.from({ length: PLACING_TRIES }, () => several(draws, 2));
    for (const shares of tries) {
      const [x, y] = shares.map((part, k) => {
        const spare = share * (high[k] - low[k]);
        const first = -(middle[k] + low[k]) - spare;
        const room = [width, height][k] - (middle[k] + high[k]) + spare - first;
        return Math.floor(first + part * Math.max(room, 0)) + middle[k];
      });
      if (this.take({ ...bare, x, y, paint })) return;
    }
  }

  /**
   * Whether there is room for a shape; if there is, it is one of them.
   * @param {Shape} shape
   */
  take(shape) {
    const { width, height } = this.size;
    /** @type {number[]} */
    const places = [];
    let solid = 0;
    eachPixel(shape, (x, y, opacity) => {
      if (opacity <= 0.5) return;
      solid++;
      if (x >= 0 && y >= 0 && x < width && y < height) places.push(y * width + x);
    });
    const left = [...this.seen];
    for (const at of places) if (this.owner[at] >= 0) left[this.owner[at]]--;
    const hidden = Math.min(1 - MIN_VISIBLE, SMALL_OVERLAP + this.difficulty);
    const enough = left.every((seen, i) => seen >= (1 - hidden) * this.whole[i] || seen === this.seen[i]);
    if (places.length < MIN_VISIBLE * solid || !enough) return false;
    for (const at of places) this.owner[at] = this.shapes.length;
    this.seen = [...left, places.length];
    this.whole.push(solid);
    this.shapes.push(shape);
    return true;
  }
}

// --------------------------------------------------------------------------------------------- pixels

/** Paints a scene, and what lies behind its shapes only once. */
class Painter {
  /** @type {Scene | null} The scene whose background is kept. */
  kept = null;
  /** @type {Canvas} */
  background = { width: 0, height: 0, values: new Float32Array(0) };
  noise = new Float32Array(0); // of the sensor, the same for all three colours

  /**
   * The image as the detector takes it: (3, height, width) in [0, 1], from whole levels of 0 to 255.
   * @param {Scene} scene
   */
  paint(scene) {
    if (this.kept?.ground !== scene.ground || this.kept.behind !== scene.behind) {
      this.background = paintGround(scene);
      for (const one of scene.behind) paintClutter(this.background, one);
      this.noise = Float32Array.from(scene.grain, (grain) => ((grain - 127.5) * scene.noise) / 127.5);
      this.kept = scene;
    }
    const canvas = { ...scene.size, values: this.background.values.slice() };
    for (const shape of scene.shapes) paintShape(canvas, shape);
    for (const one of scene.front) paintClutter(canvas, one);
    const { values } = canvas;
    const { noise } = this;
    for (let start = 0; start < values.length; start += noise.length) {
      for (let at = 0; at < noise.length; at++) {
        const value = values[start + at] + noise[at];
        values[start + at] = value <= 0 ? 0 : value >= 255 ? 1 : Math.floor(value + 0.5) / 255;
      }
    }
    return values;
  }
}

/**
 * @param {Scene} scene
 * @returns {Canvas}
 */
function paintGround({ size: { width, height }, ground: { hills, stripes } }) {
  const values = new Float32Array(3 * width * height);
  const [across, down] = [width, height].map((length) =>
    Array.from({ length }, (_, at) => {
      const place = (at * (HILLS - 1)) / length;
      return [Math.floor(place), place - Math.floor(place)];
    }),
  );
  for (let k = 0, at = 0; k < 3; k++) {
    /** @type {(row: number, column: number) => number} */
    const hill = (row, column) => hills[(k * HILLS + column) * HILLS + row];
    for (let y = 0; y < height; y++) {
      const [row, low] = down[y];
      for (let x = 0; x < width; x++, at++) {
        const [column, right] = across[x];
        const upper = hill(row, column) + (hill(row, column + 1) - hill(row, column)) * right;
        const under = hill(row + 1, column) + (hill(row + 1, column + 1) - hill(row + 1, column)) * right;
        values[at] = upper + (under - upper) * low;
        if (stripes) {
          const along = (x + 0.5) * stripes.across + (y + 0.5) * stripes.down;
          values[at] += stripes.strength * stripe(along, stripes.bands);
        }
      }
    }
  }
  return { width, height, values };
}

/**
 * @param {Canvas} canvas
 * @param {Clutter} clutter
 */
function paintClutter(canvas, { kind, colour, numbers }) {
  if (kind === "wire") paintWire(canvas, colour, numbers);
  else if (kind === "blob") paintBlob(canvas, colour, numbers);
  else {
    for (let k = 0; k < numbers.length; k += 2) {
      const [x, y] = [numbers[k], numbers[k + 1]];
      paintWindow(canvas, colour, [x - 3, y - 3, x + 3, y + 3], (px, py) => 2 - Math.hypot(px - x, py - y));
    }
  }
}

/**
 * A straight line, thinner than any bar of its length.
 * @param {Canvas} canvas
 * @param {number[]} colour
 * @param {number[]} numbers
 */
function paintWire(canvas, colour, [x, y, x2, y2, thick]) {
  const [across, down] = [x2 - x, y2 - y];
  const length2 = across * across + down * down + 1;
  const window = [Math.min(x, x2) - 2, Math.min(y, y2) - 2, Math.max(x, x2) + 2, Math.max(y, y2) + 2];
  paintWindow(canvas, colour, window, (px, py) => {
    const [dx, dy] = [px - x, py - y];
    const along = Math.min(Math.max((dx * across + dy * down) / length2, 0), 1);
    return thick - Math.hypot(dx - along * across, dy - along * down);
  });
}

/**
 * A blob with a soft edge.
 * @param {Canvas} canvas
 * @param {number[]} colour
 * @param {number[]} numbers
 */
function paintBlob(canvas, colour, [x, y, radius]) {
  paintWindow(canvas, colour, [x - radius, y - radius, x + radius, y + radius], (px, py) => {
    const falloff = Math.max(1 - ((px - x) ** 2 + (py - y) ** 2) / (radius * radius), 0);
    return falloff * falloff;
  });
}

/**
 * Paint the pixels that a rectangle touches, each as `opacity` says of its middle.
 * @param {Canvas} canvas
 * @param {number[]} colour
 * @param {number[]} window
 * @param {(x: number, y: number) => number} opacity
 */
function paintWindow(canvas, colour, [left, top, right, bottom], opacity) {
  const { width, height } = canvas;
  for (let y = Math.max(Math.floor(top), 0); y < Math.min(Math.ceil(bottom), height); y++) {
    for (let x = Math.max(Math.floor(left), 0); x < Math.min(Math.ceil(right), width); x++) {
      const covered = Math.min(Math.max(opacity(x + 0.5, y + 0.5), 0), 1);
      if (covered) blend(canvas, y * width + x, colour, covered);
    }
  }
}

export { drawScene, Painter, withSurroundings };
