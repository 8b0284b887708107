/* What the explorers of lesson 01 share: the arithmetic of frcnn_edu/anchors.py, sliders that stop at good numbers,
   and small charts. A box is [x1, y1, x2, y2] in image pixels, a cell [row, column]. */

const SIZE_STOPS = [8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640];
const RATIO_STOPS = [1 / 8, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 0.4, 0.5, 0.6, 0.75, 0.9, 1, 1.1, 1.33, 1.67, 2, 2.5, 3, 4, 5, 6, 8];
const STRIDE_STOPS = [8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128];
const HIGH = 0.7; // IoU from which an anchor counts as an object
const LOW = 0.3; // and below which it counts as background
const LOOKS = {
  wide: { name: "wide", color: "#E69F00", dash: [7, 4], width: 2.5 },
  square: { name: "square", color: "#56B4E9", dash: [], width: 2.5 },
  tall: { name: "tall", color: "#F07CC0", dash: [14, 3, 3, 3], width: 2.5 },
};

/* Ratio by ratio and sizes within; {box, width, height, size, ratio}, centred on 0. */
function baseAnchors({ sizes, ratios, inverted = false }) {
  return ratios.flatMap((ratio) => sizes.map((size) => {
    const tall = Math.sqrt(inverted ? 1 / ratio : ratio);
    const [width, height] = [size / tall, size * tall];
    return { box: [-width / 2, -height / 2, width / 2, height / 2], width, height, size, ratio };
  }));
}

function mapSize(view, stride) {
  return [Math.ceil(view.height / stride), Math.ceil(view.width / stride)];
}

function center([row, column], { stride, offset }) {
  return [(column + offset) * stride, (row + offset) * stride];
}

function placed({ box }, x, y) {
  return [box[0] + x, box[1] + y, box[2] + x, box[3] + y];
}

function iou(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const shared = width * height;
  return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared);
}

/* The best anchor of the grid for a box: only the cell nearest to its centre can hold it. */
function bestAnchor(box, base, settings, view) {
  const [rows, columns] = mapSize(view, settings.stride);
  const nearest = (low, high, count) => {
    const cell = Math.round((low + high) / 2 / settings.stride - settings.offset);
    return Math.min(Math.max(cell, 0), count - 1);
  };
  const cell = [nearest(box[1], box[3], rows), nearest(box[0], box[2], columns)];
  const [x, y] = center(cell, settings);
  let best = { iou: -1 };
  base.forEach((anchor, index) => {
    const there = placed(anchor, x, y);
    const overlap = iou(there, box);
    if (overlap > best.iou) best = { iou: overlap, index, cell, box: there, anchor };
  });
  return best;
}

function lookOf({ width, height }) {
  const ratio = height / width;
  return ratio < 0.99 ? LOOKS.wide : ratio > 1.01 ? LOOKS.tall : LOOKS.square;
}

/* The settings that Python and the browser share, as plain values. */
function settingsOf(model) {
  const read = (name) => model.get(name);
  return { sizes: read("sizes"), ratios: read("ratios"), stride: read("stride"), offset: read("offset"), inverted: read("inverted") };
}

function boxAt(boxes, index) {
  return [...boxes.subarray(4 * index, 4 * index + 4)];
}

/* Borders of the cells and a dot at each anchor's centre. */
function drawCells(context, view, settings) {
  const { stride } = settings;
  const [rows, columns] = mapSize(view, stride);
  context.beginPath();
  for (let column = 0; column <= columns; column++) {
    context.moveTo(column * stride, 0);
    context.lineTo(column * stride, rows * stride);
  }
  for (let row = 0; row <= rows; row++) {
    context.moveTo(0, row * stride);
    context.lineTo(columns * stride, row * stride);
  }
  context.lineWidth = view.px;
  context.strokeStyle = "rgba(255, 255, 255, 0.45)";
  context.stroke();
  const radius = (stride * view.scale < 14 ? 1.25 : 2) * view.px;
  context.beginPath();
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [x, y] = center([row, column], settings);
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
  }
  context.lineWidth = 1.5 * view.px;
  context.strokeStyle = "rgba(0, 0, 0, 0.65)";
  context.stroke();
  context.fillStyle = "white";
  context.fill();
}

