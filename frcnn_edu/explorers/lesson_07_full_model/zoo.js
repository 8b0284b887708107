/* BugZooExplorer: choose a mistake, predict its price, see what was measured. The figures come from Python. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { addChart, columns, element, onTraits, tell } from "../lesson_01_anchors/common.js";

const BARS = [["mAP at IoU 0.5", "map_50"], ["mAP at IoU 0.75", "map_75"], ["recall at IoU 0.5", "recall_50"]];
const SOUND = "#009E73";
const BROKEN = "#D55E00";
const [LABEL, BAR] = [120, 26]; // CSS pixels

function render({ model, el }) {
  const [left, side] = columns(el);
  side.classList.add("full-model-side");
  const canvas = createCanvas({ model, el: left });
  const entries = model.get("entries");
  const chooser = addChooser();
  const code = element("div", "full-model-code", side);
  const radios = addRadios();
  const buttons = element("div", "box-canvas-row", side);
  const reveal = addButton("Show what was measured", () => open());
  const next = addButton("Next mistake", () => choose((model.get("bug") + 1) % entries.length));
  const numbers = element("div", "anchors-numbers", side);
  numbers.setAttribute("aria-live", "polite");
  const chart = addChart(side, "what was measured without and with the mistake", 330, 3 * 2 * BAR + 20, drawBars);
  const why = element("p", "", side);

  const entry = () => entries[model.get("bug")];

  function addChooser() {
    const label = element("label", "", side, "Mistake ");
    const select = element("select", "", label);
    select.dataset.lmSuppressShortcuts = "true";
    const groups = [["while the trained detector is used", false], ["while a detector is trained", true]];
    for (const [name, inTraining] of groups) {
      const group = element("optgroup", "", select);
      group.label = name;
      entries.forEach(({ title, in_training: when }, i) => {
        if (when === inTraining) element("option", "", group, title).value = i;
      });
    }
    select.addEventListener("change", () => choose(Number(select.value)));
    return select;
  }

  function addRadios() {
    const group = element("div", "full-model-choices", side, "How much mAP at IoU 0.5 does it cost? I predict:");
    const name = `prediction-${Math.random().toString(36).slice(2)}`;
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-label", "Prediction");
    return model.get("predictions").map((text, i) => {
      const label = element("label", "full-model-choice", group);
      const input = element("input", "", label);
      Object.assign(input, { type: "radio", name });
      input.dataset.lmSuppressShortcuts = "true";
      label.append(` ${text}`);
      input.addEventListener("change", () => tell(model, { prediction: i }));
      return { input, label };
    });
  }

  function addButton(text, act) {
    const button = element("button", "", buttons, text);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }

  function choose(bug) {
    tell(model, { bug, prediction: -1, revealed: false });
  }

  function open() {
    const [right, made] = model.get("score");
    tell(model, { revealed: true, score: [right + (model.get("prediction") === entry().answer), made + 1] });
    next.focus();
  }

  function write() {
    const { wrong, right, answer, why: reason, sound, with_bug: broken } = entry();
    const [open_, prediction] = [model.get("revealed"), model.get("prediction")];
    chooser.value = model.get("bug");
    code.replaceChildren();
    element("del", "", code, `− ${wrong}\n`);
    element("ins", "", code, `+ ${right}`);
    radios.forEach(({ input, label }, i) => {
      input.checked = i === prediction;
      input.disabled = open_;
      label.style.fontWeight = open_ && i === answer ? "bold" : "";
    });
    reveal.disabled = open_ || prediction < 0;
    numbers.replaceChildren();
    if (open_) {
      const [hits, made] = model.get("score");
      const verdict = prediction === answer ? "You predicted it." : `Measured: ${model.get("predictions")[answer]}.`;
      numbers.innerHTML = `<span><b>${verdict}</b></span><span>mAP ${sound.map_50.toFixed(3)} → <b>${broken.map_50.toFixed(3)}</b></span>
        <span>recall ${sound.recall_50.toFixed(3)} → <b>${broken.recall_50.toFixed(3)}</b></span>
        <span>${hits} of ${made} predictions right</span>`;
      if (broken.loss !== null) element("span", "", numbers, `loss at the end ${sound.loss.toFixed(3)} → ${broken.loss.toFixed(3)}`);
    }
    why.textContent = open_ ? reason : "";
    chart.picture.style.display = open_ ? "" : "none";
    chart.paint();
  }

  function drawBars(context, { width, height, ink }) {
    context.clearRect(0, 0, width, height);
    const full = width - LABEL - 50;
    BARS.forEach(([label, name], i) => {
      const top = 2 * i * BAR + 4 * i;
      Object.assign(context, { fillStyle: ink, textAlign: "left" });
      context.fillText(label, 0, top + BAR);
      [["sound", SOUND, "without"], ["with_bug", BROKEN, "with it"]].forEach(([kind, hue, word], k) => {
        const value = entry()[kind][name];
        const y = top + k * (BAR - 4);
        context.fillStyle = hue;
        context.fillRect(LABEL, y + 2, Math.max(full * value, 1), BAR - 8);
        context.fillStyle = ink;
        context.fillText(`${value.toFixed(2)} ${word}`, LABEL + full * Math.min(value, 0.75) + 5, y + BAR - 11);
      });
    });
  }

  const forget = onTraits(model, ["bug", "prediction", "revealed", "score"], write);
  write();
  return () => { forget(); canvas.destroy(); };
}

export default { render };
