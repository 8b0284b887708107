/* One anchor's life, in six steps: what the Python beside it sends is only shown here, except for the move
   (boxes.decode_boxes) and the pooling (roi_pool.roi_pool), which follow the hand; a browser test holds both to Python. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { color, drawMap, numbers, valuesAt, wholeCells, winners } from "../lesson_06_roi_pooling/common.js";

const POOLED = 7;
const STEPS = ["place", "anchor", "label", "move", "pooled", "answer"];
const MOVES_FROM = 4; // the first step that only positive anchors reach
const LABELS = { 1: "positive", 0: "negative", "-1": "ignored" };
const DOT = 1.3; // CSS pixels
const MOVE_TIME = 900; // ms

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
const sides = ([x1, y1, x2, y2]) => `${Math.round(x2 - x1)} × ${Math.round(y2 - y1)} px`;

/* boxes.decode_boxes, for one box. */
function moved([x1, y1, x2, y2], [dx, dy, dw, dh], part) {
  const [width, height] = [x2 - x1, y2 - y1];
  const [x, y] = [x1 + width / 2 + part * dx * width, y1 + height / 2 + part * dy * height];
  const [w, h] = [width * Math.exp(part * dw), height * Math.exp(part * dh)];
  return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
}

function render({ model, el }) {
  const anchors = numbers(model, "anchors", Float32Array);
  const deltas = numbers(model, "deltas", Float32Array);
  const labels = numbers(model, "labels", Int8Array);
  const overlaps = numbers(model, "overlaps", Float32Array);
  const matched = numbers(model, "matched", Int32Array);
  const truths = numbers(model, "gt_boxes", Float32Array);
  const map = numbers(model, "feature_map", Float32Array);
  const names = model.get("gt_names");
  const stride = model.get("stride");
  const [rows, columns] = model.get("map_size");
  const perPlace = labels.length / (rows * columns);
  const [least, most] = [Math.min(...map), Math.max(...map)];
  let pointed = null; // the place under the pointer
  let playing = 0; // the next frame of the move that plays

  const row = (array, index) => [...array.subarray(4 * index, 4 * index + 4)];
  const placeOf = (index) => Math.floor(index / perPlace);
  const cellOf = (place) => [Math.floor(place / columns), place % columns];
  const atPlace = (place) => [...Array(perPlace).keys()].map((k) => place * perPlace + k);
  const nameOf = (index) => names[matched[index]] ?? "object";
  const shareOf = (value) => (most > least ? (value - least) / (most - least) : 0);

  const canvas = createCanvas({ model, el, pointerStep: stride, onPointer, onLeave, onClick, drawUnder, drawOver });
  const nine = canvas.addSlider({
    label: `Which of the ${perPlace}`, min: 1, max: perPlace, step: 1, value: 1,
    onInput: (k) => follow(placeOf(index()) * perPlace + k - 1),
  });
  const part = canvas.addSlider({
    label: "How far it has moved", step: 0.01, trait: "progress", format: (at) => `${Math.round(100 * at)} %`,
    onInput() {
      cancelAnimationFrame(playing);
      if (model.get("step") < MOVES_FROM) tell("step", MOVES_FROM);
    },
  });
  const { cards, grid } = buildCards();

  // ------------------------------------------------------------------------------------------------ what it is about

  const index = () => model.get("anchor");
  const positive = () => labels[index()] === 1;
  const box = () => (positive() ? moved(row(anchors, index()), row(deltas, index()), model.get("progress")) : row(anchors, index()));
  const stage = () => (positive() ? model.get("step") : Math.min(model.get("step"), MOVES_FROM - 1));

  function pooled() {
    const [x1, y1, x2, y2] = box();
    const across = wholeCells(x1, x2, { stride, cells: columns, bins: POOLED });
    const down = wholeCells(y1, y2, { stride, cells: rows, bins: POOLED });
    return valuesAt(map, winners(map, 0, columns, down, across));
  }

  function tell(trait, value) {
    model.set(trait, value);
    model.save_changes();
  }

  function follow(chosen) {
    tell("anchor", chosen);
    canvas.announce(`Anchor ${chosen}: ${labelText()}`);
  }

  /* Whoever walks through the steps sees the anchor move in the fourth; later ones show where it has come to. */
  function goTo(step) {
    tell("step", step);
    if (step < MOVES_FROM || !positive() || model.get("progress") > 0) return;
    if (step > MOVES_FROM || matchMedia("(prefers-reduced-motion: reduce)").matches) tell("progress", 1);
    else play(performance.now());
  }

  function play(started) {
    cancelAnimationFrame(playing);
    playing = requestAnimationFrame((now) => {
      const at = Math.min(Math.max((now - started) / MOVE_TIME, 0), 1);
      model.set("progress", at);
      if (at === 1) model.save_changes();
      else if (model.get("step") === MOVES_FROM) play(started);
    });
  }

  function placeAt(x, y) {
    const nearest = (value, count) => Math.min(Math.max(Math.round(value / stride - model.get("offset")), 0), count - 1);
    return nearest(y, rows) * columns + nearest(x, columns);
  }

  const bestAt = (place) => atPlace(place).reduce((best, one) => (overlaps[one] > overlaps[best] ? one : best));

  // ------------------------------------------------------------------------------------------------ hand

  function onPointer(x, y) {
    pointed = placeAt(x, y);
    write();
  }

  function onLeave() {
    pointed = null;
    write();
  }

  function onClick(x, y) {
    follow(bestAt(placeAt(x, y)));
  }

  // ------------------------------------------------------------------------------------------------ picture

  function dot(context, view, place, radius) {
    const [i, j] = cellOf(place);
    const [x, y] = [(j + model.get("offset")) * stride, (i + model.get("offset")) * stride];
    context.moveTo(x + radius * view.px, y);
    context.arc(x, y, radius * view.px, 0, 2 * Math.PI);
  }

  function drawUnder(context, view) {
    if (stage() === 5) {
      context.globalAlpha = 0.7;
      drawMap(context, view, map, columns, stride, shareOf);
      return;
    }
    context.beginPath();
    for (let place = 0; place < rows * columns; place++) dot(context, view, place, DOT);
    context.fillStyle = "white";
    context.strokeStyle = "rgba(0, 0, 0, 0.5)";
    context.lineWidth = view.px;
    context.stroke();
    context.fill();
  }

  function ring(context, view, place) {
    for (const [style, width] of [["black", 4], ["white", 2]]) {
      context.beginPath();
      dot(context, view, place, 6);
      context.strokeStyle = style;
      context.lineWidth = width * view.px;
      context.stroke();
    }
  }

  function tag(context, view, [x, y], text) {
    context.font = `bold ${13 * view.px}px system-ui, sans-serif`;
    const wide = context.measureText(text).width + 8 * view.px;
    const top = Math.max(y - 18 * view.px, 0);
    context.fillStyle = "rgba(0, 0, 0, 0.75)";
    context.fillRect(x, top, wide, 18 * view.px);
    context.fillStyle = "white";
    context.textBaseline = "middle";
    context.fillText(text, x + 4 * view.px, top + 9.5 * view.px);
  }

  function drawOver(context, view) {
    const at = stage();
    const own = row(anchors, index());
    if (at >= 3 && at < 6 && overlaps[index()] > 0) {
      const truth = row(truths, matched[index()]);
      view.strokeBox(context, truth, "ground truth");
      tag(context, view, truth, `${nameOf(index())}, drawn by hand`);
    }
    if (at === 2) for (const one of atPlace(placeOf(index()))) view.strokeBox(context, row(anchors, one), "anchor");
    if (at === 2) view.strokeBox(context, own, { color: "#56B4E9", dash: [], width: 4 });
    if (at === 3) view.strokeBox(context, own, LABELS[labels[index()]], { fill: 0.15 });
    if (at === 4) drawPull(context, view, own, row(truths, matched[index()]));
    if (at === 4) view.strokeBox(context, own, "anchor");
    if (at === 4) view.strokeBox(context, box(), "positive", { fill: 0.15 });
    if (at === 5) drawBins(context, view);
    if (at === 6) {
      view.strokeBox(context, box(), "detection");
      tag(context, view, box(), nameOf(index()));
    }
    if (at <= 4) ring(context, view, placeOf(index()));
    if (pointed !== null && pointed !== placeOf(index())) {
      for (const one of atPlace(pointed)) view.strokeBox(context, row(anchors, one), LABELS[labels[one]]);
      ring(context, view, pointed);
    }
  }

  /* From each corner of the anchor to the object's. */
  function drawPull(context, view, from, to) {
    for (const [style, width] of [["black", 3.5], ["white", 1.5]]) {
      context.beginPath();
      for (const [i, j] of [[0, 1], [2, 1], [2, 3], [0, 3]]) {
        context.moveTo(from[i], from[j]);
        context.lineTo(to[i], to[j]);
      }
      context.strokeStyle = style;
      context.lineWidth = width * view.px;
      context.stroke();
    }
  }

  function drawBins(context, view) {
    const [x1, y1, x2, y2] = box();
    context.beginPath();
    for (let k = 1; k < POOLED; k++) {
      const [x, y] = [x1 + (k / POOLED) * (x2 - x1), y1 + (k / POOLED) * (y2 - y1)];
      context.moveTo(x, y1);
      context.lineTo(x, y2);
      context.moveTo(x1, y);
      context.lineTo(x2, y);
    }
    context.strokeStyle = "white";
    context.lineWidth = 1.2 * view.px;
    context.stroke();
    view.strokeBox(context, [x1, y1, x2, y2], "positive");
  }

  // ------------------------------------------------------------------------------------------------ words

  function buildCards() {
    const list = document.createElement("div");
    list.className = "anchor-life-cards";
    const made = STEPS.map((name, k) => {
      const card = document.createElement("button");
      card.type = "button";
      card.dataset.lmSuppressShortcuts = "true";
      card.innerHTML = `<b>${k + 1} · ${name}</b><span></span>`;
      card.addEventListener("click", () => goTo(k + 1));
      list.append(card);
      return card;
    });
    const picture = Object.assign(document.createElement("canvas"), { width: POOLED, height: POOLED });
    picture.className = "anchor-life-pooled";
    picture.setAttribute("role", "img");
    made[4].append(picture);
    canvas.controls.append(list);
    return { cards: made, grid: picture };
  }

  function labelText() {
    const iou = overlaps[index()];
    const best = iou > 0 ? `IoU ${iou.toFixed(2)} with the ${nameOf(index())}` : "touches no object";
    return `${best}: ${LABELS[labels[index()]]}`;
  }

  const byRule = () => positive() && overlaps[index()] < model.get("high_threshold");

  function cardTexts() {
    const [i, j] = cellOf(placeOf(index()));
    const ended = ["not asked", "not asked", labels[index()] === 0 ? "background" : "not asked"];
    const [dx, dy, dw, dh] = row(deltas, index()).map(signed);
    const living = [`dx ${dx}  dy ${dy}\ndw ${dw}  dh ${dh}`, "", nameOf(index())];
    return [
      `row ${i}, column ${j}\nof ${rows} × ${columns}`,
      `${index() % perPlace + 1} of ${perPlace} on it\n${sides(row(anchors, index()))}`,
      labelText().replace(": ", "\n"),
      ...(positive() ? living : ended),
    ];
  }

  function sentence() {
    const [i, j] = cellOf(placeOf(index()));
    if (pointed !== null) {
      const [pi, pj] = cellOf(pointed);
      const good = atPlace(pointed).filter((one) => labels[one] === 1).length;
      return `Row ${pi}, column ${pj}: ${good} of its ${perPlace} anchors positive, best IoU ${overlaps[bestAt(pointed)].toFixed(2)}. Click, or press Enter, to follow the best.`;
    }
    if (model.get("step") >= MOVES_FROM && !positive()) {
      return labels[index()] === 0
        ? "Its story ends at its label: a negative anchor is asked for one thing only, to say “no object here”."
        : "Its story ends at its label: an ignored anchor is asked nothing in training.";
    }
    return [
      `The feature map has a place every ${stride} px, ${rows} rows of ${columns}. This anchor stands on row ${i}, column ${j}.`,
      `${perPlace} anchors stand on every place. This one is ${sides(row(anchors, index()))}.`,
      `How much does it overlap an object? ${labelText()}${byRule() ? `, for no anchor overlaps the ${nameOf(index())} better` : ""}.`,
      `Four numbers pull it onto the ${nameOf(index())}: shifts in its own widths and heights, logs of how much to stretch. Now: ${sides(box())}.`,
      `Whatever its size, ${sides(box())}, the region is cut into ${POOLED} × ${POOLED} bins of whole cells; each keeps its largest value.`,
      `From those ${POOLED} × ${POOLED} numbers of every channel the second stage must answer “${nameOf(index())}”.`,
    ][model.get("step") - 1];
  }

  function write() {
    canvas.setReadout(sentence());
    cardTexts().forEach((text, k) => {
      cards[k].querySelector("span").textContent = text;
      cards[k].setAttribute("aria-current", k + 1 === model.get("step") ? "step" : "false");
      cards[k].classList.toggle("anchor-life-ended", k + 1 >= MOVES_FROM && !positive());
    });
    canvas.redraw();
  }

  function show() {
    nine.set(index() % perPlace + 1);
    part.input.disabled = !positive();
    grid.hidden = !positive();
    const pen = grid.getContext("2d");
    const cells = pooled();
    cells.forEach((line, i) => line.forEach((value, j) => {
      pen.fillStyle = `rgb(${color(shareOf(value))})`;
      pen.fillRect(j, i, 1, 1);
    }));
    grid.dataset.values = JSON.stringify(cells);
    grid.setAttribute("aria-label", `${POOLED} by ${POOLED} pooled values`);
    write();
    canvas.redraw("under");
  }

  for (const trait of ["anchor", "step", "progress"]) model.on(`change:${trait}`, show);
  show();
  return () => {
    cancelAnimationFrame(playing);
    for (const trait of ["anchor", "step", "progress"]) model.off(`change:${trait}`, show);
    canvas.destroy();
  };
}

export default { render };
