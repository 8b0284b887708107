/* A whole explorer, to test that one can stand on the canvas: the IoU of the first two boxes, and a box at the pointer. */

import { createCanvas } from "../../frcnn_edu/explorers/js/canvas/box_canvas.js";

/** @param {number} value */
const clamp = (value) => Math.max(value, 0); // a name that the canvas's scripts have too

/**
 * @param {Float32Array} a
 * @param {Float32Array} b
 */
function iou(a, b) {
  const width = clamp(Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const height = clamp(Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  /** @param {Float32Array} box */
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  return (width * height) / (area(a) + area(b) - width * height);
}

/** @param {import("../../frcnn_edu/explorers/js/kit/traits.js").Context} context */
function render({ model, el }) {
  const canvas = createCanvas({
    model,
    el,
    onBoxesChanged(boxes) {
      const overlap = iou(boxes.subarray(0, 4), boxes.subarray(4, 8));
      canvas.setReadout(`IoU ${overlap.toFixed(3)}`);
      canvas.setStates([overlap >= model.get("threshold") ? 1 : 2, 4]);
    },
    drawOver(context, view) {
      if (!canvas.pointer) return;
      const { x, y } = canvas.pointer;
      view.strokeBox(context, [x - 10, y - 20, x + 10, y + 20], "anchor");
    },
  });
  canvas.addSlider({ label: "Threshold", max: 1, step: 0.1, trait: "threshold" });
  return () => canvas.destroy();
}

export default { render };
