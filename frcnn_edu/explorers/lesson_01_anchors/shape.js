/* OddShapeExplorer: one object of any shape, the best anchor for it, and the best IoU over all shapes as a curve. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { HIGH, addChart, baseAnchors, bestAnchor, boxAt, columns, element, lookOf, onTraits, settingsOf, shortNumber, tell } from "./common.js";

const REACH = 12; // the curve runs from 1 / REACH to REACH
const STEPS = 160;
const PARTS = [0.5, 1, 2]; // sizes of the anchors over the object's own
const CHOICES = [[1], [0.5, 1, 2], [0.25, 0.5, 1, 2, 4], [0.125, 0.25, 0.5, 1, 2, 4, 8]];
const PLACE = { left: 42, right: 12, top: 10, bottom: 34 };

function render({ model, el }) {
  let best = null; // drawn from the first frame on
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged: update, drawOver });
  let curve = [];
  let object = [0, 0, 1, 1];
  const settings = () => ({ ...settingsOf(model), sizes: PARTS.map((part) => part * size()) });
  const size = () => Math.sqrt((object[2] - object[0]) * (object[3] - object[1]));

  const choice = canvas.addSlider({
    label: "Ratios", min: 0, max: CHOICES.length - 1, step: 1, value: chosen(), format: () => String(model.get("ratios").length), parent: element("div", "box-canvas-row anchors-sliders", side),
    onInput: (index) => tell(model, { ratios: CHOICES[index] }),
  });
  const numbers = element("div", "anchors-numbers", side);
  const chart = addChart(side, "best IoU over the object's ratio", 400, 230, drawCurve);

  function chosen() {
    const at = CHOICES.findIndex((ratios) => ratios.length >= model.get("ratios").length);
    return at < 0 ? CHOICES.length - 1 : at;
  }

  function update() {
    object = boxAt(canvas.boxes, 0);
    const now = settings();
    const base = baseAnchors(now);
    best = bestAnchor(object, base, now, frame());
    curve = Array.from({ length: STEPS + 1 }, (_, i) => {
      const ratio = REACH ** ((2 * i) / STEPS - 1);
      return [ratio, bestAnchor(ofRatio(ratio), base, now, frame()).iou];
    });
    const ratio = (object[3] - object[1]) / (object[2] - object[0]);
    numbers.innerHTML = `<span>${now.ratios.length} ratios × 3 sizes = <b>${base.length}</b> anchors per cell: ${now.ratios.map(shortNumber).join(", ")}</span>
      <span>object's height / width <b>${shortNumber(ratio)}</b></span><span>best IoU <b>${best.iou.toFixed(3)}</b></span>`;
    chart.paint();
    canvas.redraw();
  }

  function frame() {
    const [width, height] = model.get("_image_size");
    return { width, height };
  }

  function ofRatio(ratio) {
    const [x, y] = [(object[0] + object[2]) / 2, (object[1] + object[3]) / 2];
    const [width, height] = [size() / Math.sqrt(ratio), size() * Math.sqrt(ratio)];
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
  }

  function drawOver(context, view) {
    if (best) view.strokeBox(context, best.box, lookOf(best.anchor), { fill: 0.15 });
  }

  function drawCurve(context, { width, height, ink }) {
    const across = (ratio) => PLACE.left + ((Math.log(ratio) / Math.log(REACH) + 1) / 2) * (width - PLACE.left - PLACE.right);
    const up = (value) => height - PLACE.bottom - value * (height - PLACE.top - PLACE.bottom);
    context.clearRect(0, 0, width, height);
    context.globalAlpha = 0.25;
    for (const value of [0, 0.5, HIGH, 1]) context.fillRect(PLACE.left, up(value), width - PLACE.left - PLACE.right, 1);
    for (const ratio of model.get("ratios")) context.fillRect(across(ratio), PLACE.top, 1, height - PLACE.top - PLACE.bottom);
    context.globalAlpha = 1;
    context.textAlign = "right";
    for (const value of [0, 0.5, HIGH, 1]) context.fillText(String(value), PLACE.left - 6, up(value) + 4);
    context.textAlign = "center";
    for (const ratio of [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]) context.fillText(ratio < 1 ? `1/${1 / ratio}` : String(ratio), across(ratio), height - PLACE.bottom + 15);
    context.fillText("wide  ←  height / width of an object of this area  →  tall", width / 2, height - 4);
    context.strokeStyle = "#0072B2";
    context.lineWidth = 2.5;
    context.beginPath();
    for (const [ratio, value] of curve) context.lineTo(across(ratio), up(value));
    context.stroke();
    const ratio = (object[3] - object[1]) / (object[2] - object[0]);
    context.beginPath();
    context.arc(across(Math.min(Math.max(ratio, 1 / REACH), REACH)), up(best.iou), 6, 0, 2 * Math.PI);
    context.fillStyle = "#D55E00";
    context.strokeStyle = ink;
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
  }

  const forget = onTraits(model, ["ratios", "stride", "offset"], () => { choice.set(chosen()); update(); });
  return () => { forget(); canvas.destroy(); };
}

export default { render };
