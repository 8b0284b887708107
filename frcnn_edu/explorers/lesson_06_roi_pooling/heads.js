/* HeadsExplorer: a region to drag, and what the second stage answers: a probability and a move for every class.
   The model is asked in Python; the answers arrive as bytes. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { columns, element, onTraits, tell } from "../lesson_01_anchors/common.js";
import { numbers } from "./common.js";
import { addChooser, signed, sides } from "./parts.js";

const ANSWER = { name: "answer", color: "#009E73", dash: [], width: 2.5 };
const BAR = 120; // CSS pixels
const LIKELIEST = -1;

function render({ model, el }) {
  let answers = { probabilities: [], deltas: [], boxes: [] };
  const names = model.get("class_names").map((name) => name.replaceAll("_", ""));
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, drawOver });
  const figures = element("div", "anchors-numbers", side);
  const table = element("table", "anchors-table", side);
  table.innerHTML = `<tr><th scope="col">class</th><th scope="col">probability</th><th></th>${["dx", "dy", "dw", "dh"].map((name) => `<th scope="col">${name}</th>`).join("")}</tr>`;
  const lines = names.map(addLine);
  const settings = element("div", "box-canvas-row", side);
  const chooser = addChooser(model, settings, "Pooled by ", "operator", { align: "RoIAlign", pool: "RoIPool" });

  function addLine(name, k) {
    const line = element("tr", "", table);
    const head = element("th", "box-canvas-row", line);
    const button = element("button", "", head, name);
    head.setAttribute("scope", "row");
    button.type = "button";
    button.dataset.lmSuppressShortcuts = "true";
    button.addEventListener("click", () => tell(model, { shown_class: model.get("shown_class") === k ? LIKELIEST : k }));
    const bar = element("i", "", element("div", "anchors-bar", element("td", "", line)));
    bar.parentElement.style.width = `${BAR}px`;
    const cells = Array.from({ length: 5 }, () => element("td", "", line));
    return { button, bar, cells };
  }

  const likeliest = (from = 0) => answers.probabilities.reduce((best, one, k) => (k >= from && one > answers.probabilities[best] ? k : best), from);
  const shown = () => (model.get("shown_class") === LIKELIEST ? likeliest(1) : model.get("shown_class"));
  const boxOf = (k) => [...answers.boxes.slice(4 * k, 4 * k + 4)];

  function update() {
    answers = { probabilities: numbers(model, "probabilities"), deltas: numbers(model, "deltas"), boxes: numbers(model, "answers") };
    lines.forEach(({ button, bar, cells }, k) => {
      const probability = answers.probabilities[k];
      bar.style.width = `${100 * probability}%`;
      cells[0].textContent = probability.toFixed(3);
      for (let d = 0; d < 4; d++) cells[d + 1].textContent = signed(answers.deltas[4 * k + d]);
      button.setAttribute("aria-pressed", k === shown());
      button.style.textDecoration = "none";
    });
    const k = shown();
    figures.innerHTML = `<span>likeliest: <b>${names[likeliest()]}</b> ${answers.probabilities[likeliest()].toFixed(3)}</span>
      <span>green: the region as <b>${names[k]}</b> moves it, ${sides(boxOf(k))}${k ? "" : " (nobody taught it: the background has no box)"}</span>`;
    canvas.redraw();
  }

  function drawOver(context, view) {
    if (answers.boxes.length) view.strokeBox(context, boxOf(shown()), ANSWER);
  }

  const forget = onTraits(model, ["probabilities", "deltas", "answers", "shown_class"], update);
  update();
  return () => { forget(); chooser.forget(); canvas.destroy(); };
}

export default { render };