/* Set traits from the hand: everyone who listens hears at once, Python soon after. */
function tell(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

/* Call `act` when one of the traits changes, by hand or from Python; returns what takes that back. */
function onTraits(model, names, act) {
  for (const name of names) model.on(`change:${name}`, act);
  return () => names.forEach((name) => model.off(`change:${name}`, act));
}

/* Two columns, which become two rows on a narrow page: one for the canvas, one for what steers it. */
function columns(el) {
  const both = element("div", "anchors-columns", el);
  return [element("div", "anchors-picture", both), element("div", "box-canvas anchors-side", both)];
}

/* A slider over a list of good numbers. `read` and `write` reach the value; one between two stops is shown as it is. */
function addStops(canvas, { label, stops, format, read, write, parent }) {
  const nearest = () => {
    const distance = (stop) => Math.abs(Math.log(stop / read()));
    return stops.reduce((best, stop, i) => (distance(stop) < distance(stops[best]) ? i : best), 0);
  };
  const slider = canvas.addSlider({
    label, min: 0, max: stops.length - 1, step: 1, value: nearest(), format: () => format(read()), parent,
    onInput: (index) => { write(stops[index]); slider.set(nearest()); },
  });
  return { ...slider, refresh: () => slider.set(nearest()) };
}

const pixels = (value) => `${shortNumber(value)} px`;
const shortNumber = (value) => String(Math.round(value * 100) / 100);
const wholeNumber = (value) => Math.round(value).toLocaleString("en");

/* Sliders for the traits in `which`, of "sizes", "ratios", "stride", "offset", "inverted"; keeps them in step with Python. */
function addSettings(canvas, model, which, parent) {
  const holder = element("div", "anchors-settings", parent);
  let sliders = [];
  const one = (trait, index) => ({
    read: () => model.get(trait)[index],
    write: (value) => tell(model, { [trait]: model.get(trait).map((old, i) => (i === index ? value : old)) }),
  });
  function build() {
    holder.replaceChildren();
    sliders = [];
    const add = (parent, options) => sliders.push(addStops(canvas, { parent, ...options }));
    const row = () => element("div", "box-canvas-row anchors-sliders", holder);
    const several = (trait, name, stops, format) => {
      const parent = row();
      model.get(trait).forEach((_, i) => add(parent, { label: `${name} ${i + 1}`, stops, format, ...one(trait, i) }));
    };
    if (which.includes("sizes")) several("sizes", "Size", SIZE_STOPS, pixels);
    if (which.includes("ratios")) several("ratios", "Ratio", RATIO_STOPS, shortNumber);
    const last = row();
    if (which.includes("stride")) {
      add(last, { label: "Stride", stops: STRIDE_STOPS, format: pixels, read: () => model.get("stride"), write: (stride) => tell(model, { stride }) });
    }
    if (which.includes("offset")) canvas.addSlider({ label: "Offset", min: 0, max: 1, step: 0.5, format: (cells) => `${cells} cells`, trait: "offset", parent: last });
    if (which.includes("inverted")) canvas.addCheckbox({ label: "read ratios as width / height", trait: "inverted", parent: last });
  }
  build();
  let counts = "";
  return onTraits(model, ["sizes", "ratios", "stride"], () => {
    const now = `${model.get("sizes").length} ${model.get("ratios").length}`;
    if (counts && counts !== now) build();
    counts = now;
    for (const slider of sliders) slider.refresh();
  });
}

function element(name, className, parent, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  parent?.append(made);
  return made;
}

/* A small canvas of its own. `draw(context, {width, height, ink})` works in CSS pixels.

   What was painted before it came to the page had no theme to take its ink from, so it is painted again there. */
function addChart(parent, label, width, height, draw) {
  const picture = element("canvas", "anchors-chart", parent);
  const context = picture.getContext("2d");
  picture.setAttribute("role", "img");
  picture.style.width = `${width}px`;
  picture.style.height = `${height}px`;
  let painted = false;
  const paint = () => {
    painted = true;
    const ratio = window.devicePixelRatio || 1;
    picture.width = width * ratio;
    picture.height = height * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { color } = getComputedStyle(parent);
    context.font = "12px system-ui, sans-serif";
    Object.assign(context, { fillStyle: color, strokeStyle: color });
    draw(context, { width, height, ink: color });
  };
  picture.setAttribute("aria-label", label);
  new ResizeObserver(() => { if (painted) paint(); }).observe(picture);
  return { paint, picture };
}

export { HIGH, LOW, LOOKS, RATIO_STOPS, SIZE_STOPS, STRIDE_STOPS };
export { addChart, addSettings, addStops, baseAnchors, bestAnchor, boxAt, center, columns, drawCells, element, iou, lookOf, mapSize };
export { onTraits, pixels, placed, settingsOf, shortNumber, tell, wholeNumber };
