/* The easel: the picture that the detector looks at. A scene is drawn and moved on it by hand; detections lie over it. */

import { createCanvas } from "../../explorers/js/canvas/box_canvas.js";
import { drawTag } from "../../explorers/js/kit/paint.js";
import { BLANK, LocalModel } from "./local_model.js";
import { DETECTED, SHAPE } from "./looks.js";
import { drawScene, Painter, withSurroundings } from "./scene.js";
import { drawPaint, drawShape, drawsOf, extentOf, fitted } from "./shapes.js";
import { nameOf, WORDS } from "./words.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./pass.js").Pass} Pass */
/** @typedef {import("./runner.js").Image} Image */
/** @typedef {import("./scene.js").Scene} Scene */

const SIDE = 256; // of a scene, in pixels, as in the training
const LONGEST = 1024; // a larger photograph is made smaller: the network makes it smaller still
const NEW_SIZES = [40, 90]; // of a shape that a button adds
const DRAW_FROM = 5; // CSS pixels that the hand moves before it draws
const [HELD, FOUND] = [0, 1]; // the palette of the canvas

class Easel {
  /** @type {Scene | null} Null while a photograph lies on it. */
  scene = null;
  painter = new Painter();
  seed = 0;
  difficulty = 0.5;
  kind = "disc";
  threshold = 0.5;
  added = 0;
  /** @type {Image | null} */
  image = null;
  /** @type {{ pass: Pass | null, threshold: number }} What the boxes on the canvas are of. */
  shown = { pass: null, threshold: 0 };

  /**
   * @param {HTMLElement} parent
   * @param {Board} board
   * @param {(byHand: boolean) => void} onImage  Another picture lies on it
   */
  constructor(parent, board, onImage) {
    this.board = board;
    this.onImage = onImage;
    this.model = new LocalModel({
      ...BLANK,
      palette: [SHAPE, { ...DETECTED, key: "detection", label: "detection" }],
      width: 560,
      title: WORDS.sceneTitle,
      _image_size: [SIDE, SIDE],
    });
    this.canvas = createCanvas({
      model: this.model,
      el: parent,
      onBoxesChanged: (boxes, { index }) => {
        if (index !== null && this.scene && index < this.scene.shapes.length) this.pull(index, boxes);
      },
      onHover: () => this.point(),
      onClick: () => this.pin(),
      onSelect: () => this.board.redraw(),
      drawUnder: (pen, { width, height }) => pen.drawImage(board.picture, 0, 0, width, height),
      drawOver: (pen, view) => this.drawTags(pen, view),
    });
    this.canvas.stage.addEventListener("keydown", (event) => this.onKey(event), { capture: true });
    this.followDrawing();
    board.followers.push(() => this.showFound());
  }

  // ------------------------------------------------------------------------------------------- pictures

  /**
   * @param {number} seed
   * @param {boolean} [byHand]
   */
  newScene(seed, byHand = true) {
    this.seed = seed;
    this.setScene(drawScene(drawsOf(seed), { width: SIDE, height: SIDE }, this.difficulty), byHand);
  }

  /** @param {number} difficulty */
  setDifficulty(difficulty) {
    this.difficulty = difficulty;
    if (this.scene) this.setScene(withSurroundings(this.scene, drawsOf(this.seed), difficulty));
  }

  /**
   * @param {Scene} scene
   * @param {boolean} [byHand]
   */
  setScene(scene, byHand = true) {
    const { width, height } = scene.size;
    const since = performance.now();
    const fresh = !this.scene;
    this.scene = scene;
    this.take({ pixels: this.painter.paint(scene), width, height, since }, byHand);
    if (fresh) this.model.set("title", WORDS.sceneTitle);
  }

  /**
   * A picture from outside: a photograph, or what the camera sees now.
   * @param {CanvasImageSource} source
   * @param {number} width
   * @param {number} height
   * @param {number} [longest]
   */
  setPhoto(source, width, height, longest = LONGEST) {
    const since = performance.now();
    const scale = Math.min(1, longest / Math.max(width, height));
    const [wide, tall] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
    const { picture } = this.board;
    Object.assign(picture, { width: wide, height: tall });
    const pen = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d", { willReadFrequently: true }));
    pen.imageSmoothingQuality = "high";
    pen.drawImage(source, 0, 0, wide, tall);
    const pixels = planes(pen.getImageData(0, 0, wide, tall).data);
    if (this.scene) {
      this.scene = null;
      this.canvas.select(null);
      this.model.set("title", WORDS.photoTitle);
    }
    this.take({ pixels, width: wide, height: tall, since }, true);
  }

