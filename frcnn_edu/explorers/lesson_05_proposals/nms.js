/* NmsExplorer: one suppression at a time, and who suppressed whom. Every box has one moment: it is kept, or a kept box
   suppresses it. Trait step counts the moments that are over. */

import { bestFirst, boxAt, centerSize, iou, nms } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addButton, element } from "../js/kit/layout.js";
import { drawLinks } from "../js/kit/paint.js";
import { COLORS, withAlpha } from "../js/kit/palette.js";
import { iouText } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {ReturnType<typeof nms>} Result */

const [WAITING, KEPT, SUPPRESSED] = [0, 1, 2]; // the palette of NmsExplorer
const VEIL = withAlpha(COLORS.black, 0.55); // over all that is not the current pair

/** @type {[string, string, (at: number, result: Result) => number][]} */
const BUTTONS = [
  ["start", "from the start", () => 0],
  ["back", "one back", (at) => at - 1],
  ["next", "next box", (at) => at + 1],
  [
    "winner",
    "next kept box",
    (at, { by, moments }) => moments.findIndex((box, k) => k >= at && by[box] === box) + 1 || moments.length,
  ],
  ["end", "to the end", (_, { moments }) => moments.length],
];

class NmsExplorer extends Explorer {
  /** @type {Result} Drawn from the first frame on. */
  result = { by: new Int32Array(0), kept: [], moments: [] };

  /** @param {Context} context */
  constructor(context) {
    super(context);
    const { canvas } = this;
    this.moment = element("div", "proposals-moment", this.side);
    this.moment.setAttribute("aria-live", "polite");
    const buttons = this.addRow();
    for (const [name, label, target] of BUTTONS) {
      addButton(buttons, label, () => this.goTo(target(this.get("step"), this.result))).dataset.name = name;
    }
    const of = (/** @type {number} */ step) => `${step} of ${canvas.scores.length}`;
    this.stepper = canvas.addSlider({ label: "Moment", trait: "step", format: of, parent: this.addRow() });
    canvas.addSlider({
      label: "NMS threshold",
      step: 0.01,
      trait: "threshold",
      format: iouText,
      parent: this.addRow(),
    });
    this.on(["threshold"], () => this.onBoxesChanged());
    this.on(["step"], () => this.update());
  }

  /** @param {number} step */
  goTo(step) {
    this.tell({ step: Math.min(Math.max(step, 0), this.result.moments.length) });
  }

  onBoxesChanged() {
    const { boxes, scores } = this.canvas;
    this.result = nms(boxes, bestFirst(scores), this.get("threshold"));
    this.stepper.span(0, this.result.moments.length, 1);
    this.update();
  }

  update() {
    const { by, kept, moments } = this.result;
    const step = Math.min(this.get("step"), moments.length);
    const states = new Uint8Array(moments.length).fill(WAITING);
    for (const index of moments.slice(0, step)) states[index] = by[index] === index ? KEPT : SUPPRESSED;
    const [waiting, now, gone] = [WAITING, KEPT, SUPPRESSED].map(
      (state) => states.filter((one) => one === state).length,
    );
    this.canvas.setStates(states);
    const done = step === moments.length; // before, the count would answer what the learner is to find out
    this.show(
      `kept *${now}*`,
      `suppressed *${gone}*`,
      `waiting *${waiting}*`,
      ...(done ? [`in the end *${kept.length}* of ${moments.length} are kept`] : []),
    );
    this.moment.textContent = step
      ? `Moment ${step}: ${this.tale(moments[step - 1])}`
      : "All boxes wait, the best score first. Press “next box”.";
    this.explain();
  }

  /** @param {number} index */
  named(index) {
    const { captions, scores } = this.canvas;
    return `${captions[index] || `box #${index}`}, score ${scores[index].toFixed(3)},`;
  }

  /** @param {number} index */
  tale(index) {
    const { by } = this.result;
    const keeper = by[index];
    if (keeper === index) {
      const suppressed = by.filter((one) => one === index).length - 1;
      return `${this.named(index)} is the best that is left: kept. It suppresses ${suppressed || "nobody"}.`;
    }
    const { boxes } = this.canvas;
    const overlap = iou(boxAt(boxes, index), boxAt(boxes, keeper)).toFixed(3);
    const threshold = this.get("threshold").toFixed(2);
    return `${this.named(index)} overlaps the kept ${this.named(keeper)} with IoU ${overlap}, above ${threshold}: suppressed.`;
  }

  onHover() {
    this.explain();
  }

  onSelect() {
    this.explain();
  }

  explain() {
    const index = this.canvas.hovered ?? this.canvas.selected;
    const tale = index !== null && index < this.result.by.length ? this.tale(index) : null;
    this.canvas.setReadout(tale && `${tale[0].toUpperCase()}${tale.slice(1)}`);
    this.canvas.redraw();
  }

  /**
   * Links of the box under the pointer, or else of the moment that has just passed.
   * @type {Explorer["drawOver"]}
   */
  drawOver(context, view) {
    const { by, moments } = this.result;
    const { boxes, hovered, selected, palette } = this.canvas;
    const over = moments.slice(0, this.get("step"));
    /** @type {number | undefined} */
    const index = hovered ?? selected ?? (over.length < moments.length ? over[over.length - 1] : undefined);
    const nothing = index === undefined && !over.length;
    if (nothing || by.length * 4 !== boxes.length) return; // or nothing has been computed yet
    context.fillStyle = VEIL;
    context.fillRect(0, 0, view.width, view.height);
    for (const one of over) if (by[one] === one) view.strokeBox(context, boxAt(boxes, one), KEPT);
    if (index === undefined) return;
    const keeper = by[index];
    const family = keeper === index ? [...by.keys()].filter((one) => by[one] === index && one !== index) : [index];
    for (const one of family) view.strokeBox(context, boxAt(boxes, one), SUPPRESSED);
    view.strokeBox(context, boxAt(boxes, keeper), { ...palette[KEPT], width: 4 }, { fill: 0.12 });
    drawLinks(
      context,
      view,
      family.map((one) => [centerSize(boxAt(boxes, one)), centerSize(boxAt(boxes, keeper))]),
    );
  }
}

export default explorer(NmsExplorer);
