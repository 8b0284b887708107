/* The box canvas: an image under thousands of boxes, drawn in the browser without asking Python.

   Everything hangs on one function, which an explorer's script may use too (bundle.py joins the files):

       import { createCanvas } from "../js/canvas/box_canvas.js";
       function render({ model, el }) {
         const canvas = createCanvas({ model, el, onPointer(x, y) { canvas.setReadout(`x ${x}, y ${y}`); } });
         return () => canvas.destroy();
       }
       export default { render };

   Most explorers extend the class in js/explorer.js, which does that much for them. `model` and `el` are those that
   anywidget hands to render. The traits of BoxCanvas are read from the model; an explorer adds traits of its own.
   Lengths are image pixels unless it says CSS pixels.

   Keys, with the canvas focused: Tab walks the editable boxes (all, if none is) and past the last one leaves; after
   Escape, which deselects the box, it leaves at once. Arrows move the selected box by 1 px, with Shift by 10, with Alt
   or Ctrl they move its lower right corner. Where there is no box that can be moved, arrows move a crosshair, which points
   as the mouse does.

   To measure, set globalThis.boxCanvasTimings = []: each frame adds {kind, ms}, the script's time from event to drawn. */

import { Controls } from "../kit/controls.js";
import { element, keepHeight } from "../kit/layout.js";
import { Listeners, tell } from "../kit/traits.js";
import { BoxSet } from "./box_set.js";
import { Filters } from "./filters.js";
import { Hand } from "./hand.js";
import { HELP, Keyboard } from "./keyboard.js";
import { Layers } from "./layers.js";
import { Legend } from "./legend.js";
import { Sync } from "./sync.js";
import { View } from "./view.js";

/** @typedef {import("../detector/boxes.js").Box} Box */
/** @typedef {{ index: number | null, final: boolean }} Change  Box `index` is moved by the hand, which has let go once `final`; null: several or all have moved */

/**
 * What the canvas calls; both draw functions draw in image pixels.
 * @typedef {object} Hooks
 * @property {(x: number, y: number) => void} [onPointer]  The pointer, or the keyboard's crosshair, has moved
 * @property {() => void} [onLeave]  It has left the image
 * @property {(index: number | null) => void} [onHover]  Another box is the smallest under the pointer
 * @property {(index: number | null) => void} [onSelect]  Another box is selected
 * @property {(x: number, y: number, index: number | null) => void} [onClick]  Pressed and released in one place, or Enter
 * @property {(boxes: Float32Array, what: Change) => void} [onBoxesChanged]
 * @property {(box: Box) => number | null} [onDraw]  A drag begins beside all boxes: the index of a new one that it draws, or null
 * @property {() => boolean} [onDelete]  Delete was pressed; whether the explorer has made something of it
 * @property {(context: CanvasRenderingContext2D, view: View) => void} [drawUnder]  After the image, before the boxes
 * @property {(context: CanvasRenderingContext2D, view: View) => void} [drawOver]  After the boxes, in every frame
 */

/**
 * Where an explorer has `ownBoxes`, it tells Python itself of what the hand moves.
 * @typedef {import("../kit/traits.js").Context & { pointerStep?: number, ownBoxes?: boolean } & Hooks} Options
 */

const AT_REST = "Point at a box to read about it.";

let canvases = 0;

class BoxCanvas {
  set = new BoxSet();
  view = new View();
  /** @type {number | null} */
  hovered = null;
  /** @type {number | null} */
  selected = null;
  /** @type {string | null} */
  readout = null;
  /** @type {Set<string>} What the next frame must do: "over", "boxes", "under", "shown" (and so "boxes"). */
  pending = new Set();
  frameRequest = 0;
  spent = 0; // ms in event handlers since the last frame
  spentOn = "data";

  /** @param {Options} options */
  constructor({ model, el, pointerStep = 8, ownBoxes = false, ...hooks }) {
    this.model = model;
    this.ownBoxes = ownBoxes;
    /** @type {Hooks} */
    this.hooks = hooks;
    this.listeners = new Listeners(model);
    this.root = element("div", "box-canvas", el);
    this.stage = element("div", "box-canvas-stage", this.root);
    this.layers = new Layers(this.stage, this);
    this.line = element("div", "box-canvas-readout", this.root);
    this.filters = new Filters(this);
    this.legend = new Legend(this);
    this.controls = element("div", "box-canvas-row box-canvas-controls", this.root);
    this.inputs = new Controls(model, this.listeners, this.controls, (handler) => this.timed("filter", handler));
    this.live = element("div", "box-canvas-unseen", this.root);
    this.live.setAttribute("aria-live", "polite");
    this.nameStage();
    this.hand = new Hand(this);
    this.keyboard = new Keyboard(this, pointerStep);
    this.sync = new Sync(this);
    this.start();
  }

