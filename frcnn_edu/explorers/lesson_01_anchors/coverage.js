/* CoverageExplorer: how well anchors fit the boxes of a data set. Python measures (trait overlaps), this draws:
   the histogram, and the plane of widths and heights with an island round each anchor in which it reaches IoU 0.7. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { HIGH, LOOKS, addChart, addSettings, baseAnchors, columns, element, iou, lookOf, onTraits, settingsOf, tell } from "./common.js";

const BINS = 20;
const MISSED = 0.5;
const CROWD = 400; // dots from which a dark edge round each would be all one sees
const SIDES = [4, 1024]; // the plane's range
const TICKS = [8, 16, 32, 64, 128, 256, 512];
const DIRECTIONS = 48;
const HISTOGRAM = { left: 30, right: 12, top: 24, bottom: 36 };
const PLANE = { left: 46, right: 8, top: 8, bottom: 36 };

/* Where boxes with the same centre have IoU 0.7: points (log of widths' ratio, log of heights' ratio) round 0. */
function island() {
  return Array.from({ length: DIRECTIONS }, (_, i) => {
    const angle = (2 * Math.PI * i) / DIRECTIONS;
    const at = (far) => [far * Math.cos(angle), far * Math.sin(angle)];
    let [near, far] = [0, 2];
    for (let step = 0; step < 20; step++) {
      const middle = (near + far) / 2;
      const [width, height] = at(middle).map(Math.exp);
      const overlap = iou([-1, -1, 1, 1], [-width, -height, width, height]);
      if (overlap >= HIGH) near = middle;
      else far = middle;
    }
    return at(near);
  });
}

