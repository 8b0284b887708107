/* DeltaExplorer: box 0 is the anchor, box 1 the object. Drag them, or the four deltas between them. */

import { boxAt, centerSize, decodeBox, encodeBox, iou } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addLine, element } from "../js/kit/layout.js";
import { drawDots, strokeCased } from "../js/kit/paint.js";
import { signed } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const NAMES = ["dx", "dy", "dw", "dh"];
const [ANCHOR, OBJECT] = [0, 1];
const REACH = [1.5, 1.5, 2, 2]; // how far the sliders go: of dw and dh to a factor of e²
const SMALLEST_SIDE = 8; // to which the pair can be scaled down, in pixels

class DeltaExplorer extends Explorer {
  deltas = [0, 0, 0, 0];
  /** @type {number[][] | null} The two boxes at scale 1, while the hand scales them. */
  unscaled = null;
  scaling = false;

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.table = element("table", "explorer-table", this.side);
    const parent = element("div", "box-canvas-row delta-sliders", this.side);
    this.sliders = NAMES.map((label, i) => {
      const format = () => signed(this.deltas[i]); // a box dragged further than the slider goes is told as it is
      const onInput = (/** @type {number} */ value) => this.dragDelta(i, value);
      return this.canvas.addSlider({
        label,
        min: -REACH[i],
        max: REACH[i],
        step: 0.01,
        value: 0,
        format,
        onInput,
        parent,
      });
    });
    this.scale = this.canvas.addSlider({
      label: "Scale both",
      min: 0.2,
      max: 2,
      step: 0.05,
      value: 1,
      format: (factor) => `× ${factor.toFixed(2)}`,
      onInput: (factor) => this.scaleBoth(factor),
      parent: this.addRow(),
    });
  }

  get pair() {
    return [ANCHOR, OBJECT].map((index) => boxAt(this.canvas.boxes, index));
  }

  onBoxesChanged() {
    if (!this.scaling) {
      this.unscaled = null;
      this.scale.set(1);
    }
    const [anchor, object] = this.pair;
    this.deltas = encodeBox(object, anchor);
    this.update();
  }

  /**
   * @param {number} which
   * @param {number} value
   */
  dragDelta(which, value) {
    this.canvas.moveBox(OBJECT, decodeBox(this.deltas.with(which, value), this.pair[ANCHOR]));
  }

  /** @param {number} factor */
  scaleBoth(factor) {
    this.unscaled ??= this.pair;
    const [x, y] = centerSize(this.unscaled[ANCHOR]);
    const sides = this.unscaled.flatMap((box) => centerSize(box).slice(2));
    const by = Math.max(factor, Math.min(SMALLEST_SIDE / Math.min(...sides), 1));
    const scaled = this.unscaled.map((box) => box.map((value, i) => (i % 2 ? y : x) + by * (value - (i % 2 ? y : x))));
    this.scaling = true;
    this.canvas.moveBoxes(scaled.map((box, index) => ({ index, box })));
    this.scaling = false;
  }

  update() {
    const [anchor, object] = this.pair;
    const [a, g] = [centerSize(anchor), centerSize(object)];
    const weights = this.get("weights");
    for (const [i, slider] of this.sliders.entries()) slider.set(this.deltas[i]);
    this.show(`IoU of anchor and object *${iou(anchor, object).toFixed(3)}*`);
    this.table.replaceChildren();
    addLine(this.table, ["", "in pixels", "how", "delta", `× ${weights.join(", ")}`], "heads");
    NAMES.forEach((name, i) => {
      const apart = signed(g[i] - a[i], 1);
      const how = i < 2 ? `${apart} / ${a[i + 2].toFixed(1)}` : `log(${g[i].toFixed(1)} / ${a[i].toFixed(1)})`;
      const delta = this.deltas[i];
      addLine(this.table, [name, `${apart} px`, how, `*${signed(delta, 3)}*`, signed(weights[i] * delta)], "row");
    });
    this.canvas.redraw();
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    const [[ax, ay], [gx, gy]] = this.pair.map(centerSize);
    context.beginPath();
    context.moveTo(ax, ay);
    context.lineTo(gx, ay);
    context.lineTo(gx, gy);
    strokeCased(context, view, 2.5, { edge: 2.5 });
    drawDots(context, view, [[ax, ay]], 5, this.canvas.palette[ANCHOR].color);
    drawDots(context, view, [[gx, gy]], 5, this.canvas.palette[OBJECT].color);
  }
}

export default explorer(DeltaExplorer);
