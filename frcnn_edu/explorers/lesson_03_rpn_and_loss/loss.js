/* LossExplorer: equation 1, anchor by anchor. Traits: selected, snapshot, balance, locations, beta. */

import { boxArea, boxAt, centerSize, decodeBox } from "../js/detector/boxes.js";
import { added, rpnTerms, sigmoid } from "../js/detector/losses.js";
import { HIGH, IGNORED, NEGATIVE, POSITIVE } from "../js/detector/matching.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addFigure, addLine, element } from "../js/kit/layout.js";
import { drawDots } from "../js/kit/paint.js";
import { COLORS, LOOKS } from "../js/kit/palette.js";
import { fixed, iouText, shortNumber, sides } from "../js/kit/words.js";
import { LossColumn } from "./loss_column.js";
import { addSnapshots } from "./snapshots.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {import("../js/detector/losses.js").Term} Term */

const BALANCES = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];
const BETAS = [0.01, 0.03, 1 / 9, 0.3, 1, 3];
const NAMES = ["dx", "dy", "dw", "dh"];
const HEADS = ["", "answer", "", "wanted", "loss", "× weight", "= adds", "gradient"];
/** @type {Record<number, string>} */
const LABELS = { [POSITIVE]: "positive", [NEGATIVE]: "negative", [IGNORED]: "not sampled" };
/** @type {Record<number, string>} */
const ASKED = {
  [POSITIVE]: "its score and its four deltas count",
  [NEGATIVE]: "only its score counts",
  [IGNORED]: "it adds nothing",
};
const DECIMALS = 6;
const HINT =
  "Dots: negatives, the larger the more they add. Click a box or a dot. Dashed: where the network moves the box.";
const NEAR = 10; // image pixels from a dot that still pick it
const LARGEST_DOT = 9; // CSS pixels, radius of the dot that adds most