function render({ model, el }) {
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onHover: redrawPlane });
  const shape = island();
  const numbers = element("div", "anchors-numbers", side);
  const panel = element("div", "anchors-panel", side);
  const histogram = addChart(panel, "histogram of the best IoU of every box", 280, 230, drawHistogram);
  const plane = addChart(panel, "width and height of every box, and of the anchors", 280, 230, drawPlane);
  const forgetSettings = addSettings(canvas, model, ["sizes", "ratios", "stride", "inverted"], side);
  const row = element("div", "box-canvas-row", canvas.controls);
  const chooser = addChooser();
  const picture = canvas.addSlider({ label: "Picture", min: 0, max: 1, step: 1, trait: "picture", parent: row, format: (index) => `${index + 1} of ${model.get("num_pictures")}` });
  let overlaps = new Float32Array(0);
  let sides = new Float32Array(0);

  function addChooser() {
    const label = element("label", "", row, "Data set ");
    const select = element("select", "", label);
    select.dataset.lmSuppressShortcuts = "true";
    for (const name of model.get("names")) element("option", "", select, name).value = name;
    select.addEventListener("change", () => tell(model, { data_set: select.value }));
    return select;
  }

  const floats = (name) => {
    const view = model.get(name);
    return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  };

  function takeIn() {
    [overlaps, sides] = [floats("overlaps"), floats("sides")];
    const count = overlaps.length;
    if (sides.length !== 2 * count) return; // the rest is still on its way
    const mean = overlaps.reduce((sum, one) => sum + one, 0) / count;
    const share = (least) => Math.round((100 * overlaps.filter((one) => one >= least).length) / count);
    numbers.innerHTML = `<span>${count} boxes</span><span>mean best IoU <b>${mean.toFixed(3)}</b> (the paper's nine at stride 16: ${model.get("yardstick").toFixed(3)})</span>
      <span><b>${share(HIGH)} %</b> reach ${HIGH}</span><span><b>${100 - share(MISSED)} %</b> stay below ${MISSED}</span>`;
    histogram.paint();
    plane.paint();
  }

  const fit = (overlap) => canvas.palette[overlap >= HIGH ? 0 : overlap >= MISSED ? 1 : 2].color;

  function drawHistogram(context, { width, height }) {
    context.clearRect(0, 0, width, height);
    const bars = new Array(BINS).fill(0);
    for (const one of overlaps) bars[Math.min(Math.floor(one * BINS + 1e-6), BINS - 1)]++;
    const most = Math.max(...bars, 1);
    const [inner, tall] = [width - HISTOGRAM.left - HISTOGRAM.right, height - HISTOGRAM.top - HISTOGRAM.bottom];
    const across = (value) => HISTOGRAM.left + value * inner;
    context.textAlign = "center";
    for (const value of [0, 0.25, MISSED, HIGH, 1]) context.fillText(String(value), across(value), height - 20);
    context.fillText("best IoU of each box", width / 2, height - 4);
    context.textAlign = "right";
    context.fillText(String(most), HISTOGRAM.left - 5, HISTOGRAM.top + 8);
    context.textAlign = "left";
    context.fillText("boxes", 4, 12);
    context.fillRect(HISTOGRAM.left, height - HISTOGRAM.bottom, inner, 1);
    bars.forEach((count, i) => {
      context.fillStyle = fit((i + 0.5) / BINS);
      context.fillRect(across(i / BINS) + 1, height - HISTOGRAM.bottom - (tall * count) / most, inner / BINS - 2, (tall * count) / most);
    });
  }

  const [low, high] = SIDES.map(Math.log);

  function drawPlane(context, { width, height, ink }) {
    context.clearRect(0, 0, width, height);
    const across = (log) => PLANE.left + ((log - low) / (high - low)) * (width - PLANE.left - PLANE.right);
    const up = (log) => height - PLANE.bottom - ((log - low) / (high - low)) * (height - PLANE.top - PLANE.bottom);
    drawAxes(context, width, height, across, up);
    for (const anchor of baseAnchors(settingsOf(model))) {
      const [x, y] = [Math.log(anchor.width), Math.log(anchor.height)];
      const { color } = lookOf(anchor);
      context.beginPath();
      for (const [dx, dy] of shape) context.lineTo(across(x + dx), up(y + dy));
      context.closePath();
      Object.assign(context, { fillStyle: color, strokeStyle: color, lineWidth: 1.5, globalAlpha: 0.3 });
      context.fill();
      context.globalAlpha = 1;
      context.stroke();
    }
    for (const { color } of canvas.palette) { // one path per colour: a data set has thousands of dots
      context.beginPath();
      overlaps.forEach((overlap, i) => {
        if (fit(overlap) !== color) return;
        const [x, y] = [across(Math.log(sides[2 * i])), up(Math.log(sides[2 * i + 1]))];
        context.moveTo(x + 2.5, y);
        context.arc(x, y, 2.5, 0, 2 * Math.PI);
      });
      Object.assign(context, { fillStyle: color, strokeStyle: ink, lineWidth: 0.75 });
      context.fill();
      if (overlaps.length < CROWD) context.stroke();
    }
    drawHovered(context, across, up);
  }

  function drawAxes(context, width, height, across, up) {
    context.globalAlpha = 0.2;
    for (const tick of TICKS) {
      context.fillRect(across(Math.log(tick)), PLANE.top, 1, height - PLANE.top - PLANE.bottom);
      context.fillRect(PLANE.left, up(Math.log(tick)), width - PLANE.left - PLANE.right, 1);
    }
    context.globalAlpha = 1;
    context.textAlign = "center";
    for (const tick of TICKS) context.fillText(String(tick), across(Math.log(tick)), height - 20);
    context.fillText("width of a box, px", width / 2, height - 4);
    context.textAlign = "right";
    for (const tick of TICKS) context.fillText(String(tick), PLANE.left - 5, up(Math.log(tick)) + 4);
    context.save();
    context.translate(10, height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText("height, px", 0, 0);
    context.restore();
  }

  function drawHovered(context, across, up) {
    if (canvas.hovered === null) return;
    const [x1, y1, x2, y2] = canvas.boxes.subarray(4 * canvas.hovered, 4 * canvas.hovered + 4);
    context.beginPath();
    context.arc(across(Math.log(x2 - x1)), up(Math.log(y2 - y1)), 7, 0, 2 * Math.PI);
    Object.assign(context, { strokeStyle: LOOKS.tall.color, lineWidth: 3 });
    context.stroke();
  }

  function redrawPlane() {
    plane.paint();
  }

  function follow() {
    chooser.value = model.get("data_set");
    picture.span(0, model.get("num_pictures") - 1, 1);
    picture.set(model.get("picture"));
  }

  const forget = [
    onTraits(model, ["overlaps", "sides", "yardstick"], takeIn),
    onTraits(model, ["data_set", "num_pictures"], follow),
  ];
  follow();
  takeIn();
  return () => { forget.forEach((one) => one()); forgetSettings(); canvas.destroy(); };
}

export default { render };
