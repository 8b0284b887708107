/* The box canvas: an image under thousands of boxes, drawn in the browser without asking Python.

   Everything hangs on one function, which an explorer's script may use too (`bundle` in bundle.py joins the files):

       import { createCanvas } from "./box_canvas.js";
       function render({ model, el }) {
         const canvas = createCanvas({ model, el, onPointer(x, y) { canvas.setReadout(`x ${x}, y ${y}`); } });
         return () => canvas.destroy();
       }
       export default { render };

   `model` and `el` are those that anywidget hands to render. The traits of BoxCanvas are read from the model; an
   explorer adds traits of its own and reads them with model.get. Lengths are image pixels unless it says CSS pixels.

   The explorer is called (every hook may be left out):
     onPointer(x, y)              the pointer, or the keyboard's crosshair, has moved over the image
     onLeave()                    it has left
     onHover(index)               another box, or null, is the smallest under the pointer
     onSelect(index)              another box, or null, is selected
     onClick(x, y, index)         pressed and released in one place, or Enter at the crosshair; index as in onHover
     onBoxesChanged(boxes, what)  what = {index, final}: the hand moves box `index` and has let go once `final`;
                                  index is null when all came anew, from Python or at the start
     drawUnder(context, view)     after the image, before the boxes; again only on redraw("under") or a new size
     drawOver(context, view)      after the boxes, in every frame in which something under the hand has changed
   Both draw in image pixels. `view` has scale (CSS pixels per image pixel), px (image pixels per CSS pixel: for line
   widths and text), width, height and margin of the image, and
     view.strokeBox(context, [x1, y1, x2, y2], state, {fill, cased})   a box in a state (name, index or object)

   The explorer calls, on what createCanvas returns:
     boxes, states, scores, editable   Float32Array (4N), Uint8Array (N), Float32Array (N or 0), Uint8Array (N), live
     captions, palette, view, hovered, selected, pointer    as they are now; pointer is {x, y} or null
     setBoxes(boxes, {states, scores, editable, captions})  replace all; what is left out becomes 0 or nothing
     setStates(states)            both stay in the browser: Python is told only of what the hand did
     moveBox(index, box, final)   move one box, as the hand would: Python is told
     select(index)                select a box, or null for none
     setReadout(text)             what the line under the image says; null gives it back to the box under the pointer
     announce(text)               say it to a screen reader
     redraw(what)                 draw again in the next frame: "over" (left out), "boxes" or "under", each with all above it
     addSlider({label, min, max, step, value, format, onInput, trait})  a labelled slider below the legend, tied both
                                  ways to `trait` if it names one; returns {input, set(value), span(min, max, step)}
     addCheckbox({label, value, onInput, trait})            likewise; returns {input, set(on)}
     controls                     the element that these go into, for whatever else
     destroy()                    take listeners away; call it when render's cleanup is called

   Keys, with the canvas focused: Tab walks the editable boxes (all, if none is) and past the last one leaves; after
   Escape, which lets go of the box, it leaves at once. Arrows move the selected box by 1 px, with Shift by 10, with Alt
   or Ctrl they move its lower right corner. With nothing selected arrows move a crosshair, which points as the mouse does.

   To measure, set globalThis.boxCanvasTimings = []: each frame adds {kind, ms}, the script's time from event to drawn. */

const PAD = 7; // CSS pixels round the picture, so that a handle on its border can be held
const HANDLE = 9; // CSS pixels, side of a handle
const GRAB = 8; // CSS pixels from a handle's middle that still hold it
const SLACK = 3; // CSS pixels outside a box that still count as inside, for the thin ones
const DRAG_START = 3; // CSS pixels that make a press a drag
const MIN_SIDE = 1; // image pixels that the hand leaves of a box
const DECIMALS = 10; // the mouse places boxes on tenths of a pixel
const BIG_STEP = 10; // Shift's factor on the keyboard
const HANDLES_FOR = 50; // with more editable boxes than this, only the selected one shows its handles
const CROWD = 400; // boxes of a state from which they are drawn without the dark edge, which would only be mud
const CAPTIONS_UP_TO = 100;
const SHARP_FROM = 3; // CSS pixels per image pixel from which pixels are shown as squares
const CASING_ALPHA = 0.6;
const CASING = `rgba(0, 0, 0, ${CASING_ALPHA})`;

