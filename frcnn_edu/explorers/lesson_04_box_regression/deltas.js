/* DeltaExplorer: box 0 is the anchor, box 1 the object. Drag them, or the four deltas between them. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { boxAt, columns, element, iou } from "../lesson_01_anchors/common.js";

const NAMES = ["dx", "dy", "dw", "dh"];
const [ANCHOR, OBJECT] = [0, 1];
const SHIFT_REACH = 1.5; // sliders of dx, dy end there
const SCALE_REACH = 2; // and those of dw, dh: a factor of e²
const LOG_SCALE_LIMIT = Math.log(1000 / 16); // as in boxes.py
const SMALLEST_SIDE = 8; // to which the pair can be scaled down, in pixels

const middle = ([x1, y1, x2, y2]) => [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1];
const signed = (value, digits) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);

function encode(target, anchor) {
  const [gx, gy, gw, gh] = middle(target);
  const [ax, ay, aw, ah] = middle(anchor);
  return [(gx - ax) / aw, (gy - ay) / ah, Math.log(gw / aw), Math.log(gh / ah)];
}

function decode([dx, dy, dw, dh], anchor) {
  const [ax, ay, aw, ah] = middle(anchor);
  const [x, y] = [ax + dx * aw, ay + dy * ah];
  const [w, h] = [aw, ah].map((side, i) => side * Math.exp(Math.min([dw, dh][i], LOG_SCALE_LIMIT)));
  return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
}

function render({ model, el }) {
  let deltas = [0, 0, 0, 0];
  let unscaled = null; // the two boxes at scale 1, while the hand scales them
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged: boxesMoved, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const table = element("table", "anchors-table", side);
  const row = element("div", "box-canvas-row", side);
  Object.assign(row.style, { display: "grid", gridTemplateColumns: "auto auto", justifyContent: "start" });
  const sliders = NAMES.map((name, i) => canvas.addSlider({
    label: name, parent: row, step: 0.01, value: 0,
    min: i < 2 ? -SHIFT_REACH : -SCALE_REACH, max: i < 2 ? SHIFT_REACH : SCALE_REACH,
    format: () => signed(deltas[i], 2), // a box dragged further than the slider goes is told as it is
    onInput: (value) => dragDelta(i, value),
  }));
  const scale = canvas.addSlider({
    label: "Scale both", parent: element("div", "box-canvas-row", side),
    min: 0.2, max: 2, step: 0.05, value: 1, format: (factor) => `× ${factor.toFixed(2)}`, onInput: scaleBoth,
  });

  function boxesMoved() {
    unscaled = null;
    scale.set(1);
    deltas = encode(boxAt(canvas.boxes, OBJECT), boxAt(canvas.boxes, ANCHOR));
    update();
  }

  function dragDelta(which, value) {
    const wanted = deltas.map((delta, i) => (i === which ? value : delta));
    canvas.moveBox(OBJECT, decode(wanted, boxAt(canvas.boxes, ANCHOR)), true);
  }

  /* Both boxes in one message: of two edits in a row Python might hear only the second. */
  function scaleBoth(factor) {
    unscaled ??= [ANCHOR, OBJECT].map((index) => boxAt(canvas.boxes, index));
    const [x, y, ...sides] = middle(unscaled[ANCHOR]);
    const least = SMALLEST_SIDE / Math.min(...sides, ...middle(unscaled[OBJECT]).slice(2));
    const by = Math.max(factor, Math.min(least, 1));
    const scaled = unscaled.flatMap((box) => box.map((value, i) => (i % 2 ? y : x) + by * (value - (i % 2 ? y : x))));
    const { states, editable, captions } = canvas;
    canvas.setBoxes(scaled, { states, editable, captions });
    const kept = model.get("boxes"); // so that a second view of this model starts from them
    scaled.forEach((value, i) => kept.setFloat32(4 * i, value, true));
    model.set("_both", scaled);
    model.save_changes();
    update();
  }

  function update() {
    sliders.forEach((slider, i) => slider.set(deltas[i]));
    const [anchor, target] = [boxAt(canvas.boxes, ANCHOR), boxAt(canvas.boxes, OBJECT)];
    const [a, g] = [middle(anchor), middle(target)];
    numbers.innerHTML = `<span>IoU of anchor and object <b>${iou(anchor, target).toFixed(3)}</b></span>`;
    const weights = model.get("weights");
    const how = (i) => i < 2
      ? `${signed(g[i] - a[i], 1)} / ${a[i + 2].toFixed(1)}`
      : `log(${g[i].toFixed(1)} / ${a[i].toFixed(1)})`;
    const rows = NAMES.map((name, i) => `<tr><th scope="row">${name}</th><td>${signed(g[i] - a[i], 1)} px</td><td>${how(i)}</td>
      <td><b>${signed(deltas[i], 3)}</b></td><td>${signed(weights[i] * deltas[i], 2)}</td></tr>`);
    const heads = ["", "in pixels", "how", "delta", `× ${weights.join(", ")}`].map((text) => `<th scope="col">${text}</th>`);
    table.innerHTML = `<tr>${heads.join("")}</tr>${rows.join("")}`;
    canvas.redraw();
  }

  function drawOver(context, view) {
    const [ax, ay] = middle(boxAt(canvas.boxes, ANCHOR));
    const [gx, gy] = middle(boxAt(canvas.boxes, OBJECT));
    for (const [color, width] of [["rgba(0, 0, 0, 0.7)", 5], ["white", 2.5]]) {
      context.beginPath();
      context.moveTo(ax, ay);
      context.lineTo(gx, ay);
      context.lineTo(gx, gy);
      context.strokeStyle = color;
      context.lineWidth = width * view.px;
      context.stroke();
    }
    for (const [x, y, color] of [[ax, ay, "#56B4E9"], [gx, gy, "#F0E442"]]) {
      context.beginPath();
      context.arc(x, y, 5 * view.px, 0, 2 * Math.PI);
      context.fillStyle = color;
      context.strokeStyle = "black";
      context.lineWidth = 1.5 * view.px;
      context.fill();
      context.stroke();
    }
  }

  return () => canvas.destroy();
}

export default { render };
