/* IoUExplorer: two boxes, the area they share, the area they cover, and two curves of what moves their IoU. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { HIGH, LOW, addChart, boxAt, columns, element, iou, shortNumber, wholeNumber } from "../lesson_01_anchors/common.js";

const STEPS = 80;
const FACTORS = [0.25, 0.5, 1, 2, 4];
const PLACE = { left: 36, right: 14, top: 10, bottom: 34 };
const SHARED = "#009E73";

function render({ model, el }) {
  let object = [0, 0, 1, 1]; // drawn from the first frame on
  let anchor = object;
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged: update, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const charts = [
    addChart(side, "IoU if the anchor were shifted", 400, 170, (context, size) => drawCurve(context, size, {
      at: (part) => shifted(2 * part - 1), name: "anchor shifted sideways, in pixels",
      ticks: [-1, -0.5, 0, 0.5, 1].map((shift) => [(shift + 1) / 2, shortNumber(shift * (anchor[2] - anchor[0]))]),
    })),
    addChart(side, "IoU if the anchor were scaled", 400, 170, (context, size) => drawCurve(context, size, {
      at: (part) => scaled(4 ** (2 * part - 1)), name: "anchor scaled, both sides times",
      ticks: FACTORS.map((factor) => [(Math.log(factor) / Math.log(4) + 1) / 2, `${factor}`]),
    })),
  ];

  function update() {
    [object, anchor] = [boxAt(canvas.boxes, 0), boxAt(canvas.boxes, 1)];
    const shared = sharedBox();
    const overlap = shared ? area(shared) : 0;
    const union = area(object) + area(anchor) - overlap;
    numbers.innerHTML = `<span>object <b>${wholeNumber(area(object))}</b> px²</span><span>anchor <b>${wholeNumber(area(anchor))}</b> px²</span>
      <span>overlap <b>${wholeNumber(overlap)}</b> px²</span><span>union <b>${wholeNumber(union)}</b> px²</span>
      <span>IoU = overlap / union = <b>${iou(object, anchor).toFixed(3)}</b></span>`;
    for (const chart of charts) chart.paint();
    canvas.redraw();
  }

  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);

  function sharedBox() {
    const box = [0, 1, 2, 3].map((k) => (k < 2 ? Math.max(object[k], anchor[k]) : Math.min(object[k], anchor[k])));
    return box[0] < box[2] && box[1] < box[3] ? box : null;
  }

  function shifted(widths) {
    const step = widths * (anchor[2] - anchor[0]);
    return [anchor[0] + step, anchor[1], anchor[2] + step, anchor[3]];
  }

  function scaled(factor) {
    const [x, y] = [(anchor[0] + anchor[2]) / 2, (anchor[1] + anchor[3]) / 2];
    return anchor.map((value, k) => (k % 2 ? y + factor * (value - y) : x + factor * (value - x)));
  }

  function drawOver(context) {
    const shared = sharedBox();
    if (!shared) return;
    context.fillStyle = SHARED;
    context.globalAlpha = 0.5;
    context.fillRect(shared[0], shared[1], shared[2] - shared[0], shared[3] - shared[1]);
    context.globalAlpha = 1;
  }

  function drawCurve(context, { width, height, ink }, { at, name, ticks }) {
    const across = (part) => PLACE.left + part * (width - PLACE.left - PLACE.right);
    const up = (value) => height - PLACE.bottom - value * (height - PLACE.top - PLACE.bottom);
    context.clearRect(0, 0, width, height);
    context.globalAlpha = 0.25;
    for (const value of [0, LOW, HIGH, 1]) context.fillRect(PLACE.left, up(value), width - PLACE.left - PLACE.right, 1);
    for (const [part] of ticks) context.fillRect(across(part), PLACE.top, 1, height - PLACE.top - PLACE.bottom);
    context.globalAlpha = 1;
    context.textAlign = "right";
    for (const value of [0, LOW, HIGH, 1]) context.fillText(String(value), PLACE.left - 6, up(value) + 4);
    context.textAlign = "center";
    for (const [part, label] of ticks) context.fillText(label, across(part), height - PLACE.bottom + 15);
    context.fillText(name, width / 2, height - 4);
    context.strokeStyle = "#0072B2";
    context.lineWidth = 2.5;
    context.beginPath();
    for (let i = 0; i <= STEPS; i++) context.lineTo(across(i / STEPS), up(iou(at(i / STEPS), object)));
    context.stroke();
    context.beginPath();
    context.arc(across(0.5), up(iou(anchor, object)), 6, 0, 2 * Math.PI); // where the anchor stands
    context.fillStyle = "#D55E00";
    context.strokeStyle = ink;
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
  }

  return () => canvas.destroy();
}

export default { render };
