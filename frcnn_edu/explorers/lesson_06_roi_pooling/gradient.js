/* GradientExplorer: which cells of the map hear from a region when its pooled values send 1 back each. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { addChart, boxAt, columns, element, onTraits } from "../lesson_01_anchors/common.js";
import { alignAxis, alignGradient, color, drawMap, numbers, poolGradient, wholeCells, winners } from "./common.js";
import { addChooser, drawCellBorders } from "./parts.js";

const NAMES = { pool: "RoIPool", align: "RoIAlign" };
const PICTURE = 214; // CSS pixels, the longer side of a small map
const TOP = 20;
const FAINT = 1e-9; // below this nothing arrives

function render({ model, el }) {
  const map = numbers(model, "features");
  const [channels, tall, wide] = model.get("map_size");
  const stride = model.get("stride");
  const area = tall * wide;
  let gradients = null; // {pool, align}, (area,) each
  let roi = [0, 0, 1, 1];

  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, pointerStep: stride / 2, onBoxesChanged: update, onPointer: write, onLeave: write, drawUnder });
  const figures = element("div", "anchors-numbers", side);
  const panel = element("div", "anchors-panel", side);
  const cell = PICTURE / Math.max(tall, wide);
  const pictures = Object.fromEntries(Object.keys(NAMES).map((operator) => [
    operator, addChart(panel, `${NAMES[operator]}: gradient of every cell`, wide * cell, tall * cell + TOP, (context) => drawSmall(context, operator)),
  ]));
  const settings = element("div", "box-canvas-row", side);
  const chooser = addChooser(model, settings, "On the picture: ", "operator", NAMES);
  canvas.addCheckbox({ label: `all ${channels} channels (mean)`, trait: "all_channels", parent: settings });
  const channel = canvas.addSlider({ label: "Channel", min: 0, max: channels - 1, step: 1, trait: "channel", parent: settings });
  canvas.addSlider({ label: "Bins each way", min: 1, max: 14, step: 1, trait: "bins", parent: settings });
  canvas.addSlider({ label: "RoIAlign: points each way", min: 1, max: 4, step: 1, trait: "samples", parent: settings });
  canvas.addCheckbox({ label: "RoIAlign: aligned (a value lies in the middle of its cell)", trait: "aligned", parent: settings });

  function update() {
    if (!canvas.boxes.length) return;
    roi = boxAt(canvas.boxes, 0);
    const [bins, samples, aligned] = ["bins", "samples", "aligned"].map((trait) => model.get(trait));
    const axis = { x: { stride, cells: wide, bins, samples, aligned }, y: { stride, cells: tall, bins, samples, aligned } };
    const [across, down] = [wholeCells(roi[0], roi[2], axis.x), wholeCells(roi[1], roi[3], axis.y)];
    const weights = [alignAxis(roi[1], roi[3], axis.y).weights, alignAxis(roi[0], roi[2], axis.x).weights];
    gradients = { pool: meanOverChannels(down, across), align: alignGradient(...weights) };
    for (const [operator, { picture, paint }] of Object.entries(pictures)) {
      picture.dataset.values = JSON.stringify([...gradients[operator]]);
      paint();
    }
    channel.input.disabled = model.get("all_channels");
    write();
    canvas.redraw("under");
  }

  function meanOverChannels(down, across) {
    const some = model.get("all_channels") ? [...Array(channels).keys()] : [model.get("channel")];
    const sum = new Float64Array(area);
    for (const at of some) {
      poolGradient(winners(map, at * area, wide, down, across), at * area, area).forEach((value, k) => { sum[k] += value / some.length; });
    }
    return sum;
  }

  const most = (values) => Math.max(...values, FAINT);

  function write() {
    if (!gradients) return;
    figures.innerHTML = Object.entries(NAMES).map(([operator, name]) => {
      const values = gradients[operator];
      const reached = values.filter((value) => value > FAINT).length;
      const total = values.reduce((sum, value) => sum + value, 0);
      return `<span>${name}: <b>${reached}</b> cells hear something, the loudest <b>${most(values).toFixed(2)}</b>, all together <b>${total.toFixed(2)}</b></span>`;
    }).join("");
    const at = canvas.pointer && cellAt(canvas.pointer);
    if (!at) canvas.setReadout("Point at a cell to read its gradient.");
    else canvas.setReadout(`Cell in row ${at[0]}, column ${at[1]}: RoIPool ${of("pool", at)}, RoIAlign ${of("align", at)}.`);
  }

  const of = (operator, [i, j]) => gradients[operator][i * wide + j].toFixed(3);

  function cellAt({ x, y }) {
    const [i, j] = [Math.floor(y / stride), Math.floor(x / stride)];
    return i >= 0 && j >= 0 && i < tall && j < wide ? [i, j] : null;
  }

  function drawUnder(context, view) {
    if (!gradients) return;
    const values = gradients[model.get("operator")];
    const top = most(values);
    context.globalAlpha = 0.72;
    drawMap(context, view, values, wide, stride, (value) => value / top);
    context.globalAlpha = 1;
    drawCellBorders(context, view, stride, 0.25);
  }

  function drawSmall(context, operator) {
    context.clearRect(0, 0, wide * cell, tall * cell + TOP);
    if (!gradients) return;
    context.fillText(NAMES[operator], 0, 13);
    const values = gradients[operator];
    const top = most(values);
    values.forEach((value, at) => {
      context.fillStyle = `rgb(${color(value / top)})`;
      context.fillRect((at % wide) * cell, TOP + Math.floor(at / wide) * cell, cell + 0.5, cell + 0.5);
    });
    const [x1, y1, x2, y2] = roi.map((edge) => (edge / stride) * cell);
    Object.assign(context, { strokeStyle: "#E69F00", lineWidth: 2 });
    context.strokeRect(x1, TOP + y1, x2 - x1, y2 - y1);
  }

  const forget = onTraits(model, ["channel", "all_channels", "bins", "samples", "aligned", "operator"], update);
  update();
  return () => { forget(); chooser.forget(); canvas.destroy(); };
}

export default { render };
