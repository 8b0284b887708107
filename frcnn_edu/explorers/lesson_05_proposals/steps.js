/* StepsExplorer: the boxes of one image from step to step, and how many objects each step still reaches.
   Box i of the canvas is anchor i, wherever the step puts it; behind the anchors come the objects. */

import {
  bestFirst,
  boxAreas,
  boxAt,
  centerSize,
  clipBoxes,
  nms,
  pairIou,
  removeSmallBoxes,
} from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addLine, element } from "../js/kit/layout.js";
import { drawLinks } from "../js/kit/paint.js";
import { LOOKS } from "../js/kit/palette.js";
import { iouText, pixels, wholeNumber } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const [HERE, DROPPED, NOT_DRAWN, REACHED_OBJECT, MISSED_OBJECT] = [0, 1, 2, 3, 4]; // the palette of StepsExplorer
const REACHED = 0.7;
const WHAT = [
  "every anchor of the image",
  "moved by its deltas",
  "cut off at the border",
  "no side too short",
  "the best scores",
  "no near copies",
];

class StepsExplorer extends Explorer {
  /** @type {Float32Array[]} Anchors, decoded, clipped. */
  places = [];
  /** @type {Float32Array[]} For each of them the IoU of every box with every object. */
  reach = [];
  objects = new Float32Array(0);
  order = new Uint32Array(0);
  /** @type {ArrayLike<number>[]} For each step the boxes that it hands on. */
  left = [];
  /** @type {Uint8Array[]} For each step which objects they reach: 1 or 0. */
  reached = [];
  /** @type {Float32Array | null} Which of the places the canvas shows. */
  placed = null;

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.addKey([[LOOKS.reference, "the anchor that the box was"]]);
    /** @type {string[]} */
    this.names = this.get("step_names");
    this.table = element("table", "proposals-table", this.side);
    const { canvas, names } = this;
    const name = (/** @type {number} */ step) => names[step];
    const kept = (/** @type {number} */ count) => `${count} kept`;
    canvas.addSlider({ label: "Step", max: names.length - 1, trait: "step", format: name, parent: this.addRow() });
    canvas.addSlider({ label: "Smallest side", max: 64, trait: "smallest", format: pixels, parent: this.addRow() });
    canvas.addSlider({ label: "Top k", min: 10, max: 2000, step: 10, trait: "top_n", parent: this.addRow() });
    canvas.addSlider({
      label: "NMS threshold",
      step: 0.05,
      trait: "threshold",
      format: iouText,
      parent: this.addRow(),
    });
    canvas.addSlider({
      label: "At most",
      min: 10,
      max: 1000,
      step: 10,
      trait: "limit",
      format: kept,
      parent: this.addRow(),
    });
    canvas.addSlider({ label: "Draw the best", min: 10, max: 2000, step: 10, trait: "drawn", parent: this.addRow() });
    this.on(["smallest", "top_n", "threshold", "limit"], () => this.choose());
    this.on(["step", "drawn"], () => this.update());
  }

  onBoxesChanged() {
    const [anchors, decoded, logits] = ["anchors", "decoded", "logits"].map((trait) => this.floats(trait));
    this.objects = this.canvas.boxes.slice(4 * logits.length);
    this.places = [anchors, decoded, clipBoxes(decoded, this.size)];
    this.reach = this.places.map((boxes) => overlaps(boxes, this.objects));
    this.order = bestFirst(logits);
    [this.reached, this.placed] = [[], null];
    this.choose();
  }

  /** What each step hands on, and reaches. The first three hand on every box, wherever the sliders stand. */
  choose() {
    if (!this.places.length) return;
    const { order } = this;
    const boxes = this.places[2];
    const large = removeSmallBoxes(boxes, order, this.get("smallest"));
    const top = large.slice(0, this.get("top_n"));
    const { kept } = nms(boxes, top, this.get("threshold"), this.get("limit"));
    this.left = [order, order, order, large, top, kept];
    this.reached = this.names.map((_, step) => {
      return step < 3 && this.reached[step] !== undefined ? this.reached[step] : this.objectsReached(step);
    });
    this.update();
  }

  /** @param {number} step */
  objectsReached(step) {
    const count = this.objects.length / 4;
    const ious = this.reach[Math.min(step, 2)];
    const reached = new Uint8Array(count);
    const missing = new Set(reached.keys());
    const left = this.left[step];
    for (let k = 0; k < left.length && missing.size; k++) {
      for (const g of missing) {
        if (ious[left[k] * count + g] < REACHED) continue;
        reached[g] = 1;
        missing.delete(g);
      }
    }
    return reached;
  }

  update() {
    if (!this.places.length) return;
    const step = this.get("step");
    const states = this.statesAt(step);
    const place = this.places[Math.min(step, 2)];
    if (place === this.placed) this.canvas.setStates(states);
    else {
      const boxes = new Float32Array(4 * states.length);
      boxes.set(place);
      boxes.set(this.objects, place.length);
      this.canvas.setBoxes(boxes, { states });
    }
    this.placed = place;
    this.writeTable(step);
  }

  /** @param {number} step */
  statesAt(step) {
    const number = this.order.length;
    const drawn = this.get("drawn");
    const states = new Uint8Array(number + this.objects.length / 4).fill(NOT_DRAWN);
    const [before, here] = [this.left[Math.max(step - 1, 0)], this.left[step]];
    const handedOn = new Uint8Array(number);
    for (let k = 0; k < here.length; k++) handedOn[here[k]] = 1;
    for (let k = 0, left = drawn; k < before.length && left; k++) {
      if (handedOn[before[k]]) continue;
      states[before[k]] = DROPPED;
      left--;
    }
    for (let k = 0; k < Math.min(here.length, drawn); k++) states[here[k]] = HERE;
    for (const [g, reached] of this.reached[step].entries()) {
      states[number + g] = reached ? REACHED_OBJECT : MISSED_OBJECT;
    }
    return states;
  }

  /** @param {number} step */
  writeTable(step) {
    this.table.replaceChildren();
    addLine(this.table, ["step", "boxes", `objects reached (IoU ≥ ${REACHED})`], "heads");
    this.names.forEach((name, index) => {
      const reached = `${this.reached[index].reduce((sum, one) => sum + one, 0)} of ${this.objects.length / 4}`;
      const texts = [`${index + 1} · ${name}: ${WHAT[index]}`, wholeNumber(this.left[index].length), reached];
      const line = addLine(this.table, texts);
      line.children[1].className = "proposals-number";
      if (index === step) line.setAttribute("aria-current", "step");
      line.addEventListener("click", () => this.tell({ step: index }));
    });
  }

  /**
   * The anchor that the box under the pointer was, and how it got here.
   * @type {Explorer["drawOver"]}
   */
  drawOver(context, view) {
    const index = this.canvas.hovered ?? this.canvas.selected;
    if (index === null || index >= this.order.length) return;
    const [anchor, decoded] = this.places.map((boxes) => boxAt(boxes, index));
    view.strokeBox(context, anchor, LOOKS.reference);
    if (this.get("step")) drawLinks(context, view, [[centerSize(anchor), centerSize(decoded)]]);
  }
}

/**
 * The IoU of every box with every object, box by box.
 * @param {Float32Array} boxes
 * @param {Float32Array} objects
 */
function overlaps(boxes, objects) {
  const [areas, objectAreas] = [boxAreas(boxes), boxAreas(objects)];
  const ious = new Float32Array(areas.length * objectAreas.length);
  let next = 0;
  for (let i = 0; i < areas.length; i++) {
    for (let g = 0; g < objectAreas.length; g++) ious[next++] = pairIou(boxes, areas, i, objects, objectAreas, g);
  }
  return ious;
}

export default explorer(StepsExplorer);
