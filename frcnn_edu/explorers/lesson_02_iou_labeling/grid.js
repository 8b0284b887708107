/* LabelExplorer: the label of every anchor, anew whenever an object moves. What Matcher does in frcnn_edu/matching.py,
   rounded to float32 at the same places, so that not one anchor at a threshold comes out differently. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { addChart, boxAt, columns, element, onTraits, tell, wholeNumber } from "../lesson_01_anchors/common.js";

const [TRUTH, BY_IOU, BY_RULE, UNSURE, BACKGROUND, DROPPED] = [0, 1, 2, 3, 4, 5]; // LABEL_STATES of labeling.py
const ALPHA = [0, 255, 255, 120, 70, 0]; // of a square in the mosaic, by state
const SHADE = "rgba(0, 0, 0, 0.35)"; // over the image, so that the mosaic stands out
const WORDS = ["", "positive", "positive only as the best anchor of an object", "ignored", "negative", "left out, it reaches over the border"];
const BINS = 20; // bars over IoU from 0 to 1
const PLACE = { left: 48, right: 10, top: 8, bottom: 32 };
const TINY = 2 ** -126; // the smallest normal float32
const f = Math.fround;

function render({ model, el }) {
  let overlaps = []; // one Float32Array per object, an entry per anchor
  let inside = new Uint8Array(0); // 1 where the anchor is within the image
  let best = new Float32Array(0); // of every anchor
  let match = new Uint16Array(0);
  let states = new Uint8Array(0);
  let pointed = null; // the anchor whose square is under the pointer
  let dragging = false;
  const mosaic = document.createElement("canvas");
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged, onPointer, onLeave: () => point(null), drawUnder, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const row = element("div", "box-canvas-row anchors-sliders", side);
  const threshold = (label, trait, limit) => canvas.addSlider({
    label, min: 0.05, max: 0.95, step: 0.05, value: model.get(trait), format: () => model.get(trait).toFixed(2), parent: row,
    onInput: (value) => tell(model, { [trait]: limit(value) }),
  });
  const sliders = {
    high: threshold("Positive from", "high", (value) => Math.max(value, model.get("low"))),
    low: threshold("Negative below", "low", (value) => Math.min(value, model.get("high"))),
  };
  const switches = element("div", "box-canvas-row", side);
  canvas.addCheckbox({ label: "best-anchor rule", trait: "best_rule", parent: switches });
  canvas.addCheckbox({ label: "drop anchors over the border", trait: "drop_crossing", parent: switches });
  canvas.addCheckbox({ label: "mosaic", trait: "mosaic", parent: switches });

  const chart = addChart(side, "how many anchors reach which IoU", 400, 170, drawBars);
  const objects = () => model.get("num_objects");

  function onBoxesChanged(boxes, { index, final }) {
    dragging = !final;
    if (dragging) point(null);
    if (index === null) measureAll();
    else measure(index);
    label();
  }

  function measureAll() {
    const { boxes } = canvas;
    const [width, height] = model.get("_image_size");
    const count = boxes.length / 4 - objects();
    inside = new Uint8Array(count);
    for (let a = 0, j = 4 * objects(); a < count; a++, j += 4) {
      inside[a] = boxes[j] >= 0 && boxes[j + 1] >= 0 && boxes[j + 2] <= width && boxes[j + 3] <= height;
    }
    overlaps = Array.from({ length: objects() }, () => new Float32Array(count));
    [best, match, states] = [new Float32Array(count), new Uint16Array(count), new Uint8Array(boxes.length / 4)];
    for (let g = 0; g < objects(); g++) measure(g);
  }

  /* The IoU of object g with every anchor. */
  function measure(g) {
    const { boxes } = canvas;
    const [x1, y1, x2, y2] = boxes.subarray(4 * g, 4 * g + 4);
    const own = f(f(x2 - x1) * f(y2 - y1));
    const column = overlaps[g];
    for (let a = 0, j = 4 * objects(); a < column.length; a++, j += 4) {
      const wide = Math.max(f(Math.min(x2, boxes[j + 2]) - Math.max(x1, boxes[j])), 0);
      const tall = Math.max(f(Math.min(y2, boxes[j + 3]) - Math.max(y1, boxes[j + 1])), 0);
      const shared = f(wide * tall);
      const both = f(own + f(f(boxes[j + 2] - boxes[j]) * f(boxes[j + 3] - boxes[j + 1])));
      column[a] = shared / Math.max(f(both - shared), TINY);
    }
  }

  function label() {
    const [high, low, rule, drop] = [f(model.get("high")), f(model.get("low")), model.get("best_rule"), model.get("drop_crossing")];
    const tops = overlaps.map((column) => {
      let top = 0;
      for (let a = 0; a < column.length; a++) if (column[a] > top && (!drop || inside[a])) top = column[a];
      return top;
    });
    states.fill(TRUTH, 0, objects());
    const count = new Array(ALPHA.length).fill(0);
    const served = new Set();
    for (let a = 0; a < best.length; a++) {
      const state = stateOf(a);
      states[objects() + a] = state;
      count[state]++;
      if (state === BY_IOU || state === BY_RULE) served.add(match[a]);
    }
    canvas.setStates(states);
    paintMosaic();
    chart.paint();
    write(count, served.size);
    if (pointed !== null) point(pointed);

    function stateOf(a) {
      [best[a], match[a]] = [0, 0];
      if (drop && !inside[a]) return DROPPED;
      let isTop = false;
      for (let g = 0; g < overlaps.length; g++) {
        const overlap = overlaps[g][a];
        if (overlap > best[a]) [best[a], match[a]] = [overlap, g];
        isTop ||= overlap === tops[g] && overlap > 0;
      }
      if (overlaps.length && best[a] >= high) return BY_IOU;
      if (rule && isTop) return BY_RULE;
      return best[a] < low || !overlaps.length ? BACKGROUND : UNSURE;
    }
  }

  function write(count, served) {
    const positive = count[BY_IOU] + count[BY_RULE];
    const each = positive ? wholeNumber(count[BACKGROUND] / positive) : "∞";
    numbers.innerHTML = `<span><b>${wholeNumber(best.length)}</b> anchors</span>
      <span><b>${wholeNumber(positive)}</b> positive, <b>${wholeNumber(count[BY_RULE])}</b> of them only as best anchor</span>
      <span><b>${wholeNumber(count[UNSURE])}</b> ignored</span><span><b>${wholeNumber(count[BACKGROUND])}</b> negative</span>
      <span><b>${wholeNumber(count[DROPPED])}</b> left out</span>
      <span>1 positive to <b>${each}</b> negatives</span><span><b>${objects() - served}</b> objects without a positive anchor</span>`;
  }

  /* Which square of the mosaic holds the point, by the order of anchors: rows, columns, then those of the cell. */
  function onPointer(x, y) {
    const [rows, across, high, wide] = model.get("_cells");
    const [column, row] = [x, y].map((value) => value / model.get("stride") + 0.5);
    if (dragging || !model.get("mosaic") || column < 0 || row < 0 || column >= across || row >= rows) return point(null);
    const [left, top] = [Math.floor((column % 1) * wide), Math.floor((row % 1) * high)];
    point(((Math.floor(row) * across + Math.floor(column)) * high + top) * wide + left);
  }

  function point(a) {
    pointed = a;
    const state = a === null ? TRUTH : states[objects() + a];
    const whose = best[a] > 0 ? ` with ${canvas.captions[match[a]]}` : "";
    canvas.setReadout(a === null ? null : `Anchor of this square: IoU ${best[a].toFixed(3)}${whose}, so ${WORDS[state]}`);
    canvas.redraw();
  }

  /* Bars on a scale of powers of ten, in the colours of the thresholds. */
  function drawBars(context, { width, height }) {
    const [high, low] = [model.get("high"), model.get("low")];
    const counts = new Array(BINS).fill(0);
    best.forEach((overlap, a) => {
      if (states[objects() + a] !== DROPPED) counts[Math.min(Math.floor(overlap * BINS), BINS - 1)]++;
    });
    const across = (overlap) => PLACE.left + overlap * (width - PLACE.left - PLACE.right);
    const up = (count) => height - PLACE.bottom - (Math.log10(Math.max(count, 0.5) * 2) / 4.5) * (height - PLACE.top - PLACE.bottom);
    const ink = context.fillStyle;
    context.clearRect(0, 0, width, height);
    counts.forEach((count, bin) => {
      const middle = (bin + 0.5) / BINS;
      context.fillStyle = canvas.palette[middle >= high ? BY_IOU : middle < low ? BACKGROUND : UNSURE].color;
      context.fillRect(across(bin / BINS), up(count), across(1 / BINS) - across(0) - 1, up(0) - up(count));
    });
    context.fillStyle = ink;
    context.fillRect(PLACE.left, up(0), width - PLACE.left - PLACE.right, 1);
    for (const threshold of [low, high]) context.fillRect(across(threshold) - 1, PLACE.top, 2, up(0) - PLACE.top);
    context.textAlign = "right";
    for (const count of [1, 10, 100, 1000, 10000]) context.fillText(wholeNumber(count), PLACE.left - 6, up(count) + 4);
    context.textAlign = "center";
    for (const overlap of [0, 0.2, 0.4, 0.6, 0.8, 1]) context.fillText(String(overlap), across(overlap), up(0) + 15);
    context.fillText("anchors by their best IoU with an object", (PLACE.left + width) / 2, height - 3);
  }

  function drawOver(context, view) {
    if (pointed === null || !states.length) return;
    view.strokeBox(context, boxAt(canvas.boxes, objects() + pointed), { ...canvas.palette[states[objects() + pointed]], width: 3 });
  }

  function paintMosaic() {
    const [rows, across, high, wide] = model.get("_cells");
    const pixels = new ImageData(across * wide, rows * high);
    const colors = canvas.palette.map(({ color }) => [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16)));
    for (let a = 0; a < best.length; a++) {
      const inCell = a % (high * wide);
      const cell = (a - inCell) / (high * wide);
      const y = Math.floor(cell / across) * high + Math.floor(inCell / wide);
      const x = (cell % across) * wide + (inCell % wide);
      const state = states[objects() + a];
      const at = 4 * (y * across * wide + x);
      [pixels.data[at], pixels.data[at + 1], pixels.data[at + 2]] = colors[state];
      pixels.data[at + 3] = ALPHA[state];
    }
    Object.assign(mosaic, { width: pixels.width, height: pixels.height });
    mosaic.getContext("2d").putImageData(pixels, 0, 0);
    canvas.redraw("under");
  }

  function drawUnder(context, view) {
    if (!model.get("mosaic") || !mosaic.width) return;
    const [rows, across] = model.get("_cells");
    const stride = model.get("stride");
    context.beginPath();
    context.rect(0, 0, view.width, view.height);
    context.clip();
    context.fillStyle = SHADE;
    context.fillRect(0, 0, view.width, view.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(mosaic, -stride / 2, -stride / 2, across * stride, rows * stride);
  }

  const forget = onTraits(model, ["high", "low", "best_rule", "drop_crossing"], () => {
    for (const [trait, slider] of Object.entries(sliders)) slider.set(model.get(trait));
    if (best.length) label();
  });
  const forgetMosaic = onTraits(model, ["mosaic"], () => canvas.redraw("under"));
  return () => { forget(); forgetMosaic(); canvas.destroy(); };
}

export default { render };
