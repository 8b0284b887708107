/* RecallExplorer: recall of a data set after every step. Python measures (traits best and counts), this counts and draws:
   a bar for each step at the chosen IoU, the curves over all IoUs, and what became of each object of the picture. */

import { Explorer, explorer } from "../js/explorer.js";
import { addChart, Plot } from "../js/kit/charts.js";
import { addLine, controlRow, element } from "../js/kit/layout.js";
import { iouText } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const FATES = ["clipped", "after NMS", "detections"]; // an object is lost, proposed or detected by these
const POINTS = 100;
const PLACE = { left: 36, right: 10, top: 8, bottom: 36 };
const TICKS = [0, 0.25, 0.5, 0.75, 1];

class RecallExplorer extends Explorer {
  /** @type {Float32Array[]} For each step the best IoU of each object. */
  best = [];

  /** @param {Context} context */
  constructor(context) {
    super(context);
    /** @type {string[]} */
    this.names = this.get("step_names");
    /** @type {import("../js/kit/palette.js").Look[]} */
    this.curves = this.get("curves");
    this.table = element("table", "proposals-table", this.side);
    this.addControls();
    this.chart = addChart(this.side, "recall against IoU after each step", 420, 250, (pen, size) =>
      this.drawCurves(pen, size),
    );
    this.on(["best", "counts"], () => this.takeIn());
    this.on(["iou", "first_object"], () => this.update());
    this.takeIn();
  }

  addControls() {
    const { canvas } = this;
    const nth = (/** @type {number} */ index) => `${index + 1} of ${this.get("num_pictures")}`;
    const picture = canvas.addSlider({
      label: "Picture",
      trait: "picture",
      format: nth,
      parent: controlRow(canvas.controls),
    });
    const follow = () => picture.span(0, this.get("num_pictures") - 1, 1);
    this.on(["num_pictures"], follow);
    follow();
    const parent = this.addRow();
    const score = (/** @type {number} */ value) => value.toFixed(2);
    canvas.addSlider({ label: "Reached from", min: 0.3, max: 0.95, step: 0.05, trait: "iou", format: iouText, parent });
    canvas.addSlider({ label: "Score at least", step: 0.05, trait: "lowest_score", format: score, parent });
  }

  onBoxesChanged() {
    this.update();
  }

  takeIn() {
    const all = this.floats("best");
    const count = this.get("num_objects");
    if (all.length !== this.names.length * count || this.get("counts").length !== this.names.length) return; // on its way
    this.best = this.names.map((_, step) => all.subarray(step * count, (step + 1) * count));
    this.update();
  }

  update() {
    if (!this.best.length) return;
    const iou = Math.fround(this.get("iou"));
    this.table.replaceChildren();
    addLine(this.table, ["step", "boxes an image", "", `recall at ${iouText(this.get("iou"))}`], "heads");
    this.names.forEach((name, step) => {
      const share = this.best[step].filter((one) => one >= iou).length / this.best[step].length;
      const line = addLine(this.table, [name, this.get("counts")[step].toFixed(1), "", share.toFixed(3)]);
      line.children[1].className = "proposals-number";
      line.children[3].className = "proposals-number";
      const bar = element(
        "i",
        "",
        element("span", "explorer-bar proposals-bar", /** @type {HTMLElement} */ (line.children[2])),
      );
      bar.style.width = `${100 * share}%`;
    });
    this.chart.paint();
    this.judge(iou);
  }

  /** @param {number} iou */
  judge(iou) {
    const first = this.get("first_object");
    const [clipped, proposed, detected] = FATES.map((name) => this.best[this.names.indexOf(name)]);
    const fates = Array.from({ length: this.canvas.boxes.length / 4 }, (_, i) => {
      const k = first + i;
      return detected[k] >= iou ? 0 : proposed[k] >= iou ? 1 : clipped[k] >= iou ? 2 : 3;
    });
    this.canvas.setStates(fates);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/kit/charts.js").Size} size
   */
  drawCurves(context, size) {
    if (!this.best.length) return;
    const plot = new Plot(context, size, PLACE);
    plot.rule(TICKS);
    plot.labelRows([0, 0.5, 1]);
    plot.labelColumns(TICKS, TICKS.map(String), "IoU from which an object counts (up: recall)");
    this.curves.forEach((look, place) => {
      const sorted = this.best[this.names.indexOf(look.key ?? "")].slice().sort();
      let under = 0;
      const points = Array.from({ length: POINTS + 1 }, (_, k) => {
        while (under < sorted.length && sorted[under] < k / POINTS) under++;
        return [k / POINTS, 1 - under / sorted.length];
      });
      const y = (14 * (this.curves.length - place)) / plot.height;
      plot.curve(points, look);
      plot.curve(
        [
          [0.02, y],
          [0.12, y],
        ],
        look,
      );
      context.textAlign = "left";
      context.fillText(look.label ?? "", plot.across(0.14), plot.up(y) + 4);
    });
    plot.mark(this.get("iou"));
  }
}

export default explorer(RecallExplorer);
