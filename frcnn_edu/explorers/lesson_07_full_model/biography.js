/* BiographyExplorer: where each detection came from. What is told of a life comes from Python; the box on its way from
   anchor to proposal to detection, and its IoU with the object, are computed here, as `box` and `iou` do there. */

import { iou } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addLine, element } from "../js/kit/layout.js";
import { drawDots } from "../js/kit/paint.js";
import { iouText, percent, plainName, sides, wholeNumber } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {Record<"anchor" | "proposal" | "detection" | "truth" | "center" | "cell", number[]>} Boxes */
/** @typedef {Record<"index" | "which" | "rank" | "num_anchors" | "objectness", number>} Numbers */
/** @typedef {Boxes & Numbers & { name: string, runners_up: [string, number][] }} Life */

const STAGES = /** @type {("anchor" | "proposal" | "detection")[]} */ (["anchor", "proposal", "detection"]);
const [TRUTH, ANCHOR, PROPOSAL, DETECTION] = [1, 2, 3, 4]; // the palette of BiographyExplorer

/**
 * Where a box is on its straight way.
 * @param {Life} life
 * @param {number} age  From 0, the anchor, to 2, the detection
 */
function boxAtAge(life, age) {
  const before = Math.min(Math.floor(age), 1);
  const [from, to] = [life[STAGES[before]], life[STAGES[before + 1]]];
  return from.map((value, k) => value + (age - before) * (to[k] - value));
}

/** @param {number} age */
function stageName(age) {
  const whole = Math.round(age);
  if (Math.abs(age - whole) < 0.01) return STAGES[whole];
  return age < 1 ? "first move" : "second move";
}

class BiographyExplorer extends Explorer {
  /** @param {Context} context */
  constructor(context) {
    super(context);
    const { canvas, side } = this;
    side.classList.add("full-model-side");
    this.table = element("table", "full-model-life", side);
    const parent = this.addRow();
    const count = this.get("lives").length;
    const nth = (/** @type {number} */ i) => `${i + 1} of ${count}`;
    canvas.addSlider({ label: "Detection", max: count - 1, trait: "chosen", format: nth, parent });
    canvas.addSlider({ label: "Age", max: 2, step: 0.02, trait: "age", format: stageName, parent });
    this.on(["chosen"], () => this.update());
    this.on(["age"], () => this.write());
    this.update();
  }

  /** @returns {Life} */
  get life() {
    return this.get("lives")[this.get("chosen")];
  }

  get box() {
    return boxAtAge(this.life, this.get("age"));
  }

  /** @type {Explorer["onSelect"]} */
  onSelect(index) {
    if (index !== null) this.tell({ chosen: index });
  }

  write() {
    this.show(`the box overlaps its object by IoU *${iou(this.box, this.life.truth).toFixed(3)}*`);
    this.canvas.redraw();
  }

  update() {
    this.write();
    this.table.replaceChildren();
    const looks = { anchor: ANCHOR, proposal: PROPOSAL, detection: DETECTION };
    for (const [head, text] of this.lines()) {
      const line = addLine(this.table, [head, text]);
      const look = head in looks ? this.canvas.palette[looks[/** @type {"anchor"} */ (head)]] : null;
      const style = look?.dash.length ? "dashed" : "solid";
      line.children[0].setAttribute("style", `border-left: 5px ${style} ${look?.color ?? "transparent"}`);
    }
  }

  lines() {
    const { name, index, which, cell, rank, num_anchors: all, objectness, ...life } = this.life;
    const { anchor, proposal, detection, truth, runners_up: classes } = life;
    /** @param {number[]} box */
    const measured = (box) => `${sides(box)}, ${iouText(iou(box, truth))}`;
    return [
      ["place", `cell in row ${cell[0]}, column ${cell[1]} of the feature map`],
      ["anchor", `${wholeNumber(index)}, number ${which} of its cell: ${measured(anchor)}`],
      ["objectness", `${percent(objectness, 1)}: rank ${wholeNumber(rank)} of ${wholeNumber(all)}`],
      ["proposal", `moved by four deltas: ${measured(proposal)}`],
      ["class", classes.map(([label, share]) => `${plainName(label)} ${percent(share, 1)}`).join(", ")],
      ["detection", `moved by the ${name}'s deltas: ${measured(detection)}`],
    ];
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    const { anchor, proposal, truth, center } = this.life;
    view.strokeBox(context, truth, TRUTH);
    view.strokeBox(context, anchor, ANCHOR);
    if (this.get("age") >= 1) view.strokeBox(context, proposal, PROPOSAL);
    view.strokeBox(context, this.box, DETECTION, { fill: 0.15 });
    drawDots(context, view, [center], 4);
  }
}

export default explorer(BiographyExplorer);
