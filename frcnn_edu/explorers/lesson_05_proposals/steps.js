/* StepsExplorer: the boxes of one image from step to step, and how many objects each step still reaches.
   Box i of the canvas is anchor i, wherever the step puts it; behind the anchors come the objects. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { columns, element, onTraits, tell, wholeNumber } from "../lesson_01_anchors/common.js";
import { areas, bestFirst, drawLinks, floats, middle, overlap, suppress } from "./common.js";

const [HERE, DROPPED, NOT_DRAWN, TRUTH] = [0, 1, 2, 3];
const REACHED = 0.7;
const WHAT = [
  "every anchor of the image",
  "moved by its deltas",
  "cut off at the border",
  "no side too short",
  "the best scores",
  "no near copies",
];

function render({ model, el }) {
  const names = model.get("step_names");
  let places = []; // anchors, decoded, clipped: Float32Array (4A) each
  let reach = []; // for each of them the best IoU pairs, (A * G)
  let objects = new Float32Array(0);
  let order = [];
  let left = []; // for each step the boxes that it hands on
  let reached = []; // for each step how many objects they reach
  let placed = null; // which of the places the canvas shows
  const [picture, side] = columns(el);
  const canvas = createCanvas({ model, el: picture, onBoxesChanged: load, drawOver });
  const table = element("table", "proposals-table", side);
  const row = () => element("div", "box-canvas-row", side);
  const slider = (options) => canvas.addSlider({ parent: row(), ...options });
  slider({ label: "Step", min: 0, max: names.length - 1, step: 1, trait: "step", format: (step) => names[step] });
  slider({ label: "Smallest side", min: 0, max: 64, step: 1, trait: "smallest", format: (side) => `${side} px` });
  slider({ label: "Top k", min: 10, max: 2000, step: 10, trait: "top_n" });
  slider({ label: "NMS threshold", min: 0, max: 1, step: 0.05, trait: "threshold", format: (iou) => `IoU ${iou.toFixed(2)}` });
  slider({ label: "At most", min: 10, max: 1000, step: 10, trait: "limit", format: (count) => `${count} kept` });
  slider({ label: "Draw the best", min: 10, max: 2000, step: 10, trait: "drawn" });

  function load() {
    const number = floats(model, "logits").length;
    const [width, height] = model.get("_image_size");
    const decoded = floats(model, "decoded");
    const clipped = decoded.map((value, k) => Math.min(Math.max(value, 0), k % 2 ? height : width));
    objects = canvas.boxes.slice(4 * number);
    places = [floats(model, "anchors"), decoded, clipped];
    reach = places.map((boxes) => overlaps(boxes, objects));
    order = bestFirst(floats(model, "logits"));
    [reached, placed] = [[], null];
    update();
  }

  function overlaps(boxes, truth) {
    const [area, trueArea] = [areas(boxes), areas(truth)];
    const out = new Float32Array(area.length * trueArea.length);
    let k = 0;
    for (let i = 0; i < area.length; i++) {
      for (let g = 0; g < trueArea.length; g++) out[k++] = overlap(boxes, area, i, truth, trueArea, g);
    }
    return out;
  }

  function countReached(step) {
    const count = objects.length / 4;
    const ious = reach[Math.min(step, 2)];
    const missing = new Set(Array.from({ length: count }, (_, g) => g));
    for (const i of left[step]) {
      for (const g of missing) if (ious[i * count + g] >= REACHED) missing.delete(g);
      if (!missing.size) break;
    }
    return count - missing.size;
  }

  function choose() {
    const [, , boxes] = places;
    const smallest = model.get("smallest");
    const large = order.filter((i) => {
      const j = 4 * i;
      return Math.fround(boxes[j + 2] - boxes[j]) >= smallest && Math.fround(boxes[j + 3] - boxes[j + 1]) >= smallest;
    });
    const top = large.slice(0, model.get("top_n"));
    const { kept } = suppress(boxes, top, model.get("threshold"), model.get("limit"));
    left = [order, order, order, large, top, kept];
  }

  function update() {
    if (!places.length) return;
    choose();
    reached = names.map((_, step) => (step < 3 && reached[step] !== undefined ? reached[step] : countReached(step)));
    show();
  }

  function show() {
    const step = model.get("step");
    const number = order.length;
    const drawn = model.get("drawn");
    const states = new Uint8Array(number + objects.length / 4).fill(NOT_DRAWN);
    const here = new Uint8Array(number);
    for (const i of left[step]) here[i] = 1;
    const dropped = left[Math.max(step - 1, 0)].filter((i) => !here[i]);
    for (const i of dropped.slice(0, drawn)) states[i] = DROPPED;
    for (const i of left[step].slice(0, drawn)) states[i] = HERE;
    states.fill(TRUTH, number);
    const place = places[Math.min(step, 2)];
    if (place === placed) canvas.setStates(states);
    else {
      const boxes = new Float32Array(4 * states.length);
      boxes.set(place);
      boxes.set(objects, 4 * number);
      canvas.setBoxes(boxes, { states });
    }
    placed = place;
    writeTable(step);
  }

  function writeTable(step) {
    table.replaceChildren();
    const head = element("tr", "", table);
    for (const text of ["step", "boxes", `objects reached (IoU ≥ ${REACHED})`]) element("th", "", head, text);
    names.forEach((name, index) => {
      const line = element("tr", "", table);
      if (index === step) line.setAttribute("aria-current", "step");
      element("td", "", line, `${index + 1} · ${name}: ${WHAT[index]}`);
      element("td", "proposals-number", line, wholeNumber(left[index].length));
      element("td", "", line, `${reached[index]} of ${objects.length / 4}`);
      line.addEventListener("click", () => tell(model, { step: index }));
    });
  }

  /* The anchor that the box under the pointer was, and how it got here. */
  function drawOver(context, view) {
    if (!order.length) return; // nothing has been computed yet
    const index = canvas.hovered ?? canvas.selected;
    if (index === null || index >= order.length) return;
    const [anchors, decoded] = places;
    view.strokeBox(context, anchors.subarray(4 * index, 4 * index + 4), { color: "#ffffff", dash: [2, 3], width: 1.5 });
    if (model.get("step")) drawLinks(context, view, [[middle(anchors, index), middle(decoded, index)]]);
  }

  const forget = [
    onTraits(model, ["smallest", "top_n", "threshold", "limit"], update),
    onTraits(model, ["step", "drawn"], () => places.length && show()),
  ];
  return () => { forget.forEach((one) => one()); canvas.destroy(); };
}

export default { render };
