/* BiographyExplorer: where each detection came from. What is told of a life comes from Python; the box on its way from
   anchor to proposal to detection, and its IoU with the object, are computed here, as `box` and `iou` do there. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { columns, element, iou, onTraits, tell, wholeNumber } from "../lesson_01_anchors/common.js";

const STAGES = ["anchor", "proposal", "detection"];
const STATES = { truth: 1, anchor: 2, proposal: 3, detection: 4 }; // the palette of BiographyExplorer

const sides = ([x1, y1, x2, y2]) => `${Math.round(x2 - x1)} × ${Math.round(y2 - y1)} px`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function render({ model, el }) {
  const [left, side] = columns(el);
  side.classList.add("full-model-side");
  const canvas = createCanvas({ model, el: left, onSelect, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const table = element("table", "full-model-life", side);
  const row = element("div", "box-canvas-row", side);
  const lives = model.get("lives");
  canvas.addSlider({ label: "Detection", min: 0, max: lives.length - 1, step: 1, trait: "chosen", parent: row, format: (i) => `${i + 1} of ${lives.length}` });
  canvas.addSlider({ label: "Age", min: 0, max: 2, step: 0.02, trait: "age", parent: row, format: stageName });

  const life = () => lives[model.get("chosen")];

  function stageName(age) {
    const whole = Math.round(age);
    return Math.abs(age - whole) < 0.01 ? STAGES[whole] : age < 1 ? "first move" : "second move";
  }

  function box() {
    const before = Math.min(Math.floor(model.get("age")), 1);
    const [from, to] = [life()[STAGES[before]], life()[STAGES[before + 1]]];
    return from.map((value, k) => value + (model.get("age") - before) * (to[k] - value));
  }

  function onSelect(index) {
    if (index !== null) tell(model, { chosen: index });
  }

  function write() {
    const { name, index, which, cell, rank, num_anchors: all, objectness, anchor, proposal, detection, truth, runners_up: best } = life();
    const overlap = (one) => `IoU ${iou(one, truth).toFixed(2)}`;
    numbers.innerHTML = `<span>the box overlaps its object by IoU <b>${iou(box(), truth).toFixed(3)}</b></span>`;
    const rows = [
      ["place", `cell in row ${cell[0]}, column ${cell[1]} of the feature map`],
      ["anchor", `${wholeNumber(index)}, number ${which} of its cell: ${sides(anchor)}, ${overlap(anchor)}`],
      ["objectness", `${percent(objectness)}: rank ${wholeNumber(rank)} of ${wholeNumber(all)}`],
      ["proposal", `moved by four deltas: ${sides(proposal)}, ${overlap(proposal)}`],
      ["class", best.map(([label, share]) => `${label.replaceAll("_", "")} ${percent(share)}`).join(", ")],
      ["detection", `moved by the ${name}'s deltas: ${sides(detection)}, ${overlap(detection)}`],
    ];
    table.replaceChildren();
    for (const texts of rows) {
      const line = element("tr", "", table);
      for (const text of texts) element("td", "", line, text);
      const state = canvas.palette[STATES[texts[0]]];
      line.firstChild.style.borderLeft = `5px ${state?.dash.length ? "dashed" : "solid"} ${state?.color ?? "transparent"}`;
    }
    canvas.redraw();
  }

  function drawOver(context, view) {
    const { anchor, proposal, truth, center } = life();
    view.strokeBox(context, truth, STATES.truth);
    view.strokeBox(context, anchor, STATES.anchor);
    if (model.get("age") >= 1) view.strokeBox(context, proposal, STATES.proposal);
    view.strokeBox(context, box(), STATES.detection, { fill: 0.15 });
    context.beginPath();
    context.arc(...center, 4 * view.px, 0, 2 * Math.PI);
    Object.assign(context, { fillStyle: "white", strokeStyle: "black", lineWidth: view.px });
    context.fill();
    context.stroke();
  }

  const forget = onTraits(model, ["chosen", "age"], write);
  write();
  return () => { forget(); canvas.destroy(); };
}

export default { render };
