/* DeltaExplorer: box 0 is the anchor, box 1 the object, to drag. Sliders move a third box, which starts as the anchor. */

import { boxAt, centerSize, decodeBox, encodeBox, iou } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addLine, element, lineSample } from "../js/kit/layout.js";
import { drawDots, strokeCased } from "../js/kit/paint.js";
import { LOOKS } from "../js/kit/palette.js";
import { signed } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const NAMES = ["dx", "dy", "dw", "dh"];
const [ANCHOR, OBJECT] = [0, 1];
const REACH = [1.5, 1.5, 2, 2]; // how far the sliders go: of dw and dh to a factor of e²
const SMALLEST_SIDE = 8; // to which the pair can be scaled down, in pixels

class DeltaExplorer extends Explorer {
  /** @type {number[][] | null} The two boxes at scale 1, while the hand scales them. */
  unscaled = null;
  scaling = false;

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.table = element("table", "explorer-table", this.side);
    const head = element("div", "", this.side);
    head.append(lineSample(LOOKS.predicted), " the anchor, moved by your deltas:");
    const parent = element("div", "box-canvas-row delta-sliders", this.side);
    NAMES.forEach((label, i) => {
      const binding = {
        traits: ["sent"],
        read: () => this.sent[i],
        write: (/** @type {number} */ value) => this.tell({ sent: this.sent.with(i, value) }),
      };
      const span = { min: -REACH[i], max: REACH[i], step: 0.01 };
      this.canvas.addSlider({ label, ...span, binding, format: (value) => signed(value), parent });
    });
    this.on(["sent"], () => this.update());
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

  /** @type {number[]} */
  get sent() {
    return this.get("sent");
  }

  get decoded() {
    return decodeBox(this.sent, this.pair[ANCHOR]);
  }

  onBoxesChanged() {
    if (!this.scaling) {
      this.unscaled = null;
      this.scale.set(1);
    }
    this.update();
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
    const deltas = encodeBox(object, anchor);
    this.show(
      `your box and the object: IoU *${iou(this.decoded, object).toFixed(3)}*`,
      `the anchor and the object: IoU *${iou(anchor, object).toFixed(3)}*`,
    );
    this.table.replaceChildren();
    addLine(this.table, ["", "in pixels", "how", "delta", `× ${weights.join(", ")}`], "heads");
    NAMES.forEach((name, i) => {
      const apart = signed(g[i] - a[i], 1);
      const how = i < 2 ? `${apart} / ${a[i + 2].toFixed(1)}` : `log(${g[i].toFixed(1)} / ${a[i].toFixed(1)})`;
      const delta = `*${signed(deltas[i], 3)}*`;
      addLine(this.table, [name, `${apart} px`, how, delta, signed(weights[i] * deltas[i])], "row");
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
    view.strokeBox(context, this.decoded, LOOKS.predicted);
    drawDots(context, view, [[ax, ay]], 5, this.canvas.palette[ANCHOR].color);
    drawDots(context, view, [[gx, gy]], 5, this.canvas.palette[OBJECT].color);
  }
}

export default explorer(DeltaExplorer);
