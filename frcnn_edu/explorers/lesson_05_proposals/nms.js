/* NmsExplorer: one suppression at a time, and who suppressed whom. Every box has one moment: it is kept, or a kept box
   suppresses it. Trait step counts the moments that are over. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { areas, bestFirst, drawLinks, middle, overlap, suppress } from "./common.js";
import { columns, element, onTraits, tell } from "../lesson_01_anchors/common.js";

const [WAITING, KEPT, SUPPRESSED] = [0, 1, 2];
const BUTTONS = [
  ["start", "from the start", (at) => 0],
  ["back", "one back", (at) => at - 1],
  ["next", "next box", (at) => at + 1],
  ["winner", "next kept box", (at, { kept, moments }) => moments.findIndex((box, k) => k >= at && kept.includes(box)) + 1 || moments.length],
  ["end", "to the end", (at, { moments }) => moments.length],
];

function render({ model, el }) {
  let result = { by: [], kept: [], moments: [] }; // drawn from the first frame on
  let area = [];
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged: update, onHover: explain, onSelect: explain, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const moment = element("div", "proposals-moment", side);
  moment.setAttribute("aria-live", "polite");
  const row = () => element("div", "box-canvas-row", side);
  const buttons = row();
  const stepper = canvas.addSlider({ label: "Moment", min: 0, max: 1, step: 1, trait: "step", parent: row(), format: (step) => `${step} of ${canvas.scores.length}` });
  canvas.addSlider({ label: "NMS threshold", min: 0, max: 1, step: 0.01, trait: "threshold", parent: row(), format: (iou) => `IoU ${iou.toFixed(2)}` });
  for (const [name, label, target] of BUTTONS) {
    const button = element("button", "", buttons, label);
    button.type = "button";
    button.dataset.name = name;
    button.dataset.lmSuppressShortcuts = "true";
    button.addEventListener("click", () => {
      const step = target(model.get("step"), result);
      tell(model, { step: Math.min(Math.max(step, 0), result.moments.length) });
    });
  }

  const named = (index) => `${canvas.captions[index] || `box #${index}`}, score ${canvas.scores[index].toFixed(3)},`;
  const iou = (a, b) => overlap(canvas.boxes, area, a, canvas.boxes, area, b);

  function update() {
    area = areas(canvas.boxes);
    result = suppress(canvas.boxes, bestFirst(canvas.scores), model.get("threshold"));
    stepper.span(0, result.moments.length, 1);
    show();
  }

  function show() {
    const { by, kept, moments } = result;
    const step = Math.min(model.get("step"), moments.length);
    const states = new Uint8Array(moments.length).fill(WAITING);
    for (const index of moments.slice(0, step)) states[index] = by[index] === index ? KEPT : SUPPRESSED;
    canvas.setStates(states);
    const now = states.reduce((sum, state) => sum + (state === KEPT), 0);
    const gone = states.reduce((sum, state) => sum + (state === SUPPRESSED), 0);
    numbers.innerHTML = `<span>kept <b>${now}</b></span><span>suppressed <b>${gone}</b></span><span>waiting <b>${moments.length - now - gone}</b></span>
      <span>in the end <b>${kept.length}</b> of ${moments.length} are kept</span>`;
    moment.textContent = step ? `Moment ${step}: ${tale(moments[step - 1])}` : "All boxes wait, the best score first. Press “next box”.";
    explain();
  }

  function tale(index) {
    const judge = result.by[index];
    if (judge === index) {
      const victims = result.by.reduce((sum, one) => sum + (one === index), 0) - 1;
      return `${named(index)} is the best that is left: kept. It suppresses ${victims || "nobody"}.`;
    }
    const threshold = model.get("threshold").toFixed(2);
    return `${named(index)} overlaps the kept ${named(judge)} with IoU ${iou(index, judge).toFixed(3)}, above ${threshold}: suppressed.`;
  }

  function explain() {
    const index = canvas.hovered ?? canvas.selected;
    const known = index !== null && index < result.by.length;
    canvas.setReadout(known ? `${tale(index)[0].toUpperCase()}${tale(index).slice(1)}` : null);
    canvas.redraw();
  }

  /* Links of the box under the pointer, or else of the moment that has just passed. */
  function drawOver(context, view) {
    const { by, moments } = result;
    if (!moments.length) return; // nothing has been computed yet
    const index = canvas.hovered ?? canvas.selected ?? moments[Math.min(model.get("step"), moments.length) - 1];
    if (index === undefined || by.length * 4 !== canvas.boxes.length) return;
    const judge = by[index];
    const family = judge === index ? [...by.keys()].filter((other) => by[other] === index && other !== index) : [index];
    const box = (one) => canvas.boxes.subarray(4 * one, 4 * one + 4);
    for (const other of family) view.strokeBox(context, box(other), SUPPRESSED);
    view.strokeBox(context, box(judge), { ...canvas.palette[KEPT], width: 4 }, { fill: 0.12 });
    drawLinks(context, view, family.map((other) => [middle(canvas.boxes, other), middle(canvas.boxes, judge)]));
  }

  const forget = [onTraits(model, ["threshold"], update), onTraits(model, ["step"], show)];
  return () => { forget.forEach((one) => one()); canvas.destroy(); };
}

export default { render };
