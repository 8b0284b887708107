/* TimeMachine: one scene at each snapshot of the training. Python sends all snapshots once, this shows one of them.
   A detection is a row of six: x1, y1, x2, y2, label, score. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { addChart, boxAt, columns, element, iou, onTraits } from "../lesson_01_anchors/common.js";

const FOUND = 0.5; // IoU from which a box has found an object
const [TRUTH, PROPOSAL, RIGHT, WRONG] = [0, 1, 2, 3]; // the palette of TimeMachine
const DARK_TO_BRIGHT = [[0, 34, 78], [124, 123, 120], [254, 232, 56]]; // cividis, at its ends and in its middle
const ALPHA = 0.55;
const CHART = { left: 34, right: 14, top: 26, bottom: 36 };
const LINES = [{ name: "reached by a proposal", color: "#56B4E9", dash: [6, 4] }, { name: "rightly detected", color: "#E69F00", dash: [] }];

function color(share) {
  const at = Math.min(Math.max(share, 0), 1) * (DARK_TO_BRIGHT.length - 1);
  const from = Math.min(Math.floor(at), DARK_TO_BRIGHT.length - 2);
  return DARK_TO_BRIGHT[from].map((value, k) => value + (at - from) * (DARK_TO_BRIGHT[from + 1][k] - value));
}

function render({ model, el }) {
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged: (_, { index }) => index === null && lay(), drawUnder });
  const numbers = element("div", "anchors-numbers", side);
  const chart = addChart(side, "objects reached and detected, by step of training", 400, 200, drawChart);
  const row = element("div", "box-canvas-row", side);
  let truths = [];
  let film = []; // for each snapshot its proposals and its detections
  let counts = []; // and how many objects are reached and rightly detected

  const steps = model.get("steps");
  canvas.addSlider({ label: "Snapshot", min: 0, max: steps.length - 1, step: 1, trait: "snapshot", parent: row, format: (at) => `step ${steps[at]}` });
  canvas.addSlider({ label: "Proposals", min: 0, max: 50, step: 1, trait: "num_proposals", parent: row, format: (count) => `best ${count}` });
  canvas.addSlider({ label: "Detections from score", min: 0.1, max: 1, step: 0.01, trait: "threshold", parent: row, format: (score) => score.toFixed(2) });
  canvas.addCheckbox({ label: "objectness", trait: "show_objectness", parent: row });

  const floats = (name) => {
    const view = model.get(name);
    return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  };
  const objectness = floats("objectness");

  function cut(name, width, counted) {
    const all = floats(name);
    let start = 0;
    return model.get(counted).map((count) => Array.from({ length: count }, () => [...all.subarray(start, (start += width))]));
  }

  function takeIn() {
    const proposals = cut("proposals", 4, "proposal_counts");
    const detections = cut("detections", 6, "detection_counts");
    film = steps.map((_, i) => ({ proposals: proposals[i], detections: detections[i] }));
  }

  const proposalsAt = (index) => film[index].proposals.slice(0, model.get("num_proposals"));
  const detectionsAt = (index) => film[index].detections.filter((one) => one[5] >= Math.fround(model.get("threshold")));

  const numReached = (proposals) => truths.filter((truth) => proposals.some((one) => iou(one, truth) >= FOUND)).length;

  /* Best first, each to the object of its class that it overlaps most, if nobody was there before. */
  function judge(detections) {
    const labels = model.get("truth_labels");
    const taken = new Set();
    return detections.map((one) => {
      let best = { overlap: 0, at: -1 };
      truths.forEach((truth, at) => {
        const overlap = labels[at] === one[4] ? iou(one, truth) : 0;
        if (overlap > best.overlap) best = { overlap, at };
      });
      const right = best.overlap >= FOUND && !taken.has(best.at);
      if (right) taken.add(best.at);
      return right;
    });
  }

  function lay() {
    const given = model.get("boxes");
    const known = new Float32Array(given.buffer.slice(given.byteOffset, given.byteOffset + given.byteLength));
    truths = Array.from({ length: known.length / 4 }, (_, i) => boxAt(known, i));
    count();
    show();
  }

  function count() {
    counts = steps.map((_, i) => [numReached(proposalsAt(i)), judge(detectionsAt(i)).filter(Boolean).length]);
  }

  function show() {
    const now = model.get("snapshot");
    const [proposals, detections] = [proposalsAt(now), detectionsAt(now)];
    const right = judge(detections);
    const boxes = [...truths, ...proposals, ...detections.map((one) => one.slice(0, 4))];
    const names = model.get("class_names");
    canvas.setBoxes(Float32Array.from(boxes.flat()), {
      states: [...truths.map(() => TRUTH), ...proposals.map(() => PROPOSAL), ...right.map((one) => (one ? RIGHT : WRONG))],
      captions: [
        ...model.get("truth_labels").map((label) => names[label]),
        ...proposals.map((_, rank) => `proposal, rank ${rank + 1}`),
        ...detections.map((one) => `${names[one[4]]} ${one[5].toFixed(2)}`),
      ],
    });
    const [reached, found] = counts[now];
    numbers.innerHTML = `<span>after <b>${steps[now]}</b> steps</span>
      <span>the best ${proposals.length} proposals reach <b>${reached}</b> of ${truths.length} objects</span>
      <span>${detections.length} detections, <b>${found}</b> right</span>`;
    canvas.redraw("under");
    chart.paint();
  }

  function drawUnder(context) {
    if (!model.get("show_objectness")) return;
    const [rows, across] = model.get("map_size");
    const stride = model.get("stride");
    const start = model.get("snapshot") * rows * across;
    for (let i = 0; i < rows * across; i++) {
      const [red, green, blue] = color(objectness[start + i]); // drawn round the point where its anchors stand
      context.fillStyle = `rgba(${red}, ${green}, ${blue}, ${ALPHA})`;
      context.fillRect(((i % across) - 0.5) * stride, (Math.floor(i / across) - 0.5) * stride, stride, stride);
    }
  }

  function drawChart(context, { width, height, ink }) {
    context.clearRect(0, 0, width, height);
    const most = Math.max(truths.length, 1);
    const across = (i) => CHART.left + (i / Math.max(steps.length - 1, 1)) * (width - CHART.left - CHART.right);
    const up = (value) => height - CHART.bottom - (value / most) * (height - CHART.top - CHART.bottom);
    context.globalAlpha = 0.25;
    for (let value = 0; value <= most; value++) context.fillRect(CHART.left, up(value), width - CHART.left - CHART.right, 1);
    context.globalAlpha = 1;
    context.fillRect(across(model.get("snapshot")) - 1, CHART.top - 4, 2, height - CHART.top - CHART.bottom + 8);
    context.textAlign = "center";
    steps.forEach((step, i) => context.fillText(String(step), across(i), height - 20));
    context.fillText("step of training", (CHART.left + width) / 2, height - 4);
    context.textAlign = "right";
    for (const value of [0, most]) context.fillText(String(value), CHART.left - 6, up(value) + 4);
    LINES.forEach(({ name, color: hue, dash }, k) => {
      Object.assign(context, { strokeStyle: hue, fillStyle: hue, lineWidth: 2.5 });
      context.setLineDash(dash);
      context.beginPath();
      counts.forEach((pair, i) => context.lineTo(across(i), up(pair[k])));
      const legend = CHART.left + k * 185;
      context.moveTo(legend, 10);
      context.lineTo(legend + 22, 10);
      context.stroke();
      context.setLineDash([]);
      counts.forEach((pair, i) => context.fillRect(across(i) - 3, up(pair[k]) - 3, 6, 6));
      Object.assign(context, { fillStyle: ink, textAlign: "left" });
      context.fillText(name, legend + 27, 14);
    });
  }

  function recount() {
    if (!film.length) return;
    count();
    show();
  }

  const forget = [
    onTraits(model, ["snapshot", "show_objectness"], () => film.length && show()),
    onTraits(model, ["num_proposals", "threshold"], recount),
  ];
  takeIn();
  return () => { forget.forEach((one) => one()); canvas.destroy(); };
}

export default { render };
