/* The keyboard on the stage: walking through boxes, moving and resizing them, and a crosshair that points. */

import { centerSize } from "../detector/boxes.js";
import { clamp, pulled } from "./handles.js";

/** @type {Record<string, number[]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const DELETE = ["Delete", "Backspace"];
const BIG_STEP = 10; // Shift's factor
const HELP =
  "Tab: next box. Arrows: move it, or a crosshair if it cannot be moved or none is selected. Shift: ten times as far. " +
  "Alt or Control with arrows: resize. Escape: deselect; then Tab leaves.";

class Keyboard {
  tabLeaves = false;

  /**
   * @param {import("./box_canvas.js").BoxCanvas} canvas
   * @param {number} pointerStep  Image pixels that an arrow moves the crosshair by
   */
  constructor(canvas, pointerStep) {
    this.canvas = canvas;
    this.pointerStep = pointerStep;
    canvas.listeners.on(
      canvas.stage,
      "keydown",
      canvas.timed("key", (event) => this.onKey(event)),
    );
    canvas.listeners.on(canvas.stage, "focus", () => {
      this.tabLeaves = false;
    });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (!this.take(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} Whether the key was meant for the canvas
   */
  take(event) {
    const { canvas } = this;
    const { pointer } = canvas.hand;
    if (event.key in ARROWS) this.onArrow(ARROWS[event.key], event);
    else if (event.key === "Tab") return this.onTab(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") this.onEscape();
    else if (DELETE.includes(event.key)) return canvas.hooks.onDelete?.() ?? false;
    else if (event.key === "Enter" && pointer) {
      canvas.select(canvas.hovered);
      canvas.hooks.onClick?.(pointer.x, pointer.y, canvas.hovered);
    } else return false;
    return true;
  }

  /**
   * @param {number[]} arrow
   * @param {KeyboardEvent} event
   */
  onArrow([ax, ay], event) {
    const { canvas } = this;
    const { set, selected } = canvas;
    const far = event.shiftKey ? BIG_STEP : 1;
    this.tabLeaves = false;
    if (selected === null || !set.editable[selected]) {
      this.pointFurther(ax * far * this.pointerStep, ay * far * this.pointerStep);
    } else {
      const resize = event.altKey || event.ctrlKey;
      const side = { sx: resize ? Math.abs(ax) : 0, sy: resize ? Math.abs(ay) : 0 };
      canvas.moveBox(selected, pulled([...set.box(selected)], side, [ax * far, ay * far], canvas.limits), true);
      canvas.announce(canvas.describe(selected));
    }
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  pointFurther(dx, dy) {
    const { canvas } = this;
    const { width, height } = canvas.view;
    const [x, y] =
      canvas.selected === null ? [width / 2, height / 2] : centerSize([...canvas.set.box(canvas.selected)]);
    const from = canvas.hand.pointer ?? { x, y };
    canvas.hand.pointAt(clamp(from.x + dx, 0, width), clamp(from.y + dy, 0, height), true);
    canvas.announce(canvas.hovered === null ? "no box here" : canvas.describe(canvas.hovered));
  }

  /**
   * Go to the next box.
   * @param {number} direction
   * @returns {boolean} False if there is none: the browser may move the focus out of the canvas
   */
  onTab(direction) {
    const { canvas } = this;
    const { set, selected } = canvas;
    const stops = set.numEditable ? set.movable : set.indices((i) => set.shown[i] === 1);
    const at = selected === null ? (direction > 0 ? -1 : stops.length) : stops.indexOf(selected);
    const next = at + direction;
    if (this.tabLeaves || next < 0 || next >= stops.length) {
      canvas.select(null);
      return false;
    }
    canvas.hand.leave();
    canvas.select(stops[next]);
    canvas.announce(canvas.describe(stops[next]));
    return true;
  }

  onEscape() {
    this.canvas.hand.drop();
    this.canvas.hand.leave();
    this.canvas.select(null);
    this.tabLeaves = true;
    this.canvas.announce("nothing selected");
  }
}

export { HELP, Keyboard };
