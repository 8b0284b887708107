/* UsefulExplorer: every anchor of the image, in the state that the objects give it. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { HIGH, LOW, addSettings, baseAnchors, boxAt, center, columns, element, iou, mapSize, onTraits, placed, settingsOf, wholeNumber } from "./common.js";

const [OBJECT, USEFUL, SO_SO, USELESS] = [0, 1, 2, 3]; // the palette of UsefulExplorer

function render({ model, el }) {
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged, onHover: writeReadout });
  const numbers = element("div", "anchors-numbers", side);
  const forgetSettings = addSettings(canvas, model, ["sizes", "ratios", "stride"], side);
  let objects = 0; // the first boxes are the objects, the others anchors
  let overlaps = [];

  function onBoxesChanged(boxes, { index }) {
    if (index === null) layAnchors();
    else sort();
  }

  function layAnchors() {
    const given = model.get("boxes");
    const known = new Float32Array(given.buffer.slice(given.byteOffset, given.byteOffset + given.byteLength));
    objects = known.length / 4;
    const settings = settingsOf(model);
    const [width, height] = model.get("_image_size");
    const [rows, across] = mapSize({ width, height }, settings.stride);
    const base = baseAnchors(settings);
    const boxes = new Float32Array(known.length + 4 * rows * across * base.length);
    boxes.set(canvas.boxes.length > known.length ? canvas.boxes.subarray(0, known.length) : known);
    let next = known.length;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < across; column++) {
        const [x, y] = center([row, column], settings);
        for (const anchor of base) {
          boxes.set(placed(anchor, x, y), next);
          next += 4;
        }
      }
    }
    const editable = new Uint8Array(boxes.length / 4).fill(1, 0, objects);
    canvas.setBoxes(boxes, { editable, states: new Uint8Array(boxes.length / 4), captions: model.get("captions") });
    sort();
  }

  function sort() {
    const { boxes } = canvas;
    const number = boxes.length / 4;
    const states = new Uint8Array(number).fill(OBJECT, 0, objects);
    const truths = Array.from({ length: objects }, (_, i) => boxAt(boxes, i));
    overlaps = new Float32Array(number);
    for (let i = objects; i < number; i++) {
      const anchor = boxes.subarray(4 * i, 4 * i + 4);
      for (const truth of truths) overlaps[i] = Math.max(overlaps[i], iou(anchor, truth));
      states[i] = overlaps[i] >= HIGH ? USEFUL : overlaps[i] < LOW ? USELESS : SO_SO;
    }
    canvas.setStates(states);
    writeReadout(canvas.hovered);
  }

  function writeReadout(hovered) {
    const all = overlaps.length - objects;
    const anchors = overlaps.subarray(objects);
    const high = anchors.reduce((sum, overlap) => sum + (overlap >= HIGH), 0);
    const low = anchors.reduce((sum, overlap) => sum + (overlap < LOW), 0);
    const share = (part) => `${((100 * part) / all).toFixed(2)} %`;
    numbers.innerHTML = `<span><b>${wholeNumber(all)}</b> anchors</span>
      <span><b>${wholeNumber(high)}</b> (${share(high)}) reach IoU ${HIGH} with an object: useful</span>
      <span><b>${wholeNumber(low)}</b> (${share(low)}) stay below ${LOW} with all: useless</span>`;
    const pointed = hovered !== null && hovered >= objects;
    canvas.setReadout(pointed ? `Anchor under the pointer: IoU ${overlaps[hovered].toFixed(2)} with the object that it overlaps most` : null);
  }

  const forget = onTraits(model, ["sizes", "ratios", "stride", "offset", "inverted"], layAnchors);
  return () => { forget(); forgetSettings(); canvas.destroy(); };
}

export default { render };
