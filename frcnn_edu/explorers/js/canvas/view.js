/* How image pixels, CSS pixels and device pixels go together, and how a line looks on the screen. */

import { CASING } from "../kit/paint.js";

/** @typedef {import("../kit/palette.js").Look} Look */
/** @typedef {import("../detector/boxes.js").Box} Box */
/** @typedef {{ fill?: number, cased?: boolean, wider?: number }} How */

const PAD = 7; // CSS pixels round the picture, so that a handle on its border can be held

class View {
  scale = 1; // CSS pixels per image pixel
  px = 1; // image pixels per CSS pixel: for line widths and text
  dpr = 1;
  width = 1;
  height = 1;
  margin = 0;
  cssWidth = 0;
  cssHeight = 0;
  /** @type {Look[]} */
  palette = [];

  /**
   * Take up what the page and the image now measure; false if nothing has changed.
   * @param {{ width: number, height: number, margin: number, dpr: number, cssWidth: number }} measures
   */
  fit(measures) {
    const { width, height, margin, dpr, cssWidth } = this;
    if (
      Object.entries({ width, height, margin, dpr, cssWidth }).every(
        ([key, value]) => measures[/** @type {"width"} */ (key)] === value,
      )
    ) {
      return false;
    }
    Object.assign(this, measures);
    this.scale = (this.cssWidth - 2 * PAD) / (this.width + 2 * this.margin);
    this.px = 1 / this.scale;
    this.cssHeight = Math.ceil(2 * PAD + (this.height + 2 * this.margin) * this.scale);
    return true;
  }

  /**
   * A place on the stage, in CSS pixels, as a place in the image.
   * @param {number} x
   * @param {number} y
   */
  toImage(x, y) {
    return [(x - PAD) / this.scale - this.margin, (y - PAD) / this.scale - this.margin];
  }

  /**
   * Let a context draw in image pixels.
   * @param {CanvasRenderingContext2D} context
   */
  inImagePixels(context) {
    const unit = this.scale * this.dpr;
    const origin = (PAD + this.margin * this.scale) * this.dpr;
    context.setTransform(unit, 0, 0, unit, origin, origin);
  }

  /**
   * A line's thickness in device pixels, and the first pixel that it covers about a coordinate: whole ones, or it blurs.
   * @param {number} width
   */
  pen(width) {
    const { dpr, scale, margin } = this;
    const thick = Math.max(1, Math.round(width * dpr));
    /** @param {number} value */
    const first = (value) => Math.round((PAD + (value + margin) * scale) * dpr - thick / 2);
    return { thick, first };
  }

  /**
   * A look by its key or its index in the palette.
   * @param {string | number | Look} state
   */
  look(state) {
    if (typeof state === "object") return state;
    return typeof state === "number" ? this.palette[state] : this.palette.find(({ key }) => key === state);
  }

  /**
   * Draw a box.
   * @param {CanvasRenderingContext2D} context
   * @param {Box} box
   * @param {string | number | Look} state
   * @param {How} [how]
   */
  strokeBox(context, box, state, { fill = 0, cased = true, wider = 0 } = {}) {
    const look = this.look(state);
    if (!look) throw new Error(`the palette has no state ${state}`);
    const { thick, first } = this.pen(look.width + wider);
    const [left, top, right, bottom] = [...box].map((value) => first(value) + thick / 2);
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    if (fill) {
      context.globalAlpha = fill;
      context.fillStyle = look.color;
      context.fill();
      context.globalAlpha = 1;
    }
    context.setLineDash(look.dash.map((length) => length * this.dpr));
    for (const [style, extra] of /** @type {[string, number][]} */ (
      cased
        ? [
            [CASING, 2 * this.dpr],
            [look.color, 0],
          ]
        : [[look.color, 0]]
    )) {
      context.strokeStyle = style;
      context.lineWidth = thick + extra;
      context.stroke();
    }
    context.restore();
  }
}

export { PAD, View };