  nameStage() {
    const help = element("div", "box-canvas-unseen", this.root, HELP);
    help.id = `box-canvas-help-${++canvases}`;
    this.stage.tabIndex = 0;
    this.stage.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute("aria-roledescription", "image with boxes");
    this.stage.setAttribute("aria-describedby", help.id);
  }

  // ------------------------------------------------------------------------------------------- what explorers read

  get boxes() {
    return this.set.boxes;
  }

  get states() {
    return this.set.states;
  }

  get scores() {
    return this.set.scores;
  }

  get captions() {
    return this.set.captions;
  }

  get palette() {
    return this.view.palette;
  }

  get pointer() {
    return this.hand.pointer;
  }

  /** The image, which the hand cannot move boxes out of; null if it can. */
  get limits() {
    return this.model.get("stay_inside") ? this.view : null;
  }

  // ------------------------------------------------------------------------------------------- what explorers call

  /** @param {import("../kit/controls.js").SliderOptions} options */
  addSlider(options) {
    return this.inputs.addSlider(options);
  }

  /** @param {Parameters<Controls["addCheckbox"]>[0]} options */
  addCheckbox(options) {
    return this.inputs.addCheckbox(options);
  }

  /** @param {Parameters<Controls["addChooser"]>[0]} options */
  addChooser(options) {
    return this.inputs.addChooser(options);
  }

  /**
   * Replace all boxes. They stay in the browser: Python is told only of what the hand does.
   * @param {ArrayLike<number>} boxes
   * @param {import("./box_set.js").Known} [known]
   */
  setBoxes(boxes, known = {}) {
    this.set.replace(boxes, known);
    this.dropGone();
    this.pending.add("shown");
    this.redraw("boxes");
  }

  /** @param {ArrayLike<number>} states */
  setStates(states) {
    this.set.states = Uint8Array.from(states);
    this.pending.add("shown");
    this.redraw("boxes");
  }

  /**
   * Move one box, as the hand would: Python is told.
   * @param {number} index
   * @param {Box} box
   * @param {boolean} [final]
   */
  moveBox(index, box, final = true) {
    this.moveBoxes([{ index, box }], final);
  }

  /**
   * Move several boxes in one message: of two edits in a row Python might hear only the second.
   * @param {{ index: number, box: Box }[]} moves
   * @param {boolean} [final]
   */
  moveBoxes(moves, final = true) {
    /** @type {DataView | null} */
    const kept = this.model.get("boxes"); // written to as well, so that a second view of this model starts from it
    for (const { index, box } of moves) {
      this.boxes.set(box, 4 * index);
      if (kept?.byteLength !== 4 * this.boxes.length) continue;
      for (let k = 0; k < 4; k++) kept.setFloat32(16 * index + 4 * k, box[k], true);
    }
    const [{ index }] = moves;
    const alone = moves.length === 1;
    this.hooks.onBoxesChanged?.(this.boxes, { index: alone ? index : null, final });
    if (!this.ownBoxes) this.tellMoves(moves, final);
    if (final) this.pending.add("shown");
    this.redraw(alone && index === this.selected ? "over" : "boxes");
  }

  /**
   * @param {{ index: number }[]} moves
   * @param {boolean} final
   */
  tellMoves(moves, final) {
    const told = moves.map(({ index }) => ({ index, box: [...this.set.box(index)] }));
    tell(this.model, { _edit: { number: (this.model.get("_edit").number ?? 0) + 1, moves: told, final } });
  }

  /** @param {number | null} index */
  select(index) {
    if (index === this.selected) return;
    const { editable } = this.set;
    const lifts = [this.selected, index].some((one) => one !== null && editable[one]); // it moves between the layers
    this.selected = index;
    this.hooks.onSelect?.(index);
    tell(this.model, { selected: index });
    this.redraw(lifts ? "boxes" : "over");
  }

  /** @param {number | null} index */
  setHovered(index) {
    if (index === this.hovered) return;
    this.hovered = index;
    this.hooks.onHover?.(index);
    tell(this.model, { hovered: index });
    this.redraw();
  }

  /**
   * What the line under the image says.
   * @param {string | null} text  Null gives the line back to the box under the pointer
   */
  setReadout(text) {
    if (text === this.readout) return;
    this.readout = text;
    this.redraw();
  }

  /**
   * Say something to a screen reader.
   * @param {string} text
   */
  announce(text) {
    this.live.textContent = text;
  }

  /** @param {number} index */
  describe(index) {
    return this.set.describe(index, this.palette[this.states[index]]?.label ?? "");
  }

