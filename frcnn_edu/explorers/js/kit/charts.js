/* Small charts beside the picture. */

import { element } from "./layout.js";
import { onGround } from "./palette.js";

/** @typedef {{ width: number, height: number, ink: string }} Size */
/** @typedef {{ left: number, right: number, top: number, bottom: number }} Place */

/**
 * A small canvas of its own, narrower than `width` where the page is. `draw` works in CSS pixels, on a cleared canvas.
 *
 * What was painted before it came to the page had no theme to take its ink from, so it is painted again there, and
 * when the theme changes.
 * @param {HTMLElement} parent
 * @param {string} label
 * @param {number} width
 * @param {number} height
 * @param {(context: CanvasRenderingContext2D, size: Size) => void} draw
 */
function addChart(parent, label, width, height, draw) {
  const picture = element("canvas", "explorer-chart", parent);
  const context = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", label);
  Object.assign(picture.style, { width: `${width}px`, height: `${height}px` });
  let painted = false;
  const paint = () => {
    painted = true;
    const ratio = window.devicePixelRatio || 1;
    const wide = picture.clientWidth || width;
    Object.assign(picture, { width: wide * ratio, height: height * ratio }); // which clears it
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { color } = getComputedStyle(parent);
    Object.assign(context, { font: "12px system-ui, sans-serif", fillStyle: color, strokeStyle: color });
    draw(context, { width: wide, height, ink: color });
  };
  const themes = new MutationObserver(() => {
    if (!picture.isConnected) themes.disconnect();
    else if (painted) paint();
  });
  new ResizeObserver(() => {
    themes.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
    if (painted) paint();
  }).observe(picture);
  return { paint, picture };
}

/** Axes of a chart: `across` and `up` say where a value lies, from `x` and `y`, the ranges that the axes show. */
class Plot {
  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Size} size
   * @param {Place} place  Room for labels round the plot
   * @param {number[]} [x]
   * @param {number[]} [y]
   */
  constructor(context, size, place, x = [0, 1], y = [0, 1]) {
    this.context = context;
    this.ink = size.ink;
    this.left = place.left;
    this.top = place.top;
    this.width = size.width - place.left - place.right;
    this.height = size.height - place.top - place.bottom;
    this.end = size.height;
    this.full = size.width;
    this.x = x;
    this.y = y;
  }

  /** @param {number} value */
  across(value) {
    return this.left + ((value - this.x[0]) / (this.x[1] - this.x[0])) * this.width;
  }

  /** @param {number} value */
  up(value) {
    return this.top + (1 - (value - this.y[0]) / (this.y[1] - this.y[0])) * this.height;
  }

  /**
   * Faint lines at heights, and at places along the bottom.
   * @param {number[]} rows
   * @param {number[]} [columns]
   */
  rule(rows, columns = []) {
    this.context.globalAlpha = 0.25;
    for (const value of rows) this.context.fillRect(this.left, this.up(value), this.width, 1);
    for (const value of columns) this.context.fillRect(this.across(value), this.top, 1, this.height);
    this.context.globalAlpha = 1;
  }

  /**
   * @param {number[]} values
   * @param {(value: number) => string} [format]
   */
  labelRows(values, format = String) {
    this.context.textAlign = "right";
    for (const value of values) this.context.fillText(format(value), this.left - 6, this.up(value) + 4);
  }

  /**
   * Labels along the bottom, moved so that they end on the chart; one that would touch the one before it is left out.
   * Below them `name`, what they measure.
   * @param {number[]} values
   * @param {string[]} texts
   * @param {string} name
   */
  labelColumns(values, texts, name) {
    this.context.textAlign = "center";
    let free = 0;
    values.forEach((value, i) => {
      const half = this.context.measureText(texts[i]).width / 2 + 3;
      const middle = Math.min(this.across(value), this.full - half);
      if (middle - half < free) return;
      this.context.fillText(texts[i], middle, this.top + this.height + 15);
      free = middle + half;
    });
    this.context.fillText(name, this.left + this.width / 2, this.end - 4);
  }

  /** @param {number} value  Where a line stands upright */
  mark(value) {
    this.context.fillRect(this.across(value) - 0.5, this.top, 1, this.height);
  }

  /**
   * @param {number[][]} points
   * @param {Omit<import("./palette.js").Look, "key" | "label">} look
   */
  curve(points, { color, dash, width }) {
    const { context } = this;
    context.beginPath();
    for (const [x, y] of points) context.lineTo(this.across(x), this.up(y));
    Object.assign(context, { strokeStyle: onGround(color, this.ink), lineWidth: Math.max(width, 1.5) });
    context.setLineDash(dash);
    context.stroke();
    context.setLineDash([]);
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {string} fill
   */
  dot(x, y, fill) {
    const { context } = this;
    context.beginPath();
    context.arc(this.across(x), this.up(y), 6, 0, 2 * Math.PI);
    Object.assign(context, { fillStyle: fill, strokeStyle: this.ink, lineWidth: 1.5 });
    context.fill();
    context.stroke();
    context.fillStyle = this.ink;
  }
}

export { addChart, Plot };
