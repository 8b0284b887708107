/* The pointer on the stage: hovering, pressing, dragging boxes and their handles. */

import { cursorOf, handleAt, pulled } from "./handles.js";

/** @typedef {import("../detector/boxes.js").Box} Box */

/**
 * What the hand holds: box `index` (or null, if it has pressed beside all) since it was at `from`; `now` once it moves.
 * A box that is `drawn` has begun there.
 * @typedef {{ index: number | null, sx: number, sy: number, from: number[], box: Box, now: Box | null, drawn: boolean }} Grab
 */

const SLACK = 3; // CSS pixels outside a box that still count as inside, for the thin ones
const FINGER = 2.5; // how much further a finger reaches than the mouse
const DRAG_START = 3; // CSS pixels that make a press a drag
const DECIMALS = 10; // the mouse places boxes on tenths of a pixel

/** @param {number} value */
const tenth = (value) => Math.round(value * DECIMALS) / DECIMALS;

class Hand {
  /** @type {Grab | null} */
  grab = null;
  /** @type {{ x: number, y: number, byKey: boolean } | null} */
  pointer = null;

  /** @param {import("./box_canvas.js").BoxCanvas} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    const { listeners, stage, timed } = canvas;
    const kind = () => (this.grab ? "drag" : "hover");
    listeners.on(
      stage,
      "pointermove",
      timed(kind, (event) => this.onMove(event)),
    );
    listeners.on(
      stage,
      "pointerdown",
      timed("press", (event) => this.onDown(event)),
    );
    for (const end of ["pointerup", "pointercancel"])
      listeners.on(
        stage,
        end,
        timed("press", (event) => this.onUp(event)),
      );
    const holdPage = (/** @type {TouchEvent} */ event) => {
      if (this.grab && this.grab.index !== null) event.preventDefault(); // or the page would scroll with the box
    };
    listeners.on(stage, "touchstart", holdPage, { passive: false });
    listeners.on(stage, "pointerleave", () => {
      if (!this.grab) this.leave();
    });
    listeners.on(stage, "blur", () => {
      if (this.pointer?.byKey) this.leave();
    });
  }

  /**
   * The smallest box at a place. What is to be moved is the selected one, of boxes that nearly coincide.
   * @param {number} x
   * @param {number} y
   * @param {boolean} [onlyEditable]
   * @param {number} [reach]
   */
  boxAt(x, y, onlyEditable = false, reach = 1) {
    const { set, selected, view } = this.canvas;
    const preferred = onlyEditable ? selected : null;
    return set.smallestAt(x, y, SLACK * reach * view.px, { onlyEditable, preferred });
  }

  /**
   * Point at a place in the image, by mouse or by the keyboard's crosshair.
   * @param {number} x
   * @param {number} y
   * @param {boolean} [byKey]
   */
  pointAt(x, y, byKey = false) {
    this.pointer = { x, y, byKey };
    this.canvas.setHovered(this.boxAt(x, y));
    this.canvas.hooks.onPointer?.(x, y);
    this.canvas.redraw();
  }

  leave() {
    if (!this.pointer) return;
    this.pointer = null;
    this.canvas.setHovered(null);
    this.canvas.hooks.onLeave?.();
    this.canvas.redraw();
  }

  /** @param {PointerEvent} event */
  placeOf(event) {
    const place = this.canvas.stage.getBoundingClientRect();
    return this.canvas.view.toImage(event.clientX - place.left, event.clientY - place.top);
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    const [x, y] = this.placeOf(event);
    if (this.grab) this.pull(this.grab, x, y);
    else {
      this.pointAt(x, y);
      this.canvas.stage.style.cursor = this.cursorAt(x, y);
    }
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  cursorAt(x, y) {
    const { set, selected, view } = this.canvas;
    const handle = handleAt(set, selected, view, x, y);
    if (handle) return cursorOf(handle);
    return this.boxAt(x, y, true) === null ? "crosshair" : "move";
  }

  /**
   * @param {Grab} grab
   * @param {number} x
   * @param {number} y
   */
  pull(grab, x, y) {
    const { canvas } = this;
    const [dx, dy] = [tenth(x - grab.from[0]), tenth(y - grab.from[1])];
    if (!grab.now && Math.hypot(dx, dy) * canvas.view.scale < DRAG_START) return;
    if (grab.index === null) {
      grab.index = canvas.hooks.onDraw?.(grab.box) ?? null;
      if (grab.index === null) return;
      Object.assign(grab, { box: [...canvas.set.box(grab.index)], drawn: true });
    }
    if (!grab.now) canvas.select(grab.index);
    if (grab.drawn) [grab.sx, grab.sy] = [Math.sign(dx) || 1, Math.sign(dy) || 1]; // from where it was pressed
    grab.now = pulled(grab.box, grab, [dx, dy], canvas.limits);
    this.pointer = { x, y, byKey: false };
    canvas.moveBox(grab.index, grab.now, false);
    canvas.hooks.onPointer?.(x, y);
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    if (event.button !== 0) return;
    const { set, selected, stage, view } = this.canvas;
    const [x, y] = this.placeOf(event);
    stage.focus(/** @type {FocusOptions} */ ({ preventScroll: true, focusVisible: false }));
    this.pointAt(x, y);
    const reach = event.pointerType === "touch" ? FINGER : 1;
    const handle = handleAt(set, selected, { scale: view.scale, px: reach * view.px }, x, y);
    const { index, sx, sy } = handle ?? { index: this.boxAt(x, y, true, reach), sx: 0, sy: 0 };
    const box = index === null ? [x, y, x, y] : [...set.box(index)];
    this.grab = { index, sx, sy, from: [x, y], box, now: null, drawn: false };
    if (sx || sy) this.canvas.select(index);
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  onUp(event) {
    if (!this.grab) return;
    const { index, now, sx, sy } = this.grab;
    const { canvas } = this;
    const [x, y] = this.placeOf(event);
    this.grab = null;
    if (index !== null && now) canvas.moveBox(index, now, true);
    else if (event.type === "pointerup") {
      if (!sx && !sy) canvas.select(canvas.hovered);
      canvas.hooks.onClick?.(x, y, canvas.hovered);
    }
    this.pointAt(x, y);
  }

  /** Let go, and put the box back where it was. */
  drop() {
    if (!this.grab) return;
    const { index, now, box } = this.grab;
    this.grab = null;
    if (index !== null && now) this.canvas.moveBox(index, box, true);
  }

  /** New boxes have come: hold on to the one in hand, if it is among them. */
  keepHold() {
    const { grab } = this;
    if (!grab || grab.index === null) return;
    if (grab.index >= this.canvas.set.count) this.grab = null;
    else if (grab.now) this.canvas.set.boxes.set(grab.now, 4 * grab.index);
  }
}

export { Hand };
