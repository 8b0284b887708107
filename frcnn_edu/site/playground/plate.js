/* A plate: one picture of a stage. It is painted while it can be seen, and says which anchor lies under the pointer. */

import { PAD, View } from "../../explorers/js/canvas/view.js";
import { element } from "../../explorers/js/kit/layout.js";
import { COLORS, withAlpha } from "../../explorers/js/kit/palette.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./pass.js").Pass} Pass */
/** @typedef {import("./pass.js").Life} Life */
/** @typedef {CanvasRenderingContext2D} Pen */
/** @typedef {{ width: number, height: number, ink: string }} Extent */

const VEIL = withAlpha(COLORS.black, 0.55);
/** @type {Record<string, number[]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class Plate {
  visible = false;
  width = 0;
  height = 0;

  /**
   * @param {Board} board
   * @param {HTMLElement} parent
   * @param {string} label
   */
  constructor(board, parent, label) {
    this.board = board;
    this.canvas = element("canvas", "plate", parent);
    this.pen = /** @type {Pen} */ (this.canvas.getContext("2d"));
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "picture of a stage");
    this.canvas.setAttribute("aria-label", label);
    this.canvas.setAttribute("aria-describedby", "plate-help");
    board.plates.push(this);
    this.listen();
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    new IntersectionObserver(([{ isIntersecting }]) => {
      this.visible = isIntersecting;
      if (isIntersecting) this.paint();
    }).observe(this.canvas);
  }

  listen() {
    const { canvas, board } = this;
    canvas.addEventListener("pointermove", (event) => board.point(this.anchorUnder(event)));
    canvas.addEventListener("pointerleave", () => board.point(null));
    canvas.addEventListener("click", (event) => {
      if (!board.pass) return;
      this.press(event.offsetX, event.offsetY, board.pass);
      board.pin(this.anchorUnder(event));
    });
    canvas.addEventListener("keydown", (event) => {
      const { pass, focus } = board;
      if (!pass || focus === null) return;
      if (event.key === "Escape") board.pin(board.pinned);
      else if (event.key in ARROWS) {
        const next = this.step(pass, pass.life(focus), ARROWS[event.key]);
        if (next !== null) board.walk(next);
      } else return;
      event.preventDefault();
    });
  }

  /** @param {MouseEvent} event */
  anchorUnder({ offsetX, offsetY }) {
    return this.board.pass && this.anchorAt(this.board.pass, offsetX, offsetY);
  }

  paint() {
    const { canvas, board } = this;
    const { pass, focus } = board;
    const width = canvas.clientWidth;
    if (!width) return;
    const height = Math.round(this.heightFor(width, pass));
    const dpr = window.devicePixelRatio || 1;
    if (width !== this.width || height !== this.height || canvas.width !== Math.round(width * dpr)) {
      [this.width, this.height] = [width, height];
      canvas.style.height = `${height}px`;
      Object.assign(canvas, { width: Math.round(width * dpr), height: Math.round(height * dpr) });
    }
    const { pen } = this;
    pen.setTransform(dpr, 0, 0, dpr, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!pass || focus === null) return;
    const { color } = getComputedStyle(canvas);
    Object.assign(pen, { font: "12px system-ui, sans-serif", fillStyle: color, strokeStyle: color, textAlign: "left" });
    pen.save();
    this.draw(pen, pass, pass.life(focus), { width, height, ink: color });
    pen.restore();
  }

  // What each kind of plate says for itself; places and lengths are in CSS pixels.

  /**
   * @param {number} width
   * @param {Pass | null} _pass
   */
  heightFor(width, _pass) {
    return width;
  }

  /**
   * @param {Pen} _pen
   * @param {Pass} _pass
   * @param {Life} _life
   * @param {Extent} _extent
   */
  draw(_pen, _pass, _life, _extent) {}

  /**
   * @param {Pass} _pass
   * @param {number} _x
   * @param {number} _y
   * @returns {number | null}
   */
  anchorAt(_pass, _x, _y) {
    return null;
  }

  /**
   * The anchor that an arrow leads to.
   * @param {Pass} pass
   * @param {Life} life
   * @param {number[]} arrow
   * @returns {number | null}
   */
  step(pass, life, arrow) {
    return cellStep(pass, life, arrow);
  }

  /**
   * What else a click does.
   * @param {number} _x
   * @param {number} _y
   * @param {Pass} _pass
   */
  press(_x, _y, _pass) {}
}

/**
 * The same anchor of the next cell.
 * @param {Pass} _pass
 * @param {Life} life
 * @param {number[]} arrow
 */
function cellStep(_pass, { anchor, level, row, column }, [dx, dy]) {
  const inside = column + dx >= 0 && column + dx < level.columns && row + dy >= 0 && row + dy < level.rows;
  return inside ? anchor + (dy * level.columns + dx) * level.perCell : null;
}

/** A plate on which the image lies, darkened; what is drawn on it is in pixels of the image that the network sees. */
class ImagePlate extends Plate {
  view = new View();

  /**
   * @param {number} width
   * @param {Pass | null} pass
   */
  heightFor(width, pass) {
    if (!pass) return width;
    this.view.fit({ ...pass.size, margin: 0, dpr: window.devicePixelRatio || 1, cssWidth: width });
    return this.view.cssHeight;
  }

  /** @type {Plate["draw"]} */
  draw(pen, pass, life) {
    const { view } = this;
    view.inImagePixels(pen);
    this.drawGround(pen, pass, life);
    this.drawOn(pen, pass, life, view);
  }

  /**
   * @param {Pen} pen
   * @param {Pass} pass
   * @param {Life} _life
   */
  drawGround(pen, { size: { width, height } }, _life) {
    pen.drawImage(this.board.picture, 0, 0, width, height);
    pen.fillStyle = VEIL;
    pen.fillRect(0, 0, width, height);
  }

  /**
   * @param {Pen} _pen
   * @param {Pass} _pass
   * @param {Life} _life
   * @param {View} _view
   */
  drawOn(_pen, _pass, _life, _view) {}

  /** @type {Plate["anchorAt"]} */
  anchorAt(pass, x, y) {
    const [ix, iy] = this.view.toImage(x, y);
    return this.anchorOn(pass, ix, iy);
  }

  /**
   * @param {Pass} _pass
   * @param {number} _x
   * @param {number} _y
   * @returns {number | null}
   */
  anchorOn(_pass, _x, _y) {
    return null;
  }
}

export { ImagePlate, PAD, Plate };
