/* ObjectnessExplorer: the score of each anchor, a map for each shape. Traits: shape, snapshot. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { boxAt, columns, element, onTraits, tell } from "../lesson_01_anchors/common.js";
import { addSnapshots, color, numbers } from "./common.js";

const SURE = 0.5; // from this score on an anchor says "object"

function render({ model, el }) {
  const [perCell, rows, across] = model.get("map_size");
  const scores = numbers(model, "objectness");
  const anchors = numbers(model, "anchors");
  let pointed = null; // the cell under the pointer
  const large = document.createElement("canvas");
  Object.assign(large, { width: across, height: rows });
  const shape = () => model.get("shape");
  const scoreAt = (cell, k) => scores[(model.get("snapshot") * rows * across + cell) * perCell + k];
  const anchorAt = (cell, k) => boxAt(anchors, cell * perCell + k);
  // Pixels of a cell; its square is drawn round its anchors' centre, which is the cell's upper left corner.
  const cellSize = (view) => [view.width / across, view.height / rows];
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onPointer, onLeave, drawUnder, drawOver });
  const line = element("div", "anchors-numbers", side);
  addSnapshots(canvas, model, element("div", "box-canvas-row anchors-sliders", side));
  const maps = element("div", "rpn-loss-maps", side);
  const thumbs = Array.from({ length: perCell }, (_, k) => thumb(k));

  function nameOf(k) {
    const [x1, y1, x2, y2] = anchorAt(0, k);
    return `${Math.round(x2 - x1)} × ${Math.round(y2 - y1)}`;
  }

  function thumb(k) {
    const button = element("button", "", maps);
    const picture = element("canvas", "", button);
    button.type = "button";
    button.dataset.lmSuppressShortcuts = "true";
    Object.assign(picture, { width: across, height: rows });
    element("span", "", button, nameOf(k));
    button.addEventListener("click", () => tell(model, { shape: k }));
    return { button, picture };
  }

  function paintMap(picture, k) {
    const pen = picture.getContext("2d");
    const image = pen.createImageData(across, rows);
    for (let cell = 0; cell < rows * across; cell++) image.data.set([...color(scoreAt(cell, k)), 255], 4 * cell);
    pen.putImageData(image, 0, 0);
  }

  function best() {
    let top = 0;
    for (let cell = 1; cell < rows * across; cell++) if (scoreAt(cell, shape()) > scoreAt(top, shape())) top = cell;
    return top;
  }

  function update() {
    thumbs.forEach(({ button, picture }, k) => {
      paintMap(picture, k);
      button.setAttribute("aria-pressed", String(k === shape()));
    });
    paintMap(large, shape());
    write();
    canvas.redraw("under");
  }

  function write() {
    const sure = Array.from({ length: rows * across }, (_, cell) => scoreAt(cell, shape())).filter((score) => score >= SURE).length;
    line.innerHTML = `<span>anchors of ${nameOf(shape())} px: best score <b>${scoreAt(best(), shape()).toFixed(3)}</b></span>
      <span><b>${sure}</b> of ${rows * across} say “object” (${SURE} or more)</span>`;
    canvas.setReadout(pointed === null ? "Dashed: the best anchor of this shape. Point at a cell to see its own." : tellCell());
  }

  function tellCell() {
    const [row, column] = [Math.floor(pointed / across), pointed % across];
    return `Row ${row}, column ${column}: score ${scoreAt(pointed, shape()).toFixed(3)} for its anchor of ${nameOf(shape())} px`;
  }

  function onPointer(x, y) {
    const [wide, tall] = cellSize(canvas.view);
    const nearest = (value, size, count) => Math.min(Math.max(Math.round(value / size), 0), count - 1);
    pointed = nearest(y, tall, rows) * across + nearest(x, wide, across);
    write();
    canvas.redraw();
  }

  function onLeave() {
    pointed = null;
    write();
    canvas.redraw();
  }

  function drawUnder(context, view) {
    context.globalAlpha = 0.7;
    context.imageSmoothingEnabled = false;
    const [wide, tall] = cellSize(view);
    context.beginPath();
    context.rect(0, 0, view.width, view.height);
    context.clip();
    context.drawImage(large, -wide / 2, -tall / 2, view.width, view.height);
  }

  function drawOver(context, view) {
    view.strokeBox(context, anchorAt(pointed ?? best(), shape()), "detection", { fill: 0.1 });
  }

  const forget = onTraits(model, ["shape", "snapshot"], update);
  update();
  return () => { forget(); canvas.destroy(); };
}

export default { render };
