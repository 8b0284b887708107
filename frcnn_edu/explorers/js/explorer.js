/* What every explorer has: a picture on the left, a panel on the right, and listeners that go when it goes.

   An explorer extends `Explorer`, overrides the hooks that it needs, and exports `explorer(ItsClass)`. */

import { createCanvas } from "./canvas/box_canvas.js";
import { addFigure, columns, controlRow, element, keepHeight, lineSample, setFigures } from "./kit/layout.js";
import { floats, Listeners, tell } from "./kit/traits.js";

/** @typedef {import("./kit/traits.js").Context} Context */
/** @typedef {import("./canvas/box_canvas.js").Change} Change */
/** @typedef {import("./canvas/view.js").View} View */

class Explorer {
  /**
   * @param {Context} context
   * @param {{ pointerStep?: number, ownBoxes?: boolean }} [options]
   */
  constructor({ model, el }, options = {}) {
    this.model = model;
    this.listeners = new Listeners(model);
    const [picture, side] = columns(el);
    this.side = side;
    this.canvas = createCanvas({
      model,
      el: picture,
      ...options,
      onPointer: (x, y) => this.onPointer(x, y),
      onLeave: () => this.onLeave(),
      onHover: (index) => this.onHover(index),
      onSelect: (index) => this.onSelect(index),
      onClick: (x, y, index) => this.onClick(x, y, index),
      onBoxesChanged: (boxes, what) => this.onBoxesChanged(boxes, what),
      onDraw: (box) => this.onDraw(box),
      onDelete: () => this.onDelete(),
      drawUnder: (context, view) => this.drawUnder(context, view),
      drawOver: (context, view) => this.drawOver(context, view),
    });
    this.figures = element("div", "explorer-figures", this.side);
    this.listeners.undo.push(keepHeight(this.figures));
  }

  // The hooks of the canvas, for explorers to override.

  /**
   * @param {number} _x
   * @param {number} _y
   */
  onPointer(_x, _y) {}

  onLeave() {}

  /** @param {number | null} _index */
  onHover(_index) {}

  /** @param {number | null} _index */
  onSelect(_index) {}

  /**
   * @param {number} _x
   * @param {number} _y
   * @param {number | null} _index
   */
  onClick(_x, _y, _index) {}

  /**
   * @param {Float32Array} _boxes
   * @param {Change} _what
   */
  onBoxesChanged(_boxes, _what) {}

  /**
   * @param {import("./detector/boxes.js").Box} _box
   * @returns {number | null}
   */
  onDraw(_box) {
    return null;
  }

  onDelete() {
    return false;
  }

  /**
   * @param {CanvasRenderingContext2D} _context
   * @param {View} _view
   */
  drawUnder(_context, _view) {}

  /**
   * @param {CanvasRenderingContext2D} _context
   * @param {View} _view
   */
  drawOver(_context, _view) {}

  // What explorers use.

  /**
   * @param {string} trait
   * @returns {any}
   */
  get(trait) {
    return this.model.get(trait);
  }

  /** @param {string} trait */
  floats(trait) {
    return floats(this.model, trait);
  }

  /** @param {Record<string, any>} values */
  tell(values) {
    tell(this.model, values);
  }

  /**
   * @param {string[]} traits
   * @param {() => void} act
   */
  on(traits, act) {
    this.listeners.traits(traits, act);
  }

  /** The size of the image. */
  get size() {
    const [width, height] = this.get("_image_size");
    return { width, height };
  }

  /** @param {string[]} texts  What stands between asterisks is bold */
  show(...texts) {
    setFigures(this.figures, texts);
  }

  /**
   * A line of what the lines mean that are not states of boxes, which the legend has.
   * @param {[import("./kit/palette.js").Look, string][]} key
   * @param {HTMLElement} [parent]
   */
  addKey(key, parent = this.side) {
    const line = element("div", "explorer-key", parent);
    for (const [look, name] of key) addFigure(line, ` ${name}`).prepend(lineSample(look));
  }

  /** A row of controls at the end of the panel. */
  addRow() {
    return controlRow(this.side);
  }

  destroy() {
    this.listeners.forget();
    this.canvas.destroy();
  }
}

/**
 * What a script exports to anywidget.
 * @param {new (context: Context) => Explorer} Kind
 */
function explorer(Kind) {
  /** @param {Context} context */
  const render = (context) => {
    const shown = new Kind(context);
    return () => shown.destroy();
  };
  return { render };
}

export { Explorer, explorer };
