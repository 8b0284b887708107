/* RecallExplorer: recall of a data set after every step. Python measures (traits best and counts), this counts and draws:
   a bar for each step at the chosen IoU, the curves over all IoUs, and what became of each object of the picture. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { addChart, columns, element, onTraits } from "../lesson_01_anchors/common.js";
import { floats } from "./common.js";

const FATES = ["clipped", "after NMS", "detections"]; // an object is lost, proposed or detected by these
const POINTS = 100;
const PLOT = { left: 36, right: 10, top: 8, bottom: 36 };
const CURVES = {
  anchors: ["#0072B2", []],
  decoded: ["#D55E00", [7, 4]],
  "top-k": ["#009E73", [10, 3, 2, 3]],
  "after NMS": ["#E69F00", [2, 3]],
  detections: ["#CC79A7", [14, 3]],
};

function render({ model, el }) {
  const names = model.get("step_names");
  let best = []; // for each step a Float32Array (G)
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged: show });
  const row = () => element("div", "box-canvas-row", canvas.controls);
  const picture = canvas.addSlider({ label: "Picture", min: 0, max: 1, step: 1, trait: "picture", parent: row(), format: (index) => `${index + 1} of ${model.get("num_pictures")}` });
  const table = element("table", "proposals-table", side);
  const settings = element("div", "box-canvas-row", side);
  canvas.addSlider({ label: "Reached from", min: 0.3, max: 0.95, step: 0.05, trait: "iou", parent: settings, format: (iou) => `IoU ${iou.toFixed(2)}` });
  canvas.addSlider({ label: "Score at least", min: 0, max: 1, step: 0.05, trait: "lowest_score", parent: settings, format: (score) => score.toFixed(2) });
  const chart = addChart(side, "recall against IoU after each step", 420, 250, drawCurves);

  function takeIn() {
    const all = floats(model, "best");
    const count = model.get("num_objects");
    if (all.length !== names.length * count || model.get("counts").length !== names.length) return; // still on its way
    best = names.map((_, step) => all.subarray(step * count, (step + 1) * count));
    show();
  }

  const recall = (ious, from) => ious.reduce((sum, one) => sum + (one >= from), 0) / ious.length;

  function show() {
    if (!best.length) return;
    const iou = Math.fround(model.get("iou"));
    const counts = model.get("counts");
    table.replaceChildren();
    const head = element("tr", "", table);
    for (const text of ["step", "boxes an image", "", `recall at IoU ${model.get("iou").toFixed(2)}`]) element("th", "", head, text);
    names.forEach((name, step) => {
      const line = element("tr", "", table);
      const share = recall(best[step], iou);
      element("td", "", line, name);
      element("td", "proposals-number", line, counts[step].toFixed(1));
      const bar = element("i", "", element("span", "proposals-bar", element("td", "", line)));
      bar.style.width = `${100 * share}%`;
      element("td", "proposals-number", line, share.toFixed(3));
    });
    chart.paint();
    judge(iou);
  }

  function judge(iou) {
    const first = model.get("first_object");
    const [clipped, proposed, detected] = FATES.map((name) => best[names.indexOf(name)]);
    const fate = (k) => (detected[k] >= iou ? 0 : proposed[k] >= iou ? 1 : clipped[k] >= iou ? 2 : 3);
    canvas.setStates(Array.from({ length: canvas.boxes.length / 4 }, (_, i) => fate(first + i)));
  }

  function drawCurves(context, { width, height, ink }) {
    context.clearRect(0, 0, width, height);
    if (!best.length) return;
    const across = (iou) => PLOT.left + iou * (width - PLOT.left - PLOT.right);
    const up = (share) => height - PLOT.bottom - share * (height - PLOT.top - PLOT.bottom);
    drawAxes(context, width, height, across, up);
    Object.entries(CURVES).forEach(([name, [color, dash]], place) => {
      const sorted = best[names.indexOf(name)].slice().sort();
      context.beginPath();
      for (let k = 0, under = 0; k <= POINTS; k++) {
        while (under < sorted.length && sorted[under] < k / POINTS) under++;
        context.lineTo(across(k / POINTS), up(1 - under / sorted.length));
      }
      const y = height - PLOT.bottom - 14 * (Object.keys(CURVES).length - place);
      context.moveTo(across(0.02), y);
      context.lineTo(across(0.12), y);
      context.setLineDash(dash);
      Object.assign(context, { strokeStyle: color, lineWidth: 2 });
      context.stroke();
      context.setLineDash([]);
      context.textAlign = "left";
      context.fillText(name, across(0.14), y + 4);
    });
    context.fillRect(across(model.get("iou")), PLOT.top, 1, height - PLOT.top - PLOT.bottom);
  }

  function drawAxes(context, width, height, across, up) {
    context.globalAlpha = 0.2;
    for (const share of [0, 0.25, 0.5, 0.75, 1]) context.fillRect(PLOT.left, up(share), width - PLOT.left - PLOT.right, 1);
    context.globalAlpha = 1;
    context.textAlign = "right";
    for (const share of [0, 0.5, 1]) context.fillText(String(share), PLOT.left - 5, up(share) + 4);
    context.textAlign = "center";
    for (const iou of [0, 0.25, 0.5, 0.75, 1]) context.fillText(String(iou), across(iou), height - 20);
    context.fillText("IoU from which an object counts as reached (up: recall)", width / 2 + 10, height - 4);
  }

  const forget = [
    onTraits(model, ["best", "counts"], takeIn),
    onTraits(model, ["iou", "first_object"], show),
    onTraits(model, ["num_pictures"], () => picture.span(0, model.get("num_pictures") - 1, 1)),
  ];
  picture.span(0, model.get("num_pictures") - 1, 1);
  takeIn();
  return () => { forget.forEach((one) => one()); canvas.destroy(); };
}

export default { render };
