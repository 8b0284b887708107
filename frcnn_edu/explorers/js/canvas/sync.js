/* What Python says: the canvas's traits, read at the start and whenever they change. */

import { floats, numbers } from "../kit/traits.js";

const BOX_TRAITS = ["boxes", "states", "scores", "editable", "captions", "palette"];

class Sync {
  /** @type {Set<string>} Traits that have arrived together. */
  arrived = new Set();

  /** @param {import("./box_canvas.js").BoxCanvas} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.model = canvas.model;
    const { layers, listeners } = canvas;
    for (const trait of [...BOX_TRAITS, "filters"]) listeners.traits([trait], () => this.arrive(trait));
    listeners.traits(["min_score", "min_size", "hidden_states"], () => canvas.redraw("shown"));
    listeners.traits(["grid", "overlay_extent"], () => canvas.redraw("under"));
    listeners.traits(["texts", "show_captions"], () => canvas.redraw());
    listeners.traits(["points", "lines"], () => {
      layers.readPoints();
      canvas.redraw("under");
    });
    listeners.traits(["overlay", "_overlay_size"], () => {
      layers.readOverlay();
      canvas.redraw("under");
    });
    listeners.traits(["width", "margin"], () => {
      canvas.widen();
      canvas.layout();
    });
    listeners.traits(["_image_bytes"], () => this.readImage());
    listeners.traits(["_edit"], () => this.takeEdit());
    listeners.traits(["title"], () => this.readTitle());
    listeners.traits(["selected"], () => this.takeSelected());
  }

  readAll() {
    this.read(BOX_TRAITS);
    this.canvas.selected = this.model.get("selected");
    this.canvas.layers.readPoints();
    this.canvas.layers.readOverlay();
    this.readTitle();
  }

  readTitle() {
    this.canvas.stage.setAttribute("aria-label", this.model.get("title"));
  }

  /** @param {Iterable<string>} traits */
  read(traits) {
    const { model } = this;
    const { set, view, legend } = this.canvas;
    for (const trait of traits) {
      if (trait === "boxes" || trait === "scores") set[trait] = floats(model, trait);
      else if (trait === "states" || trait === "editable") set[trait] = numbers(model, trait, Uint8Array);
      else if (trait === "captions") set.captions = model.get("captions");
      else if (trait === "palette") {
        view.palette = model.get("palette");
        legend.reset();
      }
    }
  }

  /**
   * Traits that arrive in one message raise one event each; all are read before the first is acted on.
   * @param {string} trait
   */
  arrive(trait) {
    if (!this.arrived.size) queueMicrotask(() => this.takeIn());
    this.arrived.add(trait);
  }

  takeIn() {
    const { canvas, arrived } = this;
    this.arrived = new Set();
    this.read(arrived);
    if (canvas.boxes.length !== 4 * canvas.set.count) return; // the rest is still on its way
    if (arrived.has("boxes")) canvas.hand.keepHold();
    if (canvas.selected !== null && canvas.selected >= canvas.set.count) canvas.selected = null;
    if (canvas.hovered !== null && canvas.hovered >= canvas.set.count) canvas.hovered = null;
    if (arrived.has("filters")) canvas.filters.build();
    else if (arrived.has("boxes") || arrived.has("scores")) canvas.filters.span();
    if (arrived.has("boxes")) canvas.hooks.onBoxesChanged?.(canvas.boxes, { index: null, final: true });
    canvas.pending.add("shown");
    canvas.redraw("boxes");
  }

  /** Another view of this model has moved boxes. */
  takeEdit() {
    const { canvas } = this;
    /** @type {{ moves?: { index: number, box: number[] }[] }} */
    const { moves = [] } = this.model.get("_edit");
    const news = moves.filter(({ index, box }) => {
      return index < canvas.set.count && box.some((value, k) => value !== canvas.boxes[4 * index + k]);
    });
    if (!news.length) return; // it was this view
    for (const { index, box } of news) canvas.boxes.set(box, 4 * index);
    canvas.hooks.onBoxesChanged?.(canvas.boxes, { index: news.length === 1 ? news[0].index : null, final: true });
    canvas.pending.add("shown");
    canvas.redraw("boxes");
  }

  takeSelected() {
    const { canvas } = this;
    const selected = this.model.get("selected");
    if (selected === canvas.selected) return;
    canvas.selected = selected;
    canvas.hooks.onSelect?.(selected);
    canvas.redraw("boxes");
  }

  async readImage() {
    const { canvas } = this;
    try {
      await canvas.layers.readImage();
      if (!canvas.ownBoxes) canvas.legend.reset(); // else it is the same scene, painted anew
    } catch (error) {
      canvas.setReadout(`The browser cannot show this image: ${/** @type {Error} */ (error).message}`);
    }
    canvas.layout();
    canvas.pending.add("shown");
    canvas.redraw("under");
  }
}

export { Sync };