  /**
   * @param {Image} image
   * @param {boolean} byHand
   */
  take(image, byHand) {
    const { picture } = this.board;
    const { pixels, width, height } = image;
    if (this.scene) {
      if (picture.width !== width || picture.height !== height) Object.assign(picture, { width, height });
      picture.getContext("2d", { willReadFrequently: true })?.putImageData(levels(pixels, width, height), 0, 0);
    }
    const [before, beside] = this.model.get("_image_size");
    if (before !== width || beside !== height) {
      this.model.set("_image_size", [width, height]);
      this.canvas.layout();
    }
    this.image = image;
    this.lay();
    this.canvas.redraw("under");
    this.onImage(byHand);
  }

  // ------------------------------------------------------------------------------------------- shapes

  /**
   * A shape has been pulled into a box by the hand.
   * @param {number} index
   * @param {Float32Array} boxes
   */
  pull(index, boxes) {
    const scene = /** @type {Scene} */ (this.scene);
    const shapes = [...scene.shapes];
    shapes[index] = fitted(shapes[index], [...boxes.subarray(4 * index, 4 * index + 4)]);
    this.setScene({ ...scene, shapes });
  }

  /**
   * Add a shape to the scene, in a place that is free, if there is one, and select it.
   * @param {string} kind
   */
  add(kind) {
    this.kind = kind;
    if (!this.scene) this.newScene(this.seed);
    const { shapes, size } = /** @type {Scene} */ (this.scene);
    const made = this.made(kind);
    const [x1, y1, x2, y2] = extentOf(made);
    const draws = drawsOf(1000 * this.seed + this.added);
    const places = Array.from({ length: 40 }, () => [
      draws.random() * (size.width - (x2 - x1)) - x1,
      draws.random() * (size.height - (y2 - y1)) - y1,
    ]);
    /** @type {(place: number[]) => number} */
    const crowding = ([x, y]) => {
      const box = extentOf({ ...made, x, y });
      return shapes.reduce((sum, other) => sum + shared(box, extentOf(other)), 0);
    };
    const [x, y] = places.reduce((best, place) => (crowding(place) < crowding(best) ? place : best));
    this.put({ ...made, x, y });
  }

  /**
   * A shape of its own colour and texture, about (0, 0).
   * @param {string} kind
   */
  made(kind) {
    const scene = /** @type {Scene} */ (this.scene);
    const draws = drawsOf(7919 * this.seed + 31 * ++this.added);
    const bare = drawShape(kind, NEW_SIZES, draws);
    return { ...bare, paint: drawPaint(scene.ground.colour, this.difficulty, draws) };
  }

  /** @param {import("./shapes.js").Shape} shape */
  put(shape) {
    const scene = /** @type {Scene} */ (this.scene);
    const shapes = [...scene.shapes, shape];
    this.setScene({ ...scene, shapes });
    this.canvas.select(shapes.length - 1);
  }

  /** The shape that is selected, or null. */
  get selected() {
    const { selected } = this.canvas;
    return selected !== null && this.scene && selected < this.scene.shapes.length ? selected : null;
  }

  /**
   * Change the selected shape.
   * @param {(shape: import("./shapes.js").Shape) => import("./shapes.js").Shape | null} change  Null takes it away
   */
  change(change) {
    const { scene, selected } = this;
    if (!scene || selected === null) return;
    const made = change(scene.shapes[selected]);
    const shapes = scene.shapes.flatMap((shape, at) => (at === selected ? (made ?? []) : shape));
    if (!made) this.canvas.select(null);
    this.setScene({ ...scene, shapes });
  }

  repaint() {
    this.change((shape) => ({ ...shape, paint: this.made(shape.kind).paint }));
  }

