/* BugZooExplorer: choose a mistake, predict its price, see what was measured. The figures come from Python. */

import { Explorer, explorer } from "../js/explorer.js";
import { addChart } from "../js/kit/charts.js";
import { addButton, element } from "../js/kit/layout.js";
import { COLORS } from "../js/kit/palette.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {{ map_50: number, map_75: number, recall_50: number, loss: number | null }} Figures */
/** @typedef {{ title: string, in_training: boolean, wrong: string, right: string, why: string, answer: number, sound: Figures, with_bug: Figures }} Entry */

/** @type {[string, "map_50" | "map_75" | "recall_50"][]} */
const BARS = [
  ["mAP at IoU 0.5", "map_50"],
  ["mAP at IoU 0.75", "map_75"],
  ["recall at IoU 0.5", "recall_50"],
];
/** @type {["sound" | "with_bug", string, string][]} */
const KINDS = [
  ["sound", COLORS.green, "without"],
  ["with_bug", COLORS.vermilion, "with it"],
];
/** @type {[string, boolean][]} */
const GROUPS = [
  ["while the trained detector is used", false],
  ["while a detector is trained", true],
];
const [WRONG, RIGHT] = ["the mistake", "as it should be"]; // above the lines of code
const SOUND = "the picture without the mistake";
const [LABEL, BAR, VALUE] = [120, 26, 85]; // CSS pixels

let groups = 0; // of radio buttons, each with a name of its own

class BugZooExplorer extends Explorer {
  /** @param {Context} context */
  constructor(context) {
    super(context);
    const { side } = this;
    side.classList.add("full-model-side");
    this.chooser = this.addList();
    this.code = element("div", "full-model-code", side);
    this.radios = this.addRadios();
    const buttons = this.addRow();
    this.reveal = addButton(buttons, "Show what was measured", () => this.open());
    this.next = addButton(buttons, "Next mistake", () => this.choose((this.get("bug") + 1) % this.entries.length));
    this.sound = this.canvas.addCheckbox({ label: SOUND, trait: "show_sound", parent: this.addRow() });
    side.append(this.figures);
    this.figures.setAttribute("aria-live", "polite");
    const label = "what was measured without and with the mistake";
    this.chart = addChart(side, label, 330, 3 * 2 * BAR + 20, (context, size) => this.drawBars(context, size));
    this.why = element("p", "", side);
    this.on(["bug", "prediction", "revealed", "score"], () => this.update());
    this.update();
  }

  /** @returns {Entry[]} */
  get entries() {
    return this.get("entries");
  }

  get entry() {
    return this.entries[this.get("bug")];
  }

  addList() {
    const select = element("select", "", element("label", "", this.side, "Mistake "));
    select.dataset.lmSuppressShortcuts = "true";
    for (const [name, inTraining] of GROUPS) {
      const group = element("optgroup", "", select);
      group.label = name;
      this.entries.forEach((entry, i) => {
        if (entry.in_training === inTraining) element("option", "", group, entry.title).value = String(i);
      });
    }
    select.addEventListener("change", () => this.choose(Number(select.value)));
    return select;
  }

  addRadios() {
    const group = element("div", "full-model-choices", this.side, "How much mAP at IoU 0.5 does it cost? I predict:");
    const name = `prediction-${++groups}`;
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-label", "Prediction");
    return this.get("predictions").map((/** @type {string} */ text, /** @type {number} */ i) => {
      const label = element("label", "full-model-choice", group);
      const input = element("input", "", label);
      Object.assign(input, { type: "radio", name });
      input.dataset.lmSuppressShortcuts = "true";
      label.append(` ${text}`);
      input.addEventListener("change", () => this.tell({ prediction: i }));
      return { input, label };
    });
  }

  /** @param {number} bug */
  choose(bug) {
    this.tell({ bug, prediction: -1, revealed: false, show_sound: false });
  }

  open() {
    const [right, made] = this.get("score");
    const hit = Number(this.get("prediction") === this.entry.answer);
    this.tell({ revealed: true, score: [right + hit, made + 1] });
    this.next.focus();
  }

  update() {
    const { wrong, right, answer, why } = this.entry;
    const [revealed, prediction] = [this.get("revealed"), this.get("prediction")];
    this.chooser.value = this.get("bug");
    this.code.replaceChildren();
    element("div", "full-model-word", this.code, WRONG);
    element("del", "", this.code, wrong);
    element("div", "full-model-word", this.code, RIGHT);
    element("ins", "", this.code, right);
    for (const [i, { input, label }] of this.radios.entries()) {
      input.checked = i === prediction;
      input.disabled = revealed;
      label.style.fontWeight = revealed && i === answer ? "bold" : "";
    }
    this.sound.input.disabled = !revealed;
    this.reveal.disabled = revealed || prediction < 0;
    this.show(...(revealed ? this.measured(prediction) : []));
    this.why.textContent = revealed ? why : "";
    this.chart.picture.style.display = revealed ? "" : "none";
    this.chart.paint();
  }

  /** @param {number} prediction */
  measured(prediction) {
    const { answer, sound, with_bug: broken } = this.entry;
    const [hits, made] = this.get("score");
    const texts = [
      prediction === answer ? "*You predicted it.*" : `*Measured: ${this.get("predictions")[answer]}.*`,
      `mAP ${sound.map_50.toFixed(3)} → *${broken.map_50.toFixed(3)}*`,
      `recall ${sound.recall_50.toFixed(3)} → *${broken.recall_50.toFixed(3)}*`,
      `${hits} of ${made} predictions right`,
    ];
    if (broken.loss === null || sound.loss === null) return texts;
    return [...texts, `loss at the end ${sound.loss.toFixed(3)} → ${broken.loss.toFixed(3)}`];
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("../js/kit/charts.js").Size} size
   */
  drawBars(context, { width, ink }) {
    const full = width - LABEL - VALUE;
    BARS.forEach(([label, name], i) => {
      const top = 2 * i * BAR + 4 * i;
      Object.assign(context, { fillStyle: ink, textAlign: "left" });
      context.fillText(label, 0, top + BAR);
      KINDS.forEach(([kind, color, word], k) => {
        const value = this.entry[kind][name];
        const y = top + k * (BAR - 4);
        context.fillStyle = color;
        context.fillRect(LABEL, y + 2, Math.max(full * value, 1), BAR - 8);
        context.fillStyle = ink;
        context.fillText(`${value.toFixed(2)} ${word}`, LABEL + full * value + 5, y + BAR - 11);
      });
    });
  }
}

export default explorer(BugZooExplorer);