  /**
   * Draw again in the next frame.
   * @param {"over" | "boxes" | "under" | "shown"} [what]  With all above it
   */
  redraw(what = "over") {
    this.pending.add(what);
    this.frameRequest ||= requestAnimationFrame(() => this.frame());
  }

  /** Take everything away again. */
  destroy() {
    this.listeners.forget();
    cancelAnimationFrame(this.frameRequest);
    this.layers.close();
    this.root.remove();
  }

  // ------------------------------------------------------------------------------------------- frames

  /**
   * A handler whose time counts into the next frame's.
   * @param {string | (() => string)} kind
   * @param {(event: any) => void} handler
   */
  timed = (kind, handler) => (/** @type {any} */ event) => {
    const started = performance.now();
    handler(event);
    this.spent += performance.now() - started;
    this.spentOn = typeof kind === "string" ? kind : kind();
  };

  frame() {
    const started = performance.now();
    const todo = this.pending;
    this.frameRequest = 0;
    if (!this.view.cssWidth) return; // layout will paint
    this.pending = new Set();
    if (todo.has("shown")) this.refilter();
    if (todo.has("under")) this.layers.drawUnder();
    if (todo.size > 1 || !todo.has("over")) this.layers.drawBoxes();
    this.layers.drawOver();
    this.writeReadout();
    globalThis.boxCanvasTimings?.push({ kind: this.spentOn, ms: this.spent + performance.now() - started });
    [this.spent, this.spentOn] = [0, "data"];
  }

  refilter() {
    const [minScore, minSize, hidden] = ["min_score", "min_size", "hidden_states"].map((trait) =>
      this.model.get(trait),
    );
    this.set.filter({ minScore, minSize, hidden });
    if (this.hovered !== null && !this.set.shown[this.hovered]) this.setHovered(null);
    this.legend.draw();
  }

  writeReadout() {
    const { grab } = this.hand;
    const index = grab ? grab.index : (this.hovered ?? this.selected);
    const atRest = this.set.shown.includes(1) ? AT_REST : "";
    const text = this.readout ?? (index === null ? atRest : this.describe(index));
    if (this.line.textContent !== text) this.line.textContent = text;
  }

  layout() {
    const room = this.root.clientWidth - 2 * Number.parseFloat(getComputedStyle(this.root).paddingLeft);
    if (!(room > 0)) return; // not on the page yet, or in a hidden tab; the observer calls again
    const [width, height] = this.model.get("_image_size");
    const cssWidth = Math.floor(Math.min(room, this.model.get("width")));
    const dpr = window.devicePixelRatio || 1;
    if (!this.view.fit({ width, height, margin: this.model.get("margin"), dpr, cssWidth })) return;
    this.stage.style.width = `${this.view.cssWidth}px`;
    this.stage.style.height = `${this.view.cssHeight}px`;
    this.layers.resize();
    cancelAnimationFrame(this.frameRequest);
    this.pending.add("under").add("shown");
    this.frame(); // now, or the cleared canvas flashes
  }

  // ------------------------------------------------------------------------------------------- start and size

  start() {
    const observer = new ResizeObserver(() => this.layout());
    observer.observe(this.root);
    this.listeners.undo.push(() => observer.disconnect());
    this.followZoom();
    for (const part of [this.line, this.legend.row]) this.listeners.undo.push(keepHeight(part));
    this.sync.readAll();
    this.filters.build();
    this.widen();
    this.sync.readImage();
    queueMicrotask(() => {
      // once the caller has the canvas, which its hooks may ask
      this.hooks.onBoxesChanged?.(this.boxes, { index: null, final: true });
      this.layout();
    });
  }

  /** Boxes that were hovered or selected may have gone. */
  dropGone() {
    if (this.selected !== null && this.selected >= this.set.count) this.select(null);
    if (this.hovered !== null && this.hovered >= this.set.count) this.setHovered(null);
  }

  widen() {
    this.root.style.width = `${this.model.get("width") + 8}px`;
  }

  followZoom() {
    let forget = () => {};
    const follow = () => {
      const media = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
      const changed = () => {
        this.layout();
        follow();
      };
      media.addEventListener("change", changed, { once: true });
      forget = () => media.removeEventListener("change", changed);
    };
    follow();
    this.listeners.undo.push(() => forget());
  }
}

/**
 * @param {Options} options
 * @returns {BoxCanvas}
 */
function createCanvas(options) {
  return new BoxCanvas(options);
}

/** @param {import("../kit/traits.js").Context} context */
function render({ model, el }) {
  const canvas = createCanvas({ model, el });
  return () => canvas.destroy();
}

export { BoxCanvas, createCanvas };
export default { render };