  remove() {
    this.change(() => null);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (this.selected === null || !["Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    this.remove();
  }

  /** A mouse that is pressed beside all shapes and drawn away makes a shape between the two places. */
  followDrawing() {
    const { canvas } = this;
    canvas.stage.addEventListener("pointermove", (event) => {
      const { grab } = canvas.hand;
      if (!this.scene || !grab || grab.index !== null || event.pointerType === "touch") return;
      const [x, y] = canvas.hand.placeOf(event);
      const [dx, dy] = [x - grab.from[0], y - grab.from[1]];
      if (Math.hypot(dx, dy) * canvas.view.scale < DRAW_FROM) return;
      const [left, top] = [Math.min(x, grab.from[0]), Math.min(y, grab.from[1])];
      this.put(
        fitted(this.made(this.kind), [left, top, left + Math.max(Math.abs(dx), 4), top + Math.max(Math.abs(dy), 4)]),
      );
      const index = /** @type {number} */ (canvas.selected);
      const box = [...canvas.set.box(index)];
      canvas.hand.grab = { index, sx: dx < 0 ? -1 : 1, sy: dy < 0 ? -1 : 1, from: [x, y], box, now: box, drawn: false };
    });
  }

  // ------------------------------------------------------------------------------------------- detections

  /**
   * The detections that are shown.
   * @param {Pass | null} pass
   */
  found(pass) {
    return pass?.detections.filter(({ score }) => score >= this.threshold) ?? [];
  }

  /** @param {number} threshold */
  setThreshold(threshold) {
    this.threshold = threshold;
    this.board.redraw();
  }

  /** Draw what was found, in the frame that draws the stages. */
  showFound() {
    const { canvas, board, threshold } = this;
    if (this.shown.pass !== board.pass || this.shown.threshold !== threshold) this.lay();
    this.shown = { pass: board.pass, threshold };
    canvas.redraw();
    cancelAnimationFrame(canvas.frameRequest);
    canvas.frame();
  }

  /** Lay shapes and detections on the canvas. */
  lay() {
    const shapes = this.scene?.shapes ?? [];
    const found = this.found(this.board.pass);
    const boxes = [...shapes.map(extentOf), ...found.map(({ box }) => box)];
    this.canvas.setBoxes(boxes.flat(), {
      states: boxes.map((_, i) => (i < shapes.length ? HELD : FOUND)),
      editable: boxes.map((_, i) => (i < shapes.length ? 1 : 0)),
      captions: [...shapes.map(({ kind }) => kind), ...found.map(() => "")],
    });
  }

  /** The anchor that what lies under the pointer came from. */
  get pointed() {
    const { hovered } = this.canvas;
    const { pass } = this.board;
    if (hovered === null || !pass) return null;
    const own = this.scene?.shapes.length ?? 0;
    const found = this.found(pass);
    if (hovered >= own) return found[hovered - own]?.anchor ?? null;
    const box = [...this.canvas.set.box(hovered)];
    const best = found.reduce((most, one) => (shared(box, one.box) > shared(box, most.box) ? one : most), found[0]);
    return best && shared(box, best.box) > 0 ? best.anchor : null;
  }

  point() {
    this.board.point(this.pointed);
  }

  pin() {
    if (this.pointed !== null && this.canvas.selected === null) this.board.pin(this.pointed);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {import("../../explorers/js/canvas/view.js").View} view
   */
  drawTags(pen, view) {
    const { pass, focus } = this.board;
    if (!pass) return;
    for (const { box, label, score, anchor } of this.found(pass)) {
      if (anchor === focus) view.strokeBox(pen, box, DETECTED, { fill: 0.15, wider: 1.5 });
      drawTag(pen, view, box[0], box[1] - 18 * view.px, `${nameOf(pass, label)} ${score.toFixed(2)}`);
    }
  }
}

/**
 * The area that two boxes share.
 * @param {number[]} a
 * @param {number[]} b
 */
function shared(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return width > 0 && height > 0 ? width * height : 0;
}

/**
 * Pixels of a canvas as (3, H, W) in [0, 1].
 * @param {Uint8ClampedArray} bytes
 */
function planes(bytes) {
  const area = bytes.length / 4;
  const pixels = new Float32Array(3 * area);
  for (let at = 0; at < area; at++) {
    for (let k = 0; k < 3; k++) pixels[k * area + at] = bytes[4 * at + k] / 255;
  }
  return pixels;
}

/**
 * The inverse of `planes`.
 * @param {Float32Array} pixels
 * @param {number} width
 * @param {number} height
 */
function levels(pixels, width, height) {
  const image = new ImageData(width, height);
  const { data } = image;
  const [green, blue] = [width * height, 2 * width * height];
  for (let at = 0, to = 0; at < green; at++, to += 4) {
    data[to] = 255 * pixels[at]; // which rounds
    data[to + 1] = 255 * pixels[green + at];
    data[to + 2] = 255 * pixels[blue + at];
    data[to + 3] = 255;
  }
  return image;
}

export { Easel, levels, planes };
