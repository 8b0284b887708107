/* HeadsExplorer: a region to drag, and what the second stage answers: a probability and a move for every class.
   The model is asked in Python; the answers arrive as bytes. On a page without Python, a copy of the heads is asked here. */

import { boxAt, decodeBox } from "../js/detector/boxes.js";
import { halves, rowsOf, secondStage, softmax } from "../js/detector/roi_heads.js";
import { alignAxis, alignedValues, valuesAt, wholeCells, winners } from "../js/detector/roi_pool.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addButton, addLine, element } from "../js/kit/layout.js";
import { LOOKS } from "../js/kit/palette.js";
import { numbers } from "../js/kit/traits.js";
import { plainName, sides, signed } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const LIKELIEST = -1;
const BINS = 7;

class HeadsExplorer extends Explorer {
  probabilities = new Float32Array(0);
  deltas = new Float32Array(0);
  answers = new Float32Array(0);
  map = new Float32Array(0); // of a page without Python, as the heads

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
    /** @type {number[]} */
    const sizes = this.get("head_sizes");
    this.heads = sizes.length ? rowsOf(halves(numbers(this.model, "half_weights", Uint16Array)), sizes) : null;
    if (this.heads) {
      this.map = this.floats("features");
      this.on(["operator"], () => this.ask());
    }
    this.update();
  }

  onBoxesChanged() {
    if (this.heads) this.ask();
  }

  /** Ask the copy of the heads. */
  ask() {
    if (!this.heads || !this.canvas.boxes.length) return;
    const [wide, tall] = this.get("network_scale");
    const scale = [wide, tall, wide, tall];
    const region = boxAt(this.canvas.boxes, 0).map((edge, k) => edge * scale[k]);
    const { logits, deltas } = secondStage(this.heads, this.pool(region));
    this.probabilities = softmax(logits);
    this.deltas = deltas;
    const moved = this.names.map((_, k) => decodeBox([...boxAt(deltas, k)], region, this.get("weights")));
    this.answers = Float32Array.from(moved.flatMap((box) => box.map((edge, k) => edge / scale[k])));
    this.write();
  }

  /**
   * The region, 7 x 7 numbers of each channel.
   * @param {number[]} region
   */
  pool([x1, y1, x2, y2]) {
    /** @type {number[]} */
    const [channels, rows, columns] = this.get("map_size");
    const tall = this.size.height * this.get("network_scale")[1];
    const stride = 2 ** Math.round(Math.log2(tall / rows));
    const [across, down] = [columns, rows].map((cells) => ({ stride, cells, bins: BINS }));
    const cells = { down: wholeCells(y1, y2, down), across: wholeCells(x1, x2, across) };
    const points = { down: alignAxis(y1, y2, down).weights, across: alignAxis(x1, x2, across).weights };
    return Float32Array.from(
      Array.from({ length: channels }, (_, c) => {
        const channel = { map: this.map, start: c * rows * columns, columns };
        if (this.get("operator") === "align") return alignedValues(channel, points.down, points.across);
        return valuesAt(this.map, winners(channel, cells.down, cells.across));
      }).flat(2),
    );
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
    this.ask();
    this.write();
  }

  write() {
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