const HANDLES = [[-1, -1], [0, -1], [1, -1], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0]];
const CORNERS = HANDLES.filter(([sx, sy]) => sx && sy);
const CURSORS = { "1,1": "nwse-resize", "1,-1": "nesw-resize", "1,0": "ew-resize", "0,1": "ns-resize" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HELP =
  "Tab: next box. Arrows: move it, or a crosshair if none is selected. Shift: ten times as far. " +
  "Alt or Control with arrows: resize. Escape: let go; then Tab leaves.";

const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
const tenth = (value) => Math.round(value * DECIMALS) / DECIMALS;

function element(name, className, parent, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  parent?.append(made);
  return made;
}

function copyBytes(view) {
  return view ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : new ArrayBuffer(0);
}

function createCanvas({ model, el, pointerStep = 8, ...hooks }) {
  let palette = [];
  let boxes = new Float32Array(0);
  let states = new Uint8Array(0);
  let scores = new Float32Array(0);
  let editable = new Uint8Array(0);
  let captions = [];
  let shown = new Uint8Array(0); // 1 where a box passes the filters
  let points = new Float32Array(0);
  let lines = new Float32Array(0);
  let bitmap = null; // the decoded image
  let overlay = null; // a small canvas with the heat map
  let hovered = null;
  let selected = null;
  let pointer = null; // {x, y, byKey}
  let grab = null; // what the hand holds: {index, handle, from, box, moved}
  let readout = null;
  let tabLeaves = false;
  let pending = new Set(); // what the next frame must do: "over", "boxes", "under", "shown" (and so "boxes")
  let frameRequest = 0;
  let spent = 0; // ms in event handlers since the last frame
  let spentOn = "data";
  let seen = new Set(); // states that the legend lists
  const undo = []; // how to take every listener away again

  // ------------------------------------------------------------------------------------------------ the page

  const root = element("div", "box-canvas", el);
  const stage = element("div", "box-canvas-stage", root);
  const [under, middle, over] = [0, 1, 2].map(() => element("canvas", "", stage).getContext("2d"));
  const line = element("div", "box-canvas-readout", root);
  const filterRow = element("div", "box-canvas-row box-canvas-filters", root);
  const legend = element("div", "box-canvas-row box-canvas-legend", root);
  const count = element("span", "box-canvas-count");
  const controls = element("div", "box-canvas-row box-canvas-controls", root);
  const live = element("div", "box-canvas-unseen", root);
  const help = element("div", "box-canvas-unseen", root, HELP);
  help.id = `box-canvas-help-${Math.random().toString(36).slice(2)}`;
  live.setAttribute("aria-live", "polite");
  legend.setAttribute("role", "group");
  legend.setAttribute("aria-label", "States; press one to hide or show its boxes");
  stage.tabIndex = 0;
  stage.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys
  stage.setAttribute("role", "application");
  stage.setAttribute("aria-roledescription", "image with boxes");
  stage.setAttribute("aria-describedby", help.id);
  for (const { canvas } of [under, middle, over]) canvas.setAttribute("aria-hidden", "true");

  const view = {
    scale: 1, px: 1, dpr: 1, width: 1, height: 1, margin: 0, cssWidth: 0, cssHeight: 0,
    toScreen: (x, y) => [PAD + (x + view.margin) * view.scale, PAD + (y + view.margin) * view.scale],
    toImage: (x, y) => [(x - PAD) / view.scale - view.margin, (y - PAD) / view.scale - view.margin],
    strokeBox(context, box, state, { fill = 0, cased = true } = {}) {
      strokeBoxes(context, [box], stateOf(state), { fill, cased });
    },
  };

  function stateOf(state) {
    if (typeof state === "number") return palette[state];
    return typeof state === "string" ? palette.find(({ name }) => name === state) : state;
  }

  function layout() {
    const room = root.clientWidth - 2 * parseFloat(getComputedStyle(root).paddingLeft);
    if (!(room > 0)) return; // not on the page yet, or in a hidden tab; the observer calls again
    const [width, height] = model.get("_image_size");
    const margin = model.get("margin");
    const dpr = window.devicePixelRatio || 1;
    const cssWidth = Math.floor(Math.min(room, model.get("width")));
    const same = Object.entries({ width, height, margin, dpr, cssWidth }).every(([key, value]) => view[key] === value);
    if (same) return;
    Object.assign(view, { width, height, margin, dpr, cssWidth });
    view.scale = (view.cssWidth - 2 * PAD) / (view.width + 2 * view.margin);
    view.px = 1 / view.scale;
    view.cssHeight = Math.ceil(2 * PAD + (view.height + 2 * view.margin) * view.scale);
    stage.style.width = `${view.cssWidth}px`;
    stage.style.height = `${view.cssHeight}px`;
    for (const { canvas } of [under, middle, over]) {
      canvas.width = Math.round(view.cssWidth * view.dpr);
      canvas.height = Math.round(view.cssHeight * view.dpr);
    }
    paint(); // now, or the cleared canvas flashes
  }

  // ------------------------------------------------------------------------------------------------ drawing

  function redraw(what = "over") {
    pending.add(what);
    frameRequest ||= requestAnimationFrame(frame);
  }

  function frame() {
    const started = performance.now();
    const todo = pending;
    frameRequest = 0;
    if (!view.cssWidth) return; // layout will paint
    pending = new Set();
    if (todo.has("shown")) {
      refilter();
      drawLegend();
    }
    if (todo.has("under")) drawUnder();
    if (todo.size > 1 || !todo.has("over")) drawBoxes();
    drawOver();
    globalThis.boxCanvasTimings?.push({ kind: spentOn, ms: spent + performance.now() - started });
    [spent, spentOn] = [0, "data"];
  }

  function paint() {
    cancelAnimationFrame(frameRequest);
    pending.add("under").add("shown");
    frame();
  }

  function timed(kind, handler) {
    return (event) => {
      const started = performance.now();
      handler(event);
      spent += performance.now() - started;
      spentOn = kind === "hover" && grab ? "drag" : kind;
    };
  }

  function inImagePixels(context) {
    const unit = view.scale * view.dpr;
    const origin = (PAD + view.margin * view.scale) * view.dpr;
    context.setTransform(unit, 0, 0, unit, origin, origin);
  }

  function clear(context) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    inImagePixels(context);
  }

  function drawUnder() {
    clear(under);
    under.imageSmoothingEnabled = view.scale < SHARP_FROM;
    under.imageSmoothingQuality = "high";
    if (bitmap) under.drawImage(bitmap, 0, 0, view.width, view.height);
    if (overlay) {
      const [x1, y1, x2, y2] = model.get("overlay_extent").length ? model.get("overlay_extent") : [0, 0, view.width, view.height];
      under.imageSmoothingEnabled = false;
      under.drawImage(overlay, x1, y1, x2 - x1, y2 - y1);
    }
    if (view.margin) {
      under.lineWidth = view.px;
      under.strokeStyle = "gray";
      under.strokeRect(0, 0, view.width, view.height);
    }
    drawGrid(model.get("grid"));
    drawLines();
    drawDots(points);
    under.save();
    hooks.drawUnder?.(under, view);
    under.restore();
  }

  function drawGrid(grid) {
    if (!grid) return;
    const [stride, offset] = grid;
    const dots = [];
    under.beginPath();
    for (let x = 0; x < view.width; x += stride) {
      under.moveTo(x, 0);
      under.lineTo(x, view.height);
      for (let y = 0; y < view.height; y += stride) dots.push(x + offset * stride, y + offset * stride);
    }
    for (let y = 0; y < view.height; y += stride) {
      under.moveTo(0, y);
      under.lineTo(view.width, y);
    }
    strokeTwice(under, 0.75, "rgba(255, 255, 255, 0.75)", "rgba(0, 0, 0, 0.25)");
    drawDots(dots, stride * view.scale < 12 ? 1 : 1.75);
  }

  function drawLines() {
    under.beginPath();
    for (let i = 0; i < lines.length; i += 4) {
      under.moveTo(lines[i], lines[i + 1]);
      under.lineTo(lines[i + 2], lines[i + 3]);
    }
    strokeTwice(under, 1.5, "white", CASING);
  }

  function drawDots(xy, radius = 2.5) {
    under.beginPath();
    for (let i = 0; i < xy.length; i += 2) {
      under.moveTo(xy[i] + radius * view.px, xy[i + 1]);
      under.arc(xy[i], xy[i + 1], radius * view.px, 0, 2 * Math.PI);
    }
    strokeTwice(under, 0, "white", CASING);
    under.fillStyle = "white";
    under.fill();
  }

  function strokeTwice(context, width, color, casing) {
    for (const [style, extra] of [[casing, 1.5], [color, 0]]) {
      if (width + extra === 0) continue;
      context.strokeStyle = style;
      context.lineWidth = (width + extra) * view.px;
      context.stroke();
    }
  }

  function drawBoxes() {
    clear(middle);
    const groups = palette.map((state) => ({ state, members: [] }));
    for (let i = 0; i < states.length; i++) {
      if (shown[i] && !(i === selected && editable[i])) groups[states[i]].members.push(i);
    }
    groups.sort((a, b) => b.members.length - a.members.length); // the few on top of the many
    const image = new ImageData(middle.canvas.width, middle.canvas.height);
    for (const { state, members } of groups) inkBoxes(image, members, state);
    middle.putImageData(image, 0, 0);
  }

  const boxAt = (index) => boxes.subarray(4 * index, 4 * index + 4);

  /* Stroking thousands of dashed outlines takes a canvas half a second; dash by dash into its pixels takes some ms. */
  function inkBoxes({ data, width, height }, members, { color, dash, width: lineWidth }) {
    const ink = new Uint32Array(data.buffer);
    const { thick, first } = pen(lineWidth);
    const [on, period] = dashesInPixels(dash);
    const fill = (x1, y1, x2, y2, pixel, edge) => { // `edge` pixels wider on all sides
      const left = Math.max(x1 - edge, 0);
      const right = Math.min(x2 + edge, width);
      const end = Math.min(y2 + edge, height);
      for (let y = Math.max(y1 - edge, 0); y < end; y++) for (let k = y * width + left; k < y * width + right; k++) ink[k] = pixel;
    };
    const outline = (index, pixel, edge) => {
      const [left, top] = [first(boxes[4 * index]), first(boxes[4 * index + 1])];
      const [right, bottom] = [first(boxes[4 * index + 2]) + thick, first(boxes[4 * index + 3]) + thick];
      for (const [start, length] of on) {
        for (let x = left + start; x < right; x += period) {
          const end = Math.min(x + length, right);
          fill(x, top, end, top + thick, pixel, edge);
          fill(x, bottom - thick, end, bottom, pixel, edge);
        }
        for (let y = top + start; y < bottom; y += period) {
          const end = Math.min(y + length, bottom);
          fill(left, y, left + thick, end, pixel, edge);
          fill(right - thick, y, right, end, pixel, edge);
        }
      }
    };
    const passes = [[asPixel(color), 0]];
    if (members.length <= CROWD) passes.unshift([asPixel("#000000", CASING_ALPHA), Math.round(view.dpr)]);
    for (const [pixel, edge] of passes) for (const index of members) outline(index, pixel, edge);
  }

  /* Where the drawn parts of a dash pattern start and how long they are, and after how many pixels it repeats. */
  function dashesInPixels(dash) {
    if (!dash.length) return [[[0, Infinity]], Infinity];
    const on = [];
    let period = 0;
    dash.map((length) => Math.max(1, Math.round(length * view.dpr))).forEach((length, i) => {
      if (i % 2 === 0) on.push([period, length]);
      period += length;
    });
    return [on, period];
  }

  function asPixel(color, alpha = 1) {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    return new Uint32Array(new Uint8Array([red, green, blue, 255 * alpha]).buffer)[0];
  }

  /* A line's thickness in device pixels, and the first pixel that it covers about a coordinate: whole ones, or it blurs. */
  function pen(width) {
    const { dpr, scale, margin } = view;
    const thick = Math.max(1, Math.round(width * dpr));
    return { thick, first: (value) => Math.round((PAD + (value + margin) * scale) * dpr - thick / 2) };
  }

  function strokeBoxes(context, group, { color, dash, width }, { fill = 0, cased = false, wider = 0 } = {}) {
    if (!group.length) return;
    const { dpr } = view;
    const { thick, first } = pen(width + wider);
    const at = (value) => first(value) + thick / 2;
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    for (const [x1, y1, x2, y2] of group) {
      const [left, top] = [at(x1), at(y1)];
      context.rect(left, top, at(x2) - left, at(y2) - top);
    }
    if (fill) {
      context.globalAlpha = fill;
      context.fillStyle = color;
      context.fill();
      context.globalAlpha = 1;
    }
    context.setLineDash(dash.map((length) => length * dpr));
    for (const [style, extra] of cased ? [[CASING, 2 * dpr], [color, 0]] : [[color, 0]]) {
      context.strokeStyle = style;
      context.lineWidth = thick + extra;
      context.stroke();
    }
    context.restore();
  }

  function drawOver() {
    clear(over);
    over.save();
    hooks.drawOver?.(over, view);
    over.restore();
    if (hovered !== null && hovered !== selected) strokeOne(hovered, { fill: 0.18, wider: 1 });
    drawTags();
    if (countEditable() <= HANDLES_FOR) forEachEditable((i) => i !== selected && drawHandles(i, CORNERS, HANDLE - 2));
    if (selected !== null && (shown[selected] || grab?.index === selected)) {
      strokeOne(selected, { fill: 0.12, wider: 1 });
      drawHandles(selected, editable[selected] ? HANDLES : [], HANDLE);
    }
    if (pointer?.byKey) drawCrosshair();
    writeReadout();
  }

  function strokeOne(index, how) {
    strokeBoxes(over, [boxAt(index)], palette[states[index]], { cased: true, ...how });
  }

  function drawHandles(index, which, side) {
    const size = side * view.px;
    over.lineWidth = 1.5 * view.px;
    over.fillStyle = "white";
    over.strokeStyle = "#222";
    for (const [x, y] of handlesOf(index, which)) {
      over.fillRect(x - size / 2, y - size / 2, size, size);
      over.strokeRect(x - size / 2, y - size / 2, size, size);
    }
  }

  function handlesOf(index, which = HANDLES) {
    const [x1, y1, x2, y2] = boxAt(index);
    const roomy = [(x2 - x1), (y2 - y1)].map((side) => side * view.scale > 3 * HANDLE); // else middles hide corners
    return which
      .filter(([sx, sy]) => (sx || roomy[0]) && (sy || roomy[1]))
      .map(([sx, sy]) => [(x1 + x2 + sx * (x2 - x1)) / 2, (y1 + y2 + sy * (y2 - y1)) / 2, sx, sy]);
  }

  function drawCrosshair() {
    const arm = 9 * view.px;
    over.beginPath();
    over.moveTo(pointer.x - arm, pointer.y);
    over.lineTo(pointer.x + arm, pointer.y);
    over.moveTo(pointer.x, pointer.y - arm);
    over.lineTo(pointer.x, pointer.y + arm);
    strokeTwice(over, 1.5, "white", "black");
  }

  function drawTags() {
    for (const [x, y, text] of model.get("texts")) drawTag(x, y, text);
    if (!model.get("show_captions")) return;
    for (let i = 0, left = CAPTIONS_UP_TO; i < captions.length && left; i++) {
      if (shown[i] && captions[i]) {
        drawTag(boxes[4 * i], boxes[4 * i + 1], captions[i]);
        left--;
      }
    }
  }

  function drawTag(x, y, text) {
    const { px } = view;
    over.font = `${12 * px}px system-ui, sans-serif`;
    const wide = over.measureText(text).width + 8 * px;
    const left = clamp(x, -view.margin, view.width + view.margin - wide);
    const top = clamp(y, -view.margin, view.height + view.margin - 17 * px);
    over.fillStyle = "rgba(0, 0, 0, 0.72)";
    over.fillRect(left, top, wide, 17 * px);
    over.fillStyle = "white";
    over.textBaseline = "middle";
    over.fillText(text, left + 4 * px, top + 9 * px);
  }

  // ------------------------------------------------------------------------------------------------ words

  function describe(index) {
    const [x1, y1, x2, y2] = boxAt(index);
    const number = (value) => value.toFixed(1);
    const parts = [
      `#${index} ${palette[states[index]]?.name}`,
      `x ${number(x1)} to ${number(x2)}, y ${number(y1)} to ${number(y2)}`,
      `${number(x2 - x1)} × ${number(y2 - y1)} px`,
    ];
    if (index < scores.length && !Number.isNaN(scores[index])) parts.push(`score ${scores[index].toFixed(3)}`);
    if (captions[index]) parts.push(captions[index]);
    return parts.join("  ·  ");
  }

  function writeReadout() {
    const index = grab ? grab.index : hovered ?? selected;
    const text = readout ?? (index === null ? "" : describe(index));
    if (line.textContent !== text) line.textContent = text;
  }

  function setReadout(text) {
    if (text === readout) return;
    readout = text;
    redraw();
  }

  function announce(text) {
    live.textContent = text;
  }

  // ------------------------------------------------------------------------------------------------ legend, filters

  function refilter() {
    const minScore = model.get("min_score");
    const minSize = model.get("min_size");
    const hidden = new Set(model.get("hidden_states"));
    const threshold = minScore === null ? null : Math.fround(minScore);
    shown = new Uint8Array(states.length);
    for (let i = 0, j = 0; i < states.length; i++, j += 4) {
      const low = threshold !== null && i < scores.length && scores[i] < threshold; // false for NaN: it has no score
      const small = boxes[j + 2] - boxes[j] < minSize || boxes[j + 3] - boxes[j + 1] < minSize;
      shown[i] = low || small || hidden.has(states[i]) ? 0 : 1;
    }
    if (hovered !== null && !shown[hovered]) setHovered(null);
  }

  function drawLegend() {
    const total = new Uint32Array(palette.length);
    const visible = new Uint32Array(palette.length);
    for (let i = 0; i < states.length; i++) {
      total[states[i]]++;
      visible[states[i]] += shown[i];
      seen.add(states[i]);
    }
    if (legend.dataset.lists !== [...seen].sort().join()) buildLegend();
    const hidden = model.get("hidden_states");
    for (const button of legend.querySelectorAll("button")) {
      const state = Number(button.dataset.state);
      const off = hidden.includes(state);
      const number = off || visible[state] === total[state] ? total[state] : `${visible[state]} of ${total[state]}`;
      button.lastChild.textContent = `${palette[state].name} ${number}`;
      button.setAttribute("aria-pressed", String(!off));
    }
    const all = visible.reduce((sum, part) => sum + part, 0);
    count.textContent = states.length ? `${all} of ${states.length} shown` : "";
  }

  function buildLegend() {
    legend.replaceChildren();
    legend.dataset.lists = [...seen].sort().join();
    for (const state of [...seen].sort((a, b) => a - b)) {
      const { color, dash, width } = palette[state];
      const button = element("button", "", legend);
      button.type = "button";
      button.dataset.state = state;
      button.dataset.lmSuppressShortcuts = "true";
      button.innerHTML = `<svg width="36" height="14" aria-hidden="true"><line x1="2" y1="7" x2="34" y2="7"
        stroke="${color}" stroke-width="${width}" stroke-dasharray="${dash.join(" ")}"/></svg><span></span>`;
      button.addEventListener("click", timed("filter", () => toggleState(state)));
    }
    legend.append(count);
  }

  function toggleState(state) {
    const hidden = model.get("hidden_states");
    const off = hidden.includes(state);
    tell("hidden_states", off ? hidden.filter((other) => other !== state) : [...hidden, state]);
  }

  let scoreSlider = null;
  let sizeSlider = null;

  function buildFilters() {
    filterRow.replaceChildren();
    const wanted = model.get("filters");
    const parent = filterRow;
    const format = (score) => score.toFixed(Math.abs(score) < 20 ? 2 : 0);
    const pixels = (side) => `${side} px`;
    scoreSlider = wanted.includes("score") ? addSlider({ label: "Score at least", format, trait: "min_score", parent }) : null;
    sizeSlider = wanted.includes("size") ? addSlider({ label: "Sides at least", format: pixels, trait: "min_size", parent }) : null;
    spanFilters();
  }

  function spanFilters() {
    const known = scores.filter((score) => !Number.isNaN(score));
    const low = known.reduce((least, score) => Math.min(least, score), 0);
    const high = known.reduce((most, score) => Math.max(most, score), 1);
    scoreSlider?.span(low, high, (high - low) / 100);
    let side = 1;
    for (let j = 0; j < boxes.length; j += 4) side = Math.max(side, Math.min(boxes[j + 2] - boxes[j], boxes[j + 3] - boxes[j + 1]));
    sizeSlider?.span(0, Math.ceil(side), 1);
  }

  function addSlider({ label, min = 0, max = 1, step = 1, value, format = String, onInput, trait, parent = controls }) {
    const box = element("label", "", parent, label);
    const input = element("input", "", box);
    const output = element("output", "", box);
    const set = (number) => {
      value = number;
      input.value = number ?? input.min;
      output.textContent = format(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    const span = (from, to, by) => {
      Object.assign(input, { min: from, max: to, step: by });
      set(value);
    };
    input.type = "range";
    value = trait ? model.get(trait) : value;
    span(min, max, step);
    bindInput(input, trait, () => Number(input.value), set, onInput);
    return { input, set, span };
  }

  function addCheckbox({ label, value = false, onInput, trait, parent = controls }) {
    const box = element("label", "", parent);
    const input = element("input", "", box);
    box.append(label);
    input.type = "checkbox";
    const set = (on) => { input.checked = on; };
    set(trait ? model.get(trait) : value);
    bindInput(input, trait, () => input.checked, set, onInput);
    return { input, set };
  }

  function bindInput(input, trait, read, show, onInput) {
    input.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys
    input.addEventListener("input", timed("filter", () => {
      if (trait) tell(trait, read());
      show(read());
      onInput?.(read());
    }));
    if (trait) listen(model, `change:${trait}`, () => input.isConnected && show(model.get(trait)));
  }

  // ------------------------------------------------------------------------------------------------ Python

  /* Set and sent at once: a value kept back would be undone by the kernel's echo of the one before. ipywidgets itself
     has one message under way at a time, and sends only the latest value once the kernel is free again. */
  function tell(trait, value) {
    model.set(trait, value);
    model.save_changes();
  }

  function listen(target, event, handler, options) {
    if (target === model) {
      model.on(event, handler);
      undo.push(() => model.off(event, handler));
    } else {
      target.addEventListener(event, handler, options);
      undo.push(() => target.removeEventListener(event, handler, options));
    }
  }

  const readers = {
    boxes: () => { boxes = new Float32Array(copyBytes(model.get("boxes"))); keepHeldBox(); },
    states: () => { states = new Uint8Array(copyBytes(model.get("states"))); },
    scores: () => { scores = new Float32Array(copyBytes(model.get("scores"))); },
    editable: () => { editable = new Uint8Array(copyBytes(model.get("editable"))); },
    captions: () => { captions = model.get("captions"); },
    palette: () => { palette = model.get("palette"); legend.dataset.lists = ""; },
    points: () => { points = new Float32Array(copyBytes(model.get("points"))); },
    lines: () => { lines = new Float32Array(copyBytes(model.get("lines"))); },
  };

  /* Traits that arrive in one message raise one event each; all are read before the first is acted on. */
  let arrived = new Set();
  function arrive(trait) {
    if (!arrived.size) queueMicrotask(takeIn);
    arrived.add(trait);
  }

  function takeIn() {
    const came = arrived;
    arrived = new Set();
    for (const trait of came) readers[trait]?.();
    const sized = boxes.length === 4 * states.length;
    if (!sized) return; // the rest is still on its way
    if (selected !== null && selected >= states.length) selected = null;
    if (hovered !== null && hovered >= states.length) hovered = null;
    if (grab && grab.index >= states.length) grab = null;
    if (came.has("filters")) buildFilters();
    else if (came.has("boxes") || came.has("scores")) spanFilters();
    if (came.has("boxes")) hooks.onBoxesChanged?.(boxes, { index: null, final: true });
    pending.add("shown");
    redraw("boxes");
  }

  function keepHeldBox() {
    if (grab?.moved && grab.index < boxes.length / 4) boxes.set(grab.now, 4 * grab.index);
  }

  async function readImage() {
    const bytes = copyBytes(model.get("_image_bytes"));
    try {
      const decoded = await createImageBitmap(new Blob([bytes]));
      bitmap?.close();
      bitmap = decoded;
      seen = new Set();
    } catch (error) {
      setReadout(`The browser cannot show this image: ${error.message}`);
    }
    layout();
    pending.add("shown");
    redraw("under");
  }

  function readOverlay() {
    const [width, height] = model.get("_overlay_size");
    const pixels = new Uint8ClampedArray(copyBytes(model.get("overlay")));
    overlay = null;
    if (width && pixels.length === 4 * width * height) {
      overlay = Object.assign(document.createElement("canvas"), { width, height });
      overlay.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
    }
    redraw("under");
  }

  // ------------------------------------------------------------------------------------------------ boxes

  function setBoxes(newBoxes, more = {}) {
    const number = newBoxes.length / 4;
    boxes = Float32Array.from(newBoxes);
    states = Uint8Array.from(more.states ?? new Uint8Array(number));
    scores = Float32Array.from(more.scores ?? []);
    editable = Uint8Array.from(more.editable ?? new Uint8Array(number));
    captions = more.captions ?? [];
    if (selected !== null && selected >= number) select(null);
    if (hovered !== null && hovered >= number) setHovered(null);
    pending.add("shown");
    redraw("boxes");
  }

  function setStates(newStates) {
    states = Uint8Array.from(newStates);
    pending.add("shown");
    redraw("boxes");
  }

  function moveBox(index, box, final = true) {
    boxes.set(box, 4 * index);
    const kept = model.get("boxes"); // written to as well, so that a second view of this model starts from it
    if (kept?.byteLength === 4 * boxes.length) {
      for (let k = 0; k < 4; k++) kept.setFloat32(16 * index + 4 * k, box[k], true);
    }
    hooks.onBoxesChanged?.(boxes, { index, final });
    tell("_edit", [(model.get("_edit")[0] ?? 0) + 1, index, ...boxAt(index), final ? 1 : 0]);
    if (final) pending.add("shown");
    redraw(index === selected ? "over" : "boxes");
  }

  function takeEdit() {
    const [, index, x1, y1, x2, y2] = model.get("_edit");
    const box = [x1, y1, x2, y2];
    if (index >= states.length || box.every((value, k) => value === boxes[4 * index + k])) return; // it was this view
    boxes.set(box, 4 * index);
    hooks.onBoxesChanged?.(boxes, { index, final: true });
    pending.add("shown");
    redraw("boxes");
  }

  function countEditable() {
    let number = 0;
    for (const flag of editable) number += flag;
    return number;
  }

  function forEachEditable(act) {
    for (let i = 0; i < editable.length; i++) if (editable[i] && shown[i]) act(i);
  }

  /* The smallest shown box that holds the point, or null: of nested boxes the inner one can be reached no other way. */
  function smallestAt(x, y, onlyEditable = false) {
    const slack = SLACK * view.px;
    let best = null;
    let bestArea = Infinity;
    for (let i = 0, j = 0; i < shown.length; i++, j += 4) {
      if (!shown[i] || (onlyEditable && !editable[i])) continue;
      if (x < boxes[j] - slack || x > boxes[j + 2] + slack || y < boxes[j + 1] - slack || y > boxes[j + 3] + slack) continue;
      const area = (boxes[j + 2] - boxes[j]) * (boxes[j + 3] - boxes[j + 1]);
      if (area < bestArea) [best, bestArea] = [i, area];
    }
    return best;
  }

  function handleAt(x, y) {
    let best = null;
    let bestDistance = Infinity;
    const look = (i) => {
      const side = Math.min(boxes[4 * i + 2] - boxes[4 * i], boxes[4 * i + 3] - boxes[4 * i + 1]);
      const reach = clamp(side / 4, 3 * view.px, GRAB * view.px); // a small box keeps a middle to be moved by
      for (const [hx, hy, sx, sy] of handlesOf(i)) {
        const distance = Math.max(Math.abs(x - hx), Math.abs(y - hy)) - (i === selected ? view.px : 0);
        if (distance <= reach && distance < bestDistance) [best, bestDistance] = [{ index: i, sx, sy }, distance];
      }
    };
    if (countEditable() <= HANDLES_FOR) forEachEditable(look);
    else if (selected !== null && editable[selected]) look(selected);
    return best;
  }

  function setHovered(index) {
    if (index === hovered) return;
    hovered = index;
    hooks.onHover?.(index);
    tell("hovered", index);
    redraw();
  }

  function select(index) {
    if (index === selected) return;
    const lifts = editable[selected] || editable[index]; // such a box moves between the layers
    selected = index;
    hooks.onSelect?.(index);
    tell("selected", index);
    redraw(lifts ? "boxes" : "over");
  }

  /* The box that `box` becomes when edges are pulled by (dx, dy): those that sx, sy name, or all where both are 0. */
  function pulled([x1, y1, x2, y2], sx, sy, dx, dy) {
    const inside = model.get("stay_inside");
    const axis = (low, high, side, shift, end) => {
      const first = inside ? Math.min(0, low) : -Infinity;
      const last = inside ? Math.max(end, high) : Infinity;
      if (side < 0) return [clamp(low + shift, first, Math.max(low, high - MIN_SIDE)), high];
      if (side > 0) return [low, clamp(high + shift, Math.min(high, low + MIN_SIDE), last)];
      const step = sx || sy ? 0 : clamp(shift, first - low, last - high);
      return [low + step, high + step];
    };
    const [left, right] = axis(x1, x2, sx, dx, view.width);
    const [top, bottom] = axis(y1, y2, sy, dy, view.height);
    return [left, top, right, bottom];
  }

  // ------------------------------------------------------------------------------------------------ hand and keys

  function pointAt(x, y, byKey = false) {
    pointer = { x, y, byKey };
    setHovered(smallestAt(x, y));
    hooks.onPointer?.(x, y);
    redraw();
  }

  function unpoint() {
    if (!pointer) return;
    pointer = null;
    setHovered(null);
    hooks.onLeave?.();
    redraw();
  }

  function eventPoint(event) {
    const place = stage.getBoundingClientRect();
    return view.toImage(event.clientX - place.left, event.clientY - place.top);
  }

  function onPointerMove(event) {
    const [x, y] = eventPoint(event);
    if (!grab) {
      pointAt(x, y);
      const handle = handleAt(x, y);
      const sign = handle && (handle.sx < 0 || (!handle.sx && handle.sy < 0) ? -1 : 1);
      if (handle) stage.style.cursor = CURSORS[`${handle.sx * sign || 0},${handle.sy * sign || 0}`];
      else stage.style.cursor = smallestAt(x, y, true) === null ? "crosshair" : "move";
      return;
    }
    if (grab.index === null) return;
    const [dx, dy] = [tenth(x - grab.from[0]), tenth(y - grab.from[1])];
    if (!grab.moved && Math.hypot(dx, dy) * view.scale < DRAG_START) return;
    if (!grab.moved) select(grab.index);
    grab.moved = true;
    grab.now = pulled(grab.box, grab.sx, grab.sy, dx, dy);
    pointer = { x, y, byKey: false };
    moveBox(grab.index, grab.now, false);
    hooks.onPointer?.(x, y);
  }

  function onPointerDown(event) {
    if (event.button !== 0) return;
    const [x, y] = eventPoint(event);
    stage.focus({ preventScroll: true, focusVisible: false });
    pointAt(x, y);
    const { index, sx, sy } = handleAt(x, y) ?? { index: smallestAt(x, y, true), sx: 0, sy: 0 };
    grab = { index, sx, sy, from: [x, y], box: index === null ? null : [...boxAt(index)], moved: false };
    if (sx || sy) select(index);
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  }

  function onPointerUp(event) {
    if (!grab) return;
    const { index, moved, now, sx, sy } = grab;
    grab = null;
    const [x, y] = eventPoint(event);
    if (moved) moveBox(index, now, true);
    else if (event.type === "pointerup") {
      if (!sx && !sy) select(hovered);
      hooks.onClick?.(x, y, hovered);
    }
    pointAt(x, y);
  }

  function dropGrab() {
    const { index, moved, box } = grab;
    grab = null;
    if (moved) moveBox(index, box, true);
  }

  function onKeyDown(event) {
    const arrow = ARROWS[event.key];
    let taken = true;
    if (arrow) onArrow(arrow, event);
    else if (event.key === "Tab") taken = onTab(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") onEscape();
    else if (event.key === "Enter" && pointer) {
      select(hovered);
      hooks.onClick?.(pointer.x, pointer.y, hovered);
    } else taken = false;
    if (taken) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  function onArrow([ax, ay], event) {
    const far = event.shiftKey ? BIG_STEP : 1;
    tabLeaves = false;
    if (selected === null) {
      const from = pointer ?? { x: view.width / 2, y: view.height / 2 };
      const step = event.shiftKey ? BIG_STEP * pointerStep : pointerStep;
      pointAt(clamp(from.x + ax * step, 0, view.width), clamp(from.y + ay * step, 0, view.height), true);
      announce(hovered === null ? "no box here" : describe(hovered));
    } else if (editable[selected]) {
      const resize = event.altKey || event.ctrlKey;
      const box = [...boxAt(selected)];
      moveBox(selected, pulled(box, resize ? Math.abs(ax) : 0, resize ? Math.abs(ay) : 0, ax * far, ay * far), true);
      announce(describe(selected));
    }
  }

  /* True if there was a box to go to; false lets the browser move the focus out of the canvas. */
  function onTab(direction) {
    const stops = [];
    forEachEditable((i) => stops.push(i));
    if (!countEditable()) for (let i = 0; i < shown.length; i++) if (shown[i]) stops.push(i);
    const at = selected === null ? (direction > 0 ? -1 : stops.length) : stops.indexOf(selected);
    const next = at + direction;
    if (tabLeaves || next < 0 || next >= stops.length) {
      select(null);
      return false;
    }
    unpoint();
    select(stops[next]);
    announce(describe(selected));
    return true;
  }

  function onEscape() {
    if (grab) dropGrab();
    unpoint();
    select(null);
    tabLeaves = true;
    announce("nothing selected");
  }

  // ------------------------------------------------------------------------------------------------ start and end

  listen(stage, "pointermove", timed("hover", onPointerMove));
  listen(stage, "pointerdown", timed("press", onPointerDown));
  listen(stage, "pointerup", timed("press", onPointerUp));
  listen(stage, "pointercancel", timed("press", onPointerUp));
  listen(stage, "pointerleave", () => { if (!grab) unpoint(); });
  listen(stage, "keydown", timed("key", onKeyDown));
  listen(stage, "focus", () => { tabLeaves = false; });
  listen(stage, "blur", () => { if (pointer?.byKey) unpoint(); });

  for (const trait of [...Object.keys(readers), "filters"]) listen(model, `change:${trait}`, () => arrive(trait));
  for (const trait of ["min_score", "min_size", "hidden_states"]) listen(model, `change:${trait}`, () => redraw("shown"));
  for (const trait of ["grid", "overlay_extent", "points", "lines"]) listen(model, `change:${trait}`, () => redraw("under"));
  for (const trait of ["texts", "show_captions"]) listen(model, `change:${trait}`, () => redraw());
  for (const trait of ["overlay", "_overlay_size"]) listen(model, `change:${trait}`, readOverlay);
  for (const trait of ["width", "margin"]) listen(model, `change:${trait}`, resize);
  listen(model, "change:_image_bytes", readImage);
  listen(model, "change:_edit", takeEdit);
  listen(model, "change:title", nameStage);
  listen(model, "change:selected", () => {
    if (model.get("selected") === selected) return;
    selected = model.get("selected");
    hooks.onSelect?.(selected);
    redraw("boxes");
  });

  function nameStage() {
    stage.setAttribute("aria-label", model.get("title"));
  }

  function widen() {
    root.style.width = `${model.get("width") + 8}px`;
  }

  function resize() {
    widen();
    layout();
  }

  const observer = new ResizeObserver(layout);
  observer.observe(root);
  undo.push(() => observer.disconnect());

  function followZoom() {
    const media = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const changed = () => { layout(); followZoom(); };
    media.addEventListener("change", changed, { once: true });
    forgetZoom = () => media.removeEventListener("change", changed);
  }
  let forgetZoom;
  followZoom();
  undo.push(() => forgetZoom());

  function destroy() {
    for (const step of undo.splice(0)) step();
    cancelAnimationFrame(frameRequest);
    bitmap?.close();
    root.remove();
  }

  for (const read of Object.values(readers)) read();
  selected = model.get("selected");
  nameStage();
  widen();
  readOverlay();
  buildFilters();
  readImage();
  queueMicrotask(() => { // once the caller has the canvas, which its hooks may ask
    hooks.onBoxesChanged?.(boxes, { index: null, final: true });
    layout();
  });

  return {
    get boxes() { return boxes; },
    get states() { return states; },
    get scores() { return scores; },
    get editable() { return editable; },
    get captions() { return captions; },
    get palette() { return palette; },
    get shown() { return shown; },
    get hovered() { return hovered; },
    get selected() { return selected; },
    get pointer() { return pointer; },
    view, controls, setBoxes, setStates, moveBox, select, setReadout, announce, redraw, addSlider, addCheckbox, destroy,
  };
}

function render({ model, el }) {
  const canvas = createCanvas({ model, el });
  return () => canvas.destroy();
}

export { createCanvas };
export default { render };