class LossExplorer extends Explorer {
  /** @type {number[][]} Objectness and box of every sampled anchor. */
  terms = [];
  /** @type {number[]} The sampled anchors, the largest share of the loss first. */
  order = [];

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.answers = this.floats("answers");
    this.truth = this.floats("truth");
    this.places = this.floats("places");
    this.boxes = this.floats("boxes");
    /** @type {number} */
    this.sampled = this.get("num_sampled");
    this.side.classList.add("rpn-loss-side");
    this.addKey([[LOOKS.predicted, "the anchor, moved by the answer"]]);
    this.sum = element("div", "rpn-loss-sum", this.side);
    this.addControls();
    this.who = element("div", "rpn-loss-who", this.side);
    this.table = element("table", "rpn-loss-table", this.side);
    this.column = new LossColumn(this.side, this.sampled, (anchor, byKey) => this.pick(anchor, byKey));
    this.on(["balance", "locations", "beta", "snapshot"], () => this.update());
    this.update();
    this.onSelect(this.get("selected"));
  }

  addControls() {
    const { canvas } = this;
    const parent = this.addRow();
    canvas.addSlider({ label: "λ", stops: BALANCES, format: shortNumber, trait: "balance", parent });
    canvas.addSlider({ label: "β", stops: BETAS, format: shortNumber, trait: "beta", parent });
    addSnapshots(this, parent);
    const label = `N_reg = ${this.get("num_locations")} places (paper), not ${this.sampled} samples`;
    canvas.addCheckbox({ label, trait: "locations", parent });
  }

  get total() {
    return this.places.length;
  }

  // ------------------------------------------------------------------------------------------- equation 1

  /** @param {number} k */
  answerOf(k) {
    const at = 5 * (this.get("snapshot") * this.total + k);
    return { logit: this.answers[at], deltas: this.answers.subarray(at + 1, at + 5) };
  }

  /** @param {number} k */
  targetOf(k) {
    const [label, match, iou] = this.truth.subarray(7 * k, 7 * k + 3);
    return { label, match, iou, deltas: this.truth.subarray(7 * k + 3, 7 * k + 7) };
  }

  get options() {
    const nReg = this.get("locations") ? this.get("num_locations") : this.sampled;
    return { nCls: this.sampled, nReg, balance: this.get("balance"), beta: this.get("beta") };
  }

  /** @param {number} k */
  termsOf(k) {
    return rpnTerms(this.answerOf(k), this.targetOf(k), this.options);
  }

  weigh() {
    const { options } = this;
    this.terms = Array.from({ length: this.sampled }, (_, k) => {
      const { objectness, deltas } = rpnTerms(this.answerOf(k), this.targetOf(k), options);
      return [added(objectness), deltas.reduce((sum, one) => sum + added(one), 0)];
    });
    const whole = this.terms.map(([objectness, box]) => objectness + box);
    this.order = [...whole.keys()].sort((a, b) => whole[b] - whole[a]);
  }

  // ------------------------------------------------------------------------------------------- words

  update() {
    this.weigh();
    const [objectness, box] = [0, 1].map((half) => this.terms.reduce((sum, term) => sum + term[half], 0));
    this.sum.replaceChildren();
    addFigure(this.sum, `loss *${fixed(objectness + box, 5)}* = `);
    addFigure(this.sum, `objectness *${fixed(objectness, 5)}*`).className = "rpn-loss-cls";
    addFigure(this.sum, ` + box *${fixed(box, 5)}*`).className = "rpn-loss-box";
    this.column.write(this.order, (k) => this.rowOf(k));
    this.column.choose(this.get("selected"));
    this.canvas.redraw("under");
    this.describeSelected(this.get("selected"));
  }

  /** @param {number} k */
  rowOf(k) {
    const [objectness, box] = this.terms[k];
    const most = this.terms[this.order[0]][0] + this.terms[this.order[0]][1];
    const numbers = [objectness, box, objectness + box].map((term) => fixed(term, DECIMALS));
    const texts = [String(this.places[k]), LABELS[this.targetOf(k).label], ...numbers];
    return { anchor: k, texts, shares: [objectness / most, box / most] };
  }

  /** @type {Explorer["onSelect"]} */
  onSelect(k) {
    this.column.choose(k);
    this.column.keepInSight();
    this.who.textContent = this.sentence(k);
    this.describeSelected(k);
    this.canvas.redraw();
  }

  /** @param {number | null} k */
  sentence(k) {
    if (k === null) return "Click an anchor, in the picture or in the column.";
    if (k >= this.total) return `The ${this.canvas.captions[k]}, drawn by hand: what the anchors should find.`;
    return this.describe(k);
  }

  /** @param {number} k */
  describe(k) {
    const { label, match, iou } = this.targetOf(k);
    const [perCell, , columns] = this.get("map_size");
    const cell = Math.floor(this.places[k] / perCell);
    const best = label === POSITIVE && iou < HIGH ? ", more than any other anchor has" : "";
    const about =
      iou > 0 ? `${iouText(iou)} with the ${this.canvas.captions[this.total + match]}${best}` : "touches no object";
    const where = `row ${Math.floor(cell / columns)}, column ${cell % columns}, ${sides(boxAt(this.boxes, k))}`;
    return `Anchor ${this.places[k]} (${where}): ${about}; ${LABELS[label]}, so ${ASKED[label]}.`;
  }

  /** @param {number | null} k */
  describeSelected(k) {
    this.table.hidden = k === null || k >= this.total;
    if (k !== null && k < this.total) this.fillTable(k);
    this.onHover(this.canvas.hovered);
  }

  /** @param {number} k */
  fillTable(k) {
    const { logit, deltas } = this.answerOf(k);
    const target = this.targetOf(k);
    const terms = this.termsOf(k);
    this.table.replaceChildren();
    addLine(element("thead", "", this.table), HEADS, "heads");
    const body = element("tbody", "", this.table);
    const wanted = target.label >= 0 ? String(target.label) : "–";
    addTerm(body, "logit", [fixed(logit, 2), `p = ${sigmoid(logit).toFixed(3)}`, wanted], terms.objectness);
    terms.deltas.forEach((term, i) => {
      addTerm(body, NAMES[i], [fixed(deltas[i], 3), "", term.weight ? fixed(target.deltas[i], 3) : "–"], term);
    });
  }

  /** @type {Explorer["onHover"]} */
  onHover(k) {
    if (k === null || k >= this.total) {
      this.canvas.setReadout(HINT);
      return;
    }
    const adds = k < this.sampled ? this.terms[k][0] + this.terms[k][1] : 0;
    const label = LABELS[this.targetOf(k).label];
    this.canvas.setReadout(`Anchor ${this.places[k]}: ${label}, adds ${fixed(adds, DECIMALS)} to the loss`);
  }

  // ------------------------------------------------------------------------------------------- hand and picture

  /**
   * @param {number} anchor
   * @param {boolean} byKey
   */
  pick(anchor, byKey) {
    this.canvas.select(anchor);
    if (byKey) this.canvas.announce(this.describe(anchor));
  }

  /**
   * A click on an object means the smallest positive there. Negatives are too many for outlines: beside all boxes a click
   * picks the nearest dot.
   * @type {Explorer["onClick"]}
   */
  onClick(x, y, index) {
    if (index !== null && index < this.total) return;
    /** @param {number} k */
    const distance = (k) => Math.hypot(this.centerOf(k)[0] - x, this.centerOf(k)[1] - y);
    /** @param {number} k */
    const area = (k) => boxArea(boxAt(this.boxes, k));
    const near = this.order.filter((k) => distance(k) <= NEAR).sort((a, b) => distance(a) - distance(b));
    const there = this.order.filter((k) => {
      const [x1, y1, x2, y2] = boxAt(this.boxes, k);
      return this.targetOf(k).label === POSITIVE && x1 <= x && x <= x2 && y1 <= y && y <= y2;
    });
    const [found] = index === null ? near : there.sort((a, b) => area(a) - area(b));
    if (found !== undefined) this.canvas.select(found);
  }

  /** @param {number} k */
  centerOf(k) {
    return centerSize(boxAt(this.boxes, k)).slice(0, 2);
  }

  /** @type {Explorer["drawUnder"]} */
  drawUnder(context, view) {
    const most = Math.max(...this.terms.map(([objectness, box]) => objectness + box));
    const negatives = [...this.terms.keys()].filter((k) => this.targetOf(k).label === NEGATIVE);
    const dots = negatives.map((k) => [
      ...this.centerOf(k),
      Math.max(LARGEST_DOT * Math.sqrt(this.terms[k][0] / most), 1),
    ]);
    drawDots(context, view, dots, 1, COLORS.vermilion);
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    const k = this.get("selected");
    if (k === null || k >= this.total || !this.order.length) return;
    const anchor = boxAt(this.boxes, k);
    const state = this.canvas.states[k];
    if (state !== 0) view.strokeBox(context, anchor, state, { fill: 0.12 });
    view.strokeBox(context, decodeBox([...this.answerOf(k).deltas], anchor), LOOKS.predicted);
  }

  destroy() {
    this.column.stop();
    super.destroy();
  }
}

/**
 * A line of the table: what was answered and wanted, and the term that comes of it.
 * @param {HTMLElement} body
 * @param {string} name
 * @param {string[]} cells
 * @param {Term} term
 */
function addTerm(body, name, cells, term) {
  const { value, weight, slope } = term;
  const weighed = weight
    ? [value.toFixed(4), fixed(weight, DECIMALS), `*${fixed(added(term), DECIMALS)}*`, fixed(slope * weight, DECIMALS)]
    : ["–", "0", "*0*", "0"];
  addLine(body, [name, ...cells, ...weighed], "row");
}

export default explorer(LossExplorer);
