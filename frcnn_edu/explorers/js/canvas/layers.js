/* The three layers of the picture: what lies under the boxes, the boxes, and what changes under the hand. */

import { element } from "../kit/layout.js";
import { drawDots, drawTag, strokeCased } from "../kit/paint.js";
import { COLORS, withAlpha } from "../kit/palette.js";
import { floats, numbers } from "../kit/traits.js";
import { CORNERS, clamp, HANDLE, HANDLES, handlesOf, withHandles } from "./handles.js";
import { inkBoxes } from "./ink.js";

const CAPTIONS_UP_TO = 100;
const SMALLEST_HANDLE = 4; // CSS pixels
const SHARP_FROM = 3; // CSS pixels per image pixel from which pixels are shown as squares

class Layers {
  points = new Float32Array(0);
  lines = new Float32Array(0);
  /** @type {ImageBitmap | null} The decoded image. */
  bitmap = null;
  /** @type {HTMLCanvasElement | null} A small canvas with the heat map. */
  overlay = null;

  /**
   * @param {HTMLElement} stage
   * @param {import("./box_canvas.js").BoxCanvas} canvas
   */
  constructor(stage, canvas) {
    this.canvas = canvas;
    this.view = canvas.view;
    this.model = canvas.model;
    const [under, middle, over] = [0, 1, 2].map(() => {
      const layer = element("canvas", "", stage);
      layer.setAttribute("aria-hidden", "true");
      return /** @type {CanvasRenderingContext2D} */ (layer.getContext("2d"));
    });
    this.under = under;
    this.middle = middle;
    this.over = over;
  }

  resize() {
    const { cssWidth, cssHeight, dpr } = this.view;
    for (const { canvas } of [this.under, this.middle, this.over]) {
      canvas.width = Math.round(cssWidth * dpr);
      canvas.height = Math.round(cssHeight * dpr);
    }
  }

  readPoints() {
    this.points = floats(this.model, "points");
    this.lines = floats(this.model, "lines");
  }

  /** Decode the image; rejects where the browser cannot show it. */
  async readImage() {
    const bytes = numbers(this.model, "_image_bytes", Uint8Array);
    if (!bytes.length) return; // whoever made the canvas draws the picture
    const decoded = await createImageBitmap(new Blob([bytes]));
    this.bitmap?.close();
    this.bitmap = decoded;
  }

  readOverlay() {
    const [width, height] = this.model.get("_overlay_size");
    const pixels = numbers(this.model, "overlay", Uint8ClampedArray);
    this.overlay = null;
    if (width && pixels.length === 4 * width * height) {
      this.overlay = Object.assign(document.createElement("canvas"), { width, height });
      this.overlay.getContext("2d")?.putImageData(new ImageData(pixels, width, height), 0, 0);
    }
  }

