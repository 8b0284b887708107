/* HeadsExplorer: a region to drag, and what the second stage answers: a probability and a move for every class.
   The model is asked in Python; the answers arrive as bytes. */

import { boxAt } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addButton, addLine, element } from "../js/kit/layout.js";
import { LOOKS } from "../js/kit/palette.js";
import { plainName, sides, signed } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const LIKELIEST = -1;

class HeadsExplorer extends Explorer {
  probabilities = new Float32Array(0);
  deltas = new Float32Array(0);
  answers = new Float32Array(0);

  /** @param {Context} context */
  constructor(context) {
    super(context);
    /** @type {string[]} */
    this.names = this.get("class_names").map(plainName);
    const table = element("table", "explorer-table", this.side);
    addLine(table, ["class", "probability", "", "dx", "dy", "dw", "dh"], "heads");
    this.lines = this.names.map((name, k) => this.addClass(table, name, k));
    const names = { align: "RoIAlign", pool: "RoIPool" };
    this.canvas.addChooser({ label: "Pooled by ", names, trait: "operator", parent: this.addRow() });
    this.on(["probabilities", "deltas", "answers", "shown_class"], () => this.update());
    this.update();
  }

  /**
   * @param {HTMLElement} table
   * @param {string} name
   * @param {number} k
   */
  addClass(table, name, k) {
    const line = element("tr", "", table);
    const head = element("th", "box-canvas-row", line);
    head.setAttribute("scope", "row");
    const button = addButton(head, name, () =>
      this.tell({ shown_class: this.get("shown_class") === k ? LIKELIEST : k }),
    );
    const holder = element("div", "explorer-bar explorer-wide-bar", element("td", "", line));
    const bar = element("i", "", holder);
    return { button, bar, cells: Array.from({ length: 5 }, () => element("td", "", line)) };
  }

  /** @param {number} [from] */
  likeliest(from = 0) {
    const { probabilities } = this;
    return probabilities.reduce((best, one, k) => (k >= from && one > probabilities[best] ? k : best), from);
  }

  get shown() {
    return this.get("shown_class") === LIKELIEST ? this.likeliest(1) : this.get("shown_class");
  }

  update() {
    [this.probabilities, this.deltas, this.answers] = ["probabilities", "deltas", "answers"].map((trait) =>
      this.floats(trait),
    );
    const { names, shown } = this;
    const likeliest = this.likeliest();
    this.lines.forEach(({ button, bar, cells }, k) => {
      bar.style.width = `${100 * this.probabilities[k]}%`;
      cells[0].textContent = this.probabilities[k].toFixed(3);
      for (let d = 0; d < 4; d++) cells[d + 1].textContent = signed(this.deltas[4 * k + d]);
      button.setAttribute("aria-pressed", String(k === shown));
    });
    const untaught = shown ? "" : " (it was never trained: the background has no box)";
    this.show(
      `likeliest: *${names[likeliest]}* ${this.probabilities[likeliest].toFixed(3)}`,
      `green: the region as *${names[shown]}* moves it, ${sides(boxAt(this.answers, shown))}${untaught}`,
    );
    this.canvas.redraw();
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    if (this.answers.length) view.strokeBox(context, boxAt(this.answers, this.shown), LOOKS.answer);
  }
}

export default explorer(HeadsExplorer);
