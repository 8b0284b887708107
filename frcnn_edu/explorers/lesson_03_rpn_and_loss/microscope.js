/* LossExplorer: equation 1, anchor by anchor. Traits: selected, snapshot, balance, locations, beta. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { HIGH, addStops, boxAt, columns, element, onTraits, shortNumber, tell } from "../lesson_01_anchors/common.js";
import { addSnapshots, crossEntropy, moved, numbers, sigmoid, smoothL1, smoothL1Slope } from "./common.js";

const BALANCES = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];
const BETAS = [0.01, 0.03, 1 / 9, 0.3, 1, 3];
const NAMES = ["dx", "dy", "dw", "dh"];
const LABELS = { 1: "positive", 0: "negative", "-1": "not sampled" };
const KEYS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
const DECIMALS = 6;
const LINE_HEIGHT = 20; // CSS pixels, as in rpn_loss.css
const LINES_IN_SIGHT = 14;
const LINES_A_FRAME = 64;
const HINT = "Dots: negatives, the larger the more they add. Click a box or a dot. Dashed: where the network moves the box.";
const NEAR = 10; // image pixels from a dot that still pick it
const LARGEST_DOT = 9; // CSS pixels, radius of the dot that adds most
const DOT = "#D55E00"; // the colour of negatives
const PREDICTED = { color: "#E69F00", dash: [7, 4], width: 2.5 }; // where the network moves the anchor

const fixed = (value, decimals = DECIMALS) => value.toFixed(decimals).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");

function render({ model, el }) {
  const answers = numbers(model, "answers");
  const truth = numbers(model, "truth");
  const places = numbers(model, "places");
  const boxes = numbers(model, "boxes");
  const total = places.length;
  const sampled = model.get("num_sampled");
  const [perCell, , across] = model.get("map_size");
  let terms = []; // [objectness, box] of every sampled anchor
  let order = []; // the sampled anchors, the largest share of the loss first
  const answerOf = (k) => answers.subarray(5 * (model.get("snapshot") * total + k), 5 * (model.get("snapshot") * total + k + 1));
  const truthOf = (k) => truth.subarray(7 * k, 7 * k + 7);
  const [left, side] = columns(el);
  side.classList.add("rpn-loss-side");
  const canvas = createCanvas({ model, el: left, onSelect: show, onHover: tellHovered, onClick, drawUnder, drawOver });

  const sum = element("div", "rpn-loss-sum", side);
  const row = element("div", "box-canvas-row", side);
  const stops = (label, trait, values, format) => addStops(canvas, {
    label, stops: values, format, parent: row, read: () => model.get(trait), write: (value) => tell(model, { [trait]: value }),
  });
  const sliders = [stops("λ", "balance", BALANCES, String), stops("β", "beta", BETAS, shortNumber)];
  addSnapshots(canvas, model, row);
  canvas.addCheckbox({ label: `N_reg = ${model.get("num_locations")} places (paper), not ${sampled} samples`, trait: "locations", parent: row });
  const who = element("div", "rpn-loss-who", side);
  const table = element("table", "rpn-loss-table", side);
  const head = element("div", "rpn-loss-line rpn-loss-head", side);
  for (const text of ["anchor", "label", "objectness", "+ box", "= adds", ""]) element("span", "", head, text);
  const column = element("div", "rpn-loss-column", side);
  column.tabIndex = 0;
  column.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys
  column.setAttribute("role", "listbox");
  const lines = Array.from({ length: sampled }, makeLine);
  let writing = 0; // the frame that writes the next lines
  let top = 0; // how far the column is scrolled; asking it would lay the page out
  let chosen; // the line of the selected anchor
  column.setAttribute("aria-label", "Sampled anchors by what they add to the loss; arrows walk through them");

  // ------------------------------------------------------------------------------------------------ equation 1

  const boxWeight = () => model.get("balance") / (model.get("locations") ? model.get("num_locations") : sampled);

  function objectness(k) {
    const [label] = truthOf(k);
    const [logit] = answerOf(k);
    const asked = label >= 0 ? 1 / sampled : 0;
    return { logit, label, loss: crossEntropy(logit, Math.max(label, 0)), weight: asked, slope: sigmoid(logit) - label };
  }

  function delta(k, i) {
    const [predicted, target] = [answerOf(k)[1 + i], truthOf(k)[3 + i]];
    const asked = truthOf(k)[0] === 1 ? boxWeight() : 0;
    const error = predicted - target;
    return { predicted, target, loss: smoothL1(error, model.get("beta")), weight: asked, slope: smoothL1Slope(error, model.get("beta")) };
  }

  function weigh() {
    terms = Array.from({ length: sampled }, (_, k) => {
      const { loss, weight } = objectness(k);
      const boxes = truthOf(k)[0] === 1 ? [0, 1, 2, 3].map((i) => delta(k, i)) : [];
      return [loss * weight, boxes.reduce((sum, one) => sum + one.loss * one.weight, 0)];
    });
    order = [...terms.keys()].sort((a, b) => terms[b][0] + terms[b][1] - terms[a][0] - terms[a][1]);
  }

  // ------------------------------------------------------------------------------------------------ words

  function update() {
    weigh();
    const [cls, box] = [0, 1].map((half) => terms.reduce((sum, term) => sum + term[half], 0));
    sum.innerHTML = `loss <b>${fixed(cls + box, 5)}</b> = <span class="rpn-loss-cls">objectness <b>${fixed(cls, 5)}</b></span>
      + <span class="rpn-loss-box">box <b>${fixed(box, 5)}</b></span>`;
    writeColumn();
    canvas.redraw("under");
    describeSelected(model.get("selected"));
  }

  /* Lines stay where they are and only what has changed is written: those in sight at once, the others frame by frame,
     so that a slider never waits for lines that nobody sees. */
  function writeColumn() {
    cancelAnimationFrame(writing);
    column.setAttribute("aria-busy", "true");
    const first = Math.floor(top / LINE_HEIGHT);
    const inSight = (place) => place >= first && place <= first + LINES_IN_SIGHT;
    const rest = order.map((_, place) => place).filter((place) => !inSight(place));
    order.forEach((_, place) => { if (inSight(place)) writeLine(place); });
    const writeSome = () => {
      rest.splice(0, LINES_A_FRAME).forEach(writeLine);
      if (rest.length) writing = requestAnimationFrame(writeSome);
      else column.setAttribute("aria-busy", "false");
    };
    writing = requestAnimationFrame(writeSome);
    choose(model.get("selected"));
  }

  function writeLine(place) {
    const k = order[place];
    const most = terms[order[0]][0] + terms[order[0]][1];
    const { line, texts, bars, shown } = lines[place];
    const [one, other] = terms[k];
    const now = [places[k], LABELS[truthOf(k)[0]], ...[one, other, one + other].map((term) => fixed(term))].map(String);
    now.forEach((text, i) => { if (shown[i] !== text) texts[i].data = shown[i] = text; });
    bars.forEach((bar, half) => {
      const width = `${(100 * terms[k][half] / most).toFixed(1)}%`;
      if (shown[now.length + half] !== width) bar.style.width = shown[now.length + half] = width;
    });
    line.dataset.anchor = k;
  }

  function makeLine() {
    const line = element("div", "rpn-loss-line", column);
    line.setAttribute("role", "option");
    const texts = Array.from({ length: 5 }, () => element("span", "", line, " ").firstChild);
    const share = element("span", "rpn-loss-share", line);
    return { line, texts, bars: [0, 1].map(() => element("i", "", share)), shown: [] };
  }

  function choose(k) {
    const place = k !== null && k < sampled ? order.indexOf(k) : -1;
    if (lines[place]?.line === chosen) return place;
    chosen?.removeAttribute("aria-selected");
    chosen = lines[place]?.line;
    chosen?.setAttribute("aria-selected", "true");
    return place;
  }

  function show(k = model.get("selected")) {
    const place = choose(k);
    if (place >= 0) keepInSight(place);
    who.textContent = k === null ? "Click an anchor, in the picture or in the column." : k < total ? describe(k) : `The ${canvas.captions[k]}, drawn by hand: what the anchors should find.`;
    describeSelected(k);
    canvas.redraw();
  }

  function describeSelected(k) {
    table.hidden = k === null || k >= total;
    if (!table.hidden) fillTable(k);
    tellHovered(canvas.hovered);
  }

  /* Not scrollIntoView, which would move the page as well. */
  function keepInSight(place) {
    const above = place * LINE_HEIGHT;
    if (above < column.scrollTop) column.scrollTop = above;
    if (above + LINE_HEIGHT > column.scrollTop + column.clientHeight) column.scrollTop = above + LINE_HEIGHT - column.clientHeight;
  }

  function describe(k) {
    const [label, match, iou] = truthOf(k);
    const [x1, y1, x2, y2] = boxAt(boxes, k);
    const cell = Math.floor(places[k] / perCell);
    const best = label === 1 && iou < HIGH ? ", more than any other anchor has" : "";
    const about = iou > 0 ? `IoU ${iou.toFixed(2)} with the ${canvas.captions[total + match]}${best}` : "touches no object";
    const asked = label === 1 ? "it answers for its score and for its four deltas" : label === 0 ? "it answers for its score alone" : "it adds nothing";
    return `Anchor ${places[k]} (row ${Math.floor(cell / across)}, column ${cell % across}, ${Math.round(x2 - x1)} × ${Math.round(y2 - y1)} px): ${about}; ${LABELS[label]}, so ${asked}.`;
  }

  function fillTable(k) {
    const one = objectness(k);
    const line = (name, cells) => `<tr><th>${name}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
    const weighed = ({ loss, weight, slope }) => (weight
      ? [loss.toFixed(4), fixed(weight), `<b>${fixed(loss * weight)}</b>`, fixed(slope * weight)]
      : ["–", "0", "<b>0</b>", "0"]);
    const wanted = one.label >= 0 ? `${one.label}` : "–";
    const score = line("logit", [fixed(one.logit, 2), `p = ${sigmoid(one.logit).toFixed(3)}`, wanted, ...weighed(one)]);
    const deltas = NAMES.map((name, i) => {
      const { predicted, target, ...rest } = delta(k, i);
      return line(name, [fixed(predicted, 3), "", rest.weight ? fixed(target, 3) : "–", ...weighed(rest)]);
    });
    table.innerHTML = `<thead>${line("", ["answer", "", "wanted", "loss", "× weight", "= adds", "gradient"])}</thead><tbody>${score}${deltas.join("")}</tbody>`;
  }

  function tellHovered(k) {
    if (k === null || k >= total) return canvas.setReadout(HINT);
    const adds = k < sampled ? terms[k][0] + terms[k][1] : 0;
    return canvas.setReadout(`Anchor ${places[k]}: ${LABELS[truthOf(k)[0]]}, adds ${fixed(adds)} to the loss`);
  }

  // ------------------------------------------------------------------------------------------------ hand and picture

  const centerOf = (k) => [0, 1].map((i) => (boxes[4 * k + i] + boxes[4 * k + 2 + i]) / 2);

  /* A click on an object means the smallest positive there. Negatives are too many for outlines: beside all boxes a
     click picks the nearest dot. */
  function onClick(x, y, index) {
    if (index !== null && index < total) return;
    const distance = (k) => Math.hypot(centerOf(k)[0] - x, centerOf(k)[1] - y);
    const holds = (k) => boxes[4 * k] <= x && x <= boxes[4 * k + 2] && boxes[4 * k + 1] <= y && y <= boxes[4 * k + 3];
    const area = (k) => (boxes[4 * k + 2] - boxes[4 * k]) * (boxes[4 * k + 3] - boxes[4 * k + 1]);
    const near = order.filter((k) => distance(k) <= NEAR).sort((a, b) => distance(a) - distance(b));
    const there = order.filter((k) => truthOf(k)[0] === 1 && holds(k)).sort((a, b) => area(a) - area(b));
    const found = index === null ? near : there;
    if (found.length) canvas.select(found[0]);
  }

  function drawUnder(context, view) {
    const most = Math.max(...terms.map(([one, other]) => one + other));
    context.beginPath();
    terms.forEach(([one], k) => {
      if (truthOf(k)[0] !== 0) return;
      const radius = Math.max(LARGEST_DOT * Math.sqrt(one / most), 1) * view.px;
      const [x, y] = centerOf(k);
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    });
    context.lineWidth = 1.5 * view.px;
    context.strokeStyle = "black";
    context.stroke();
    context.fillStyle = DOT;
    context.fill();
  }

  function drawOver(context, view) {
    const k = model.get("selected");
    if (k === null || k >= total || !order.length) return; // nothing has been computed yet
    if (canvas.states[k] !== 0) view.strokeBox(context, boxAt(boxes, k), canvas.states[k], { fill: 0.12 });
    view.strokeBox(context, moved(boxAt(boxes, k), answerOf(k).subarray(1)), PREDICTED);
  }

  column.addEventListener("scroll", () => { top = column.scrollTop; }, { passive: true });
  column.addEventListener("click", (event) => {
    const line = event.target.closest("[data-anchor]");
    if (line) canvas.select(Number(line.dataset.anchor));
  });
  column.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    const at = order.indexOf(model.get("selected")) + KEYS[event.key];
    const k = order[Math.min(Math.max(at, 0), sampled - 1)];
    canvas.select(k);
    canvas.announce(describe(k));
  });
  const forget = onTraits(model, ["balance", "locations", "beta", "snapshot"], () => {
    for (const slider of sliders) slider.refresh();
    update();
  });
  update();
  show();
  return () => { cancelAnimationFrame(writing); forget(); canvas.destroy(); };
}

export default { render };
