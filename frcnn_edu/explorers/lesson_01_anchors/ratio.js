/* RatioExplorer: one anchor on one object. Traits: size, ratio, inverted, stretched. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { LOOKS, RATIO_STOPS, SIZE_STOPS, addStops, boxAt, columns, element, iou, onTraits, pixels, shortNumber, tell, wholeNumber } from "./common.js";

const BAR = 110; // CSS pixels that stand for size²

function render({ model, el }) {
  let anchor = { box: [0, 0, 1, 1], square: [0, 0, 1, 1], width: 1, height: 1 }; // drawn from the first frame on
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged: update, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const row = element("div", "box-canvas-row anchors-sliders", side);
  const slider = (label, trait, stops, format) => addStops(canvas, {
    label, stops, format, parent: row, read: () => model.get(trait), write: (value) => tell(model, { [trait]: value }),
  });
  const sliders = [slider("Size", "size", SIZE_STOPS, pixels), slider("Ratio", "ratio", RATIO_STOPS, shortNumber)];
  canvas.addCheckbox({ label: "read the ratio as width / height", trait: "inverted", parent: row });
  canvas.addCheckbox({ label: "stretch the height only", trait: "stretched", parent: row });

  function update() {
    const [size, given] = [model.get("size"), model.get("ratio")];
    const ratio = model.get("inverted") ? 1 / given : given;
    const width = model.get("stretched") ? size : size / Math.sqrt(ratio);
    const height = width * ratio;
    const object = boxAt(canvas.boxes, 0);
    const [x, y] = [(object[0] + object[2]) / 2, (object[1] + object[3]) / 2];
    const around = (w, h) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
    anchor = { box: around(width, height), square: around(size, size), width, height };
    write(size, iou(anchor.box, object));
    canvas.redraw();
  }

  function write(size, overlap) {
    const { width, height } = anchor;
    const area = width * height;
    const share = area / size ** 2;
    numbers.innerHTML = `<span>width <b>${width.toFixed(1)}</b> × height <b>${height.toFixed(1)}</b> = area <b>${wholeNumber(area)}</b> px²</span>
      <span>size² = ${wholeNumber(size ** 2)} px² <i class="anchors-bar" style="width:${BAR}px"><i style="width:${Math.min(BAR * share, 3 * BAR)}px"></i></i> ${Math.round(100 * share)} %</span>
      <span>height / width <b>${shortNumber(height / width)}</b></span><span>IoU with the <i class="anchors-name"></i> <b>${overlap.toFixed(3)}</b></span>`;
    numbers.querySelector(".anchors-name").textContent = canvas.captions[0] || "object";
  }

  function drawOver(context, view) {
    view.strokeBox(context, anchor.square, { color: "#FFFFFF", dash: [2, 4], width: 1.5 });
    view.strokeBox(context, anchor.box, LOOKS.square, { fill: 0.25 });
  }

  const forget = onTraits(model, ["size", "ratio", "inverted", "stretched"], () => {
    for (const one of sliders) one.refresh();
    update();
  });
  return () => { forget(); canvas.destroy(); };
}

export default { render };
