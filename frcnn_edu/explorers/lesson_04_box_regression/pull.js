/* PullExplorer: where the anchors of one image lie after each part of the training. Traits: snapshot, anchor, everyone. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { addChart, columns, element, iou, onTraits, tell } from "../lesson_01_anchors/common.js";

const ANCHOR = { color: "#56B4E9", dash: [7, 4], width: 2 };
const OTHER = { color: "#009E73", dash: [], width: 1 };
const FOLLOWED = { color: "#D55E00", dash: [], width: 3 };
const PLACE = { left: 40, right: 24, top: 10, bottom: 36 };

function render({ model, el }) {
  const steps = model.get("steps");
  const [anchors, targets, moved] = ["anchor_boxes", "target_boxes", "moved_boxes"].map((trait) => rows(model.get(trait)));
  const count = anchors.length;
  const overlaps = moved.map((box, i) => iou(box, targets[i % count])); // moment by moment
  const before = anchors.map((box, i) => iou(box, targets[i]));
  const at = (snapshot, anchor) => snapshot * count + anchor;
  const means = steps.map((_, s) => overlaps.slice(at(s, 0), at(s + 1, 0)).reduce((sum, one) => sum + one, 0) / count);

  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onClick: pick, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const key = element("div", "anchors-numbers", side);
  key.innerHTML = [["the anchor", ANCHOR], ["where it is sent", FOLLOWED], ["the other positive anchors", OTHER]].map(([name, { color, dash, width }]) =>
    `<span><svg width="30" height="12" aria-hidden="true"><line x1="1" y1="6" x2="29" y2="6" stroke="${color}" stroke-width="${width}" stroke-dasharray="${dash}"/></svg> ${name}</span>`).join("");
  const row = element("div", "box-canvas-row", side);
  canvas.addSlider({ label: "Training step", min: 0, max: steps.length - 1, trait: "snapshot", format: (index) => String(steps[index]), parent: row });
  canvas.addSlider({ label: "Anchor", min: 0, max: count - 1, trait: "anchor", format: (index) => `${index + 1} of ${count}`, parent: row });
  canvas.addCheckbox({ label: "show all positive anchors", trait: "everyone", parent: row });
  const chart = addChart(side, "IoU with the object over the training", 400, 220, drawCurves);

  function rows(view) {
    const values = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    return Array.from({ length: values.length / 4 }, (_, i) => [...values.subarray(4 * i, 4 * i + 4)]);
  }

  /* A click takes the anchor whose box, as it lies now, has its nearest side or corner there. */
  function pick(x, y) {
    const snapshot = model.get("snapshot");
    const distance = ([x1, y1, x2, y2]) => Math.abs(Math.max(x1 - x, x - x2, y1 - y, y - y2));
    let best = 0;
    for (let i = 1; i < count; i++) if (distance(moved[at(snapshot, i)]) < distance(moved[at(snapshot, best)])) best = i;
    tell(model, { anchor: best });
  }

  function update() {
    const [snapshot, anchor] = [model.get("snapshot"), model.get("anchor")];
    numbers.innerHTML = `<span>IoU with its object: the anchor itself <b>${before[anchor].toFixed(3)}</b>, sent by step ${steps[snapshot]} <b>${overlaps[at(snapshot, anchor)].toFixed(3)}</b></span>
      <span>mean of all ${count} positive anchors <b>${means[snapshot].toFixed(3)}</b></span>`;
    chart.paint();
    canvas.redraw();
  }

  function drawOver(context, view) {
    const [snapshot, anchor] = [model.get("snapshot"), model.get("anchor")];
    if (model.get("everyone")) for (let i = 0; i < count; i++) view.strokeBox(context, moved[at(snapshot, i)], OTHER, { cased: false });
    view.strokeBox(context, anchors[anchor], ANCHOR);
    view.strokeBox(context, moved[at(snapshot, anchor)], FOLLOWED, { fill: 0.15 });
  }

  function drawCurves(context, { width, height, ink }) {
    const [snapshot, anchor] = [model.get("snapshot"), model.get("anchor")];
    const across = (index) => PLACE.left + (index / Math.max(steps.length - 1, 1)) * (width - PLACE.left - PLACE.right);
    const up = (value) => height - PLACE.bottom - value * (height - PLACE.top - PLACE.bottom);
    const curve = (value, color, thick, dash = []) => {
      context.beginPath();
      steps.forEach((_, s) => context.lineTo(across(s), up(value(s))));
      Object.assign(context, { strokeStyle: color, lineWidth: thick });
      context.setLineDash(dash);
      context.stroke();
      context.setLineDash([]);
    };
    context.clearRect(0, 0, width, height);
    context.globalAlpha = 0.25;
    for (const value of [0, 0.5, 1]) context.fillRect(PLACE.left, up(value), width - PLACE.left - PLACE.right, 1);
    for (let i = 0; i < count; i++) curve((s) => overlaps[at(s, i)], OTHER.color, 1);
    context.globalAlpha = 1;
    curve((s) => means[s], ink, 2, [6, 4]);
    curve((s) => overlaps[at(s, anchor)], FOLLOWED.color, 2.5);
    context.fillRect(across(snapshot) - 0.5, PLACE.top, 1, height - PLACE.top - PLACE.bottom);
    context.textAlign = "right";
    for (const value of [0, 0.5, 1]) context.fillText(String(value), PLACE.left - 6, up(value) + 4);
    context.textAlign = "center";
    let free = 0; // labels that would touch the one before are left out
    steps.forEach((step, s) => {
      const half = context.measureText(step).width / 2 + 3;
      if (across(s) - half < free) return;
      context.fillText(step, across(s), height - PLACE.bottom + 15);
      free = across(s) + half;
    });
    context.fillText("training step (dashed: the mean of all)", (PLACE.left + width) / 2, height - 4);
  }

  const forget = onTraits(model, ["snapshot", "anchor", "everyone"], update);
  requestAnimationFrame(update); // on the page by then, where the chart finds its colour
  return () => { forget(); canvas.destroy(); };
}

export default { render };