  /** @param {CanvasRenderingContext2D} context */
  clear(context) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    this.view.inImagePixels(context);
  }

  drawUnder() {
    const { under, view } = this;
    this.clear(under);
    under.imageSmoothingEnabled = view.scale < SHARP_FROM;
    under.imageSmoothingQuality = "high";
    if (this.bitmap) under.drawImage(this.bitmap, 0, 0, view.width, view.height);
    this.drawOverlay();
    if (view.margin) {
      under.lineWidth = view.px;
      under.strokeStyle = COLORS.slate;
      under.strokeRect(0, 0, view.width, view.height);
    }
    this.drawGrid();
    this.drawLines();
    drawDots(under, view, pairs(this.points), 2.5);
    under.save();
    this.canvas.hooks.drawUnder?.(under, view);
    under.restore();
  }

  drawOverlay() {
    if (!this.overlay) return;
    const extent = this.model.get("overlay_extent");
    const [x1, y1, x2, y2] = extent.length ? extent : [0, 0, this.view.width, this.view.height];
    this.under.imageSmoothingEnabled = false;
    this.under.drawImage(this.overlay, x1, y1, x2 - x1, y2 - y1);
  }

  drawGrid() {
    const { under, view } = this;
    const grid = this.model.get("grid");
    if (!grid) return;
    const [stride, offset] = grid;
    const dots = [];
    under.beginPath();
    for (let x = 0; x < view.width; x += stride) {
      under.moveTo(x, 0);
      under.lineTo(x, view.height);
      for (let y = 0; y < view.height; y += stride) dots.push([x + offset * stride, y + offset * stride]);
    }
    for (let y = 0; y < view.height; y += stride) {
      under.moveTo(0, y);
      under.lineTo(view.width, y);
    }
    strokeCased(under, view, 0.75, {
      color: withAlpha(COLORS.white, 0.75),
      casing: withAlpha(COLORS.black, 0.25),
      edge: 1.5,
    });
    drawDots(under, view, dots, stride * view.scale < 12 ? 1 : 1.75);
  }

  drawLines() {
    const { under, lines } = this;
    under.beginPath();
    for (let i = 0; i < lines.length; i += 4) {
      under.moveTo(lines[i], lines[i + 1]);
      under.lineTo(lines[i + 2], lines[i + 3]);
    }
    strokeCased(under, this.view, 1.5);
  }

  drawBoxes() {
    const { middle, view } = this;
    const { set, selected } = this.canvas;
    this.clear(middle);
    const groups = view.palette.map((look) => ({ look, members: /** @type {number[]} */ ([]) }));
    for (let i = 0; i < set.count; i++) {
      if (set.shown[i] && !(i === selected && set.editable[i])) groups[set.states[i]].members.push(i);
    }
    groups.sort((a, b) => b.members.length - a.members.length); // the few on top of the many
    const image = new ImageData(middle.canvas.width, middle.canvas.height);
    for (const { look, members } of groups) if (look.width) inkBoxes(image, set.boxes, members, look, view);
    middle.putImageData(image, 0, 0);
  }

  drawOver() {
    const { over, view } = this;
    const { set, selected, hovered, hand } = this.canvas;
    this.clear(over);
    over.save();
    this.canvas.hooks.drawOver?.(over, view);
    over.restore();
    if (hovered !== null && hovered !== selected) this.strokeOne(hovered, 0.18);
    this.drawTags();
    for (const index of withHandles(set, null)) {
      if (index !== selected && view.palette[set.states[index]].width) this.drawHandles(index, CORNERS, HANDLE - 2);
    }
    if (selected !== null && (set.shown[selected] || hand.grab?.index === selected)) {
      this.strokeOne(selected, 0.12);
      this.drawHandles(selected, set.editable[selected] ? HANDLES : [], HANDLE);
    }
    if (hand.pointer?.byKey) this.drawCrosshair(hand.pointer);
  }

  /**
   * @param {number} index
   * @param {number} fill
   */
  strokeOne(index, fill) {
    const { set } = this.canvas;
    this.view.strokeBox(this.over, set.box(index), set.states[index], { fill, wider: 1 });
  }

  /**
   * @param {number} index
   * @param {number[][]} which
   * @param {number} side
   */
  drawHandles(index, which, side) {
    const { over, view } = this;
    const box = this.canvas.set.box(index);
    const shorter = Math.min(box[2] - box[0], box[3] - box[1]);
    const size = clamp(shorter / 4, SMALLEST_HANDLE * view.px, side * view.px); // a small box is not hidden by its own
    Object.assign(over, { lineWidth: 1.5 * view.px, fillStyle: COLORS.white, strokeStyle: COLORS.ink });
    for (const { x, y } of handlesOf(box, view.scale, which)) {
      over.fillRect(x - size / 2, y - size / 2, size, size);
      over.strokeRect(x - size / 2, y - size / 2, size, size);
    }
  }

  /** @param {{ x: number, y: number }} pointer */
  drawCrosshair({ x, y }) {
    const arm = 9 * this.view.px;
    this.over.beginPath();
    this.over.moveTo(x - arm, y);
    this.over.lineTo(x + arm, y);
    this.over.moveTo(x, y - arm);
    this.over.lineTo(x, y + arm);
    strokeCased(this.over, this.view, 1.5, { casing: COLORS.black });
  }

  drawTags() {
    const { boxes, captions, shown } = this.canvas.set;
    for (const [x, y, text] of this.model.get("texts")) drawTag(this.over, this.view, x, y, text);
    if (!this.model.get("show_captions")) return;
    for (let i = 0, left = CAPTIONS_UP_TO; i < captions.length && left; i++) {
      if (!shown[i] || !captions[i]) continue;
      drawTag(this.over, this.view, boxes[4 * i], boxes[4 * i + 1], captions[i]);
      left--;
    }
  }

  close() {
    this.bitmap?.close();
  }
}

/**
 * @param {Float32Array} xy
 */
function pairs(xy) {
  return Array.from({ length: xy.length / 2 }, (_, i) => [xy[2 * i], xy[2 * i + 1]]);
}

export { Layers };
