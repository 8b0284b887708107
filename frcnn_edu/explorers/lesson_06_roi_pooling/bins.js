/* PoolingExplorer: one channel of a feature map, a region to drag over it, and what RoIPool and RoIAlign make of it. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { addChart, boxAt, columns, element, iou, onTraits } from "../lesson_01_anchors/common.js";
import { alignAxis, alignedValues, color, drawMap, numbers, valuesAt, wholeCells, winners } from "./common.js";
import { addChooser, drawCellBorders, signed, sides } from "./parts.js";

const READ = { name: "what RoIPool reads", color: "#56B4E9", dash: [8, 4], width: 2.5 };
const WITH_NUMBERS = 7; // bins each way, up to which their values fit into the grids
const GRID = { size: 214, left: 2, top: 20 };

function render({ model, el }) {
  const map = numbers(model, "features");
  const [channels, tall, wide] = model.get("map_size");
  const stride = model.get("stride");
  const area = tall * wide;
  let now = null; // all that follows from region and settings
  let values = map.subarray(0, area); // of the channel that is shown
  let [least, most] = [0, 1];
  let pointed = null; // the bin under the pointer, [i, j]
  let stale = false; // whether numbers and grids wait for the next frame

  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, pointerStep: stride / 2, onBoxesChanged: update, onPointer, onLeave: onPointer, drawUnder, drawOver });
  const figures = element("div", "anchors-numbers", side);
  const panel = element("div", "anchors-panel", side);
  const grids = {
    pool: addChart(panel, "", GRID.size, GRID.size + GRID.top, (context, size) => drawGrid(context, size, "pool")),
    align: addChart(panel, "", GRID.size, GRID.size + GRID.top, (context, size) => drawGrid(context, size, "align")),
  };
  const settings = element("div", "box-canvas-row", side);
  const chooser = addChooser(model, settings, "On the picture: ", "operator", { pool: "RoIPool's cells", align: "RoIAlign's points" });
  const channel = canvas.addSlider({ label: "Channel", min: 0, max: channels - 1, step: 1, trait: "channel", parent: settings });
  canvas.addSlider({ label: "Bins each way", min: 1, max: 14, step: 1, trait: "bins", parent: settings });
  canvas.addSlider({ label: "RoIAlign: points each way", min: 1, max: 4, step: 1, trait: "samples", parent: settings });
  canvas.addCheckbox({ label: "RoIAlign: aligned (a value lies in the middle of its cell)", trait: "aligned", parent: settings });
  canvas.addSlider({ label: "Map over the image", min: 0, max: 1, step: 0.05, trait: "opacity", format: (share) => `${Math.round(100 * share)} %`, parent: settings });
  channel.input.style.width = "180px";

  // ------------------------------------------------------------------------------------------------ arithmetic

  function update() {
    if (!canvas.boxes.length) return;
    const roi = boxAt(canvas.boxes, 0);
    const [bins, samples, aligned, at] = ["bins", "samples", "aligned", "channel"].map((trait) => model.get(trait));
    const start = at * area;
    const axis = { x: { stride, cells: wide, bins, samples, aligned }, y: { stride, cells: tall, bins, samples, aligned } };
    const [across, down] = [wholeCells(roi[0], roi[2], axis.x), wholeCells(roi[1], roi[3], axis.y)];
    const [x, y] = [alignAxis(roi[0], roi[2], axis.x), alignAxis(roi[1], roi[3], axis.y)];
    const found = winners(map, start, wide, down, across);
    const pool = valuesAt(map, found);
    const align = alignedValues(map, start, wide, y.weights, x.weights);
    const read = [across[0][0], down[0][0], across.at(-1)[1], down.at(-1)[1]].map((cell) => cell * stride);
    now = { roi, bins, aligned, start, across, down, x, y, found, pool, align, read };
    pointed = canvas.pointer && binAt(canvas.pointer);
    for (const operator of ["pool", "align"]) grids[operator].picture.dataset.values = JSON.stringify(now[operator]);
    show();
  }

  function takeChannel() {
    values = map.subarray(model.get("channel") * area, (model.get("channel") + 1) * area);
    [least, most] = [Math.min(...values), Math.max(...values)];
    canvas.redraw("under");
  }

  function share(value) {
    return most > least ? (value - least) / (most - least) : 0;
  }

  // ------------------------------------------------------------------------------------------------ the hand

  function binAt({ x, y }) {
    const [x1, y1, x2, y2] = model.get("operator") === "pool" ? now.read : now.roi;
    const [i, j] = [Math.floor(((y - y1) / (y2 - y1)) * now.bins), Math.floor(((x - x1) / (x2 - x1)) * now.bins)];
    return i >= 0 && j >= 0 && i < now.bins && j < now.bins ? [i, j] : null;
  }

  function onPointer() {
    if (!now) return;
    pointed = canvas.pointer && binAt(canvas.pointer);
    show();
  }

  /* Numbers and grids follow in the next frame, once for all that has happened by then. */
  function show() {
    stale = true;
    canvas.setReadout(pointed ? binText(...pointed) : `${edgeText()} Point at a bin to see how it got its value.`);
    canvas.redraw();
  }

  // ------------------------------------------------------------------------------------------------ words

  function write() {
    const { roi, read } = now;
    const moved = read.map((edge, k) => signed(edge - roi[k], 1));
    figures.innerHTML = `<span>asked for <b>${sides(roi, 1)}</b></span><span>RoIPool reads <b>${sides(read)}</b></span>
      <span>edges moved by <b>${moved[0]}</b> left, <b>${moved[1]}</b> top, <b>${moved[2]}</b> right, <b>${moved[3]}</b> bottom px</span>
      <span>IoU of the two <b>${iou(roi, read).toFixed(3)}</b></span>`;
  }

  function edgeText() {
    const cells = now.roi.map((edge) => (edge / stride).toFixed(2));
    return `In cells: x ${cells[0]} to ${cells[2]}, y ${cells[1]} to ${cells[3]}.`;
  }

  function binText(i, j) {
    if (model.get("operator") === "align") {
      return `Bin ${i}, ${j}: RoIAlign reads ${model.get("samples") ** 2} points between the cells, mean ${now.align[i][j].toFixed(3)}.`;
    }
    const [[top, bottom], [from, to]] = [now.down[i], now.across[j]];
    const at = now.found[i][j] - now.start;
    const cells = `Bin ${i}, ${j}: rows ${top} to ${bottom - 1}, columns ${from} to ${to - 1}`;
    if (at < 0) return `Bin ${i}, ${j} holds no cell of the map: it gives 0.`;
    return `${cells}, ${(bottom - top) * (to - from)} cells. The largest, ${now.pool[i][j].toFixed(3)}, is in row ${Math.floor(at / wide)}, column ${at % wide}.`;
  }

  // ------------------------------------------------------------------------------------------------ pictures

  function drawUnder(context, view) {
    context.globalAlpha = model.get("opacity");
    drawMap(context, view, values, wide, stride, share);
    context.globalAlpha = 1;
    drawCellBorders(context, view, stride, 0.3);
    if (model.get("operator") === "align") dots(context, view, cellPlaces(), 1.6, "rgba(255, 255, 255, 0.9)");
  }

  function line(context, x1, y1, x2, y2) {
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
  }

  function dots(context, view, places, radius, fill) {
    context.beginPath();
    for (const [x, y] of places) {
      context.moveTo(x + radius * view.px, y);
      context.arc(x, y, radius * view.px, 0, 2 * Math.PI);
    }
    Object.assign(context, { strokeStyle: "black", lineWidth: 1.5 * view.px, fillStyle: fill });
    context.stroke();
    context.fill();
  }

  /* Where RoIAlign takes the values of the map to lie. */
  function cellPlaces() {
    const offset = model.get("aligned") ? 0.5 : 0;
    return Array.from({ length: area }, (_, at) => [((at % wide) + offset) * stride, (Math.floor(at / wide) + offset) * stride]);
  }

  function drawOver(context, view) {
    if (!now) return;
    if (stale) {
      stale = false;
      write();
      for (const grid of Object.values(grids)) grid.paint();
    }
    if (model.get("operator") === "pool") drawPool(context, view);
    else drawAlign(context, view);
  }

  function drawPool(context, view) {
    const { read, bins, across, down, found, start } = now;
    divide(context, view, read, bins);
    view.strokeBox(context, read, READ);
    const middle = (at) => [(((at - start) % wide) + 0.5) * stride, (Math.floor((at - start) / wide) + 0.5) * stride];
    dots(context, view, [...new Set(found.flat())].filter((at) => at >= 0).map(middle), 3, "#E69F00");
    if (!pointed) return;
    const [[top, bottom], [from, to]] = [down[pointed[0]], across[pointed[1]]];
    context.fillStyle = "rgba(255, 255, 255, 0.35)";
    context.fillRect(from * stride, top * stride, (to - from) * stride, (bottom - top) * stride);
    const best = found[pointed[0]][pointed[1]];
    if (best >= 0) dots(context, view, [middle(best)], 6, "#D55E00");
  }

  function drawAlign(context, view) {
    const { roi, bins, x, y, aligned } = now;
    const offset = aligned ? 0.5 : 0;
    divide(context, view, roi, bins);
    const place = (point) => (point + offset) * stride;
    dots(context, view, y.points.flatMap((down) => x.points.map((across) => [place(across), place(down)])), 2, "#E69F00");
    if (!pointed) return;
    const samples = x.points.length / bins;
    const mine = (points, bin) => points.slice(bin * samples, (bin + 1) * samples);
    context.beginPath();
    for (const down of mine(y.points, pointed[0])) for (const across of mine(x.points, pointed[1])) {
      for (const i of between(down, tall)) for (const j of between(across, wide)) line(context, place(across), place(down), place(j), place(i));
    }
    Object.assign(context, { strokeStyle: "white", lineWidth: 1.5 * view.px });
    context.stroke();
  }

  function between(point, cells) {
    const near = Math.floor(Math.min(Math.max(point, 0), cells - 1));
    return [near, Math.min(near + 1, cells - 1)];
  }

  function divide(context, view, [x1, y1, x2, y2], bins) {
    context.beginPath();
    for (let k = 1; k < bins; k++) {
      const [x, y] = [x1 + (k / bins) * (x2 - x1), y1 + (k / bins) * (y2 - y1)];
      line(context, x, y1, x, y2);
      line(context, x1, y, x2, y);
    }
    Object.assign(context, { strokeStyle: "rgba(255, 255, 255, 0.9)", lineWidth: 1.2 * view.px });
    context.stroke();
  }

  function drawGrid(context, { ink }, operator) {
    context.clearRect(0, 0, GRID.size, GRID.size + GRID.top);
    if (!now) return;
    const grid = now[operator];
    const cell = (GRID.size - 2 * GRID.left) / now.bins;
    context.fillText(operator === "pool" ? "RoIPool: largest of each bin" : "RoIAlign: mean of each bin", GRID.left, 13);
    Object.assign(context, { textAlign: "center", textBaseline: "middle", font: "10px system-ui, sans-serif" });
    grid.forEach((values, i) => values.forEach((value, j) => {
      const [x, y] = [GRID.left + j * cell, GRID.top + i * cell];
      context.fillStyle = `rgb(${color(share(value))})`;
      context.fillRect(x, y, cell + 0.5, cell + 0.5);
      if (now.bins > WITH_NUMBERS) return;
      context.fillStyle = share(value) > 0.5 ? "black" : "white";
      context.fillText(value.toFixed(2), x + cell / 2, y + cell / 2 + 1);
    }));
    Object.assign(context, { textAlign: "left", textBaseline: "alphabetic", strokeStyle: "#D55E00", lineWidth: 3, fillStyle: ink });
    if (pointed) context.strokeRect(GRID.left + pointed[1] * cell + 1, GRID.top + pointed[0] * cell + 1, cell - 2, cell - 2);
    grids[operator].picture.setAttribute("aria-label", `${operator === "pool" ? "RoIPool" : "RoIAlign"}: ${now.bins} by ${now.bins} values`);
  }

  function follow() {
    takeChannel();
    update();
  }

  const forget = onTraits(model, ["channel", "bins", "samples", "aligned", "operator", "opacity"], follow);
  follow();
  return () => { forget(); chooser.forget(); canvas.destroy(); };
}

export default { render };
