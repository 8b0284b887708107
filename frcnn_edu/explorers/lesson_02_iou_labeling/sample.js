/* SampleExplorer: the anchors that a step draws. Python draws them; the script shows the tally. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { columns, element, onTraits, wholeNumber } from "../lesson_01_anchors/common.js";

const BAR = 300; // CSS pixels that stand for the whole batch
const [POSITIVE, NEGATIVE] = [1, 2]; // in the palette

function render({ model, el }) {
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left });
  const numbers = element("div", "anchors-numbers", side);
  const row = element("div", "box-canvas-row anchors-sliders", side);
  canvas.addSlider({ label: "Photograph", min: 0, max: model.get("num_pictures") - 1, step: 1, format: (index) => `${index + 1}`, trait: "picture", parent: row });
  canvas.addSlider({ label: "Step", min: 0, max: 50, step: 1, trait: "step", parent: row });
  canvas.addSlider({ label: "Batch", min: 8, max: 512, step: 8, trait: "batch_size", parent: row });
  canvas.addSlider({ label: "Positive at most", min: 0, max: 1, step: 0.05, format: (part) => `${Math.round(100 * part)} %`, trait: "positive_fraction", parent: row });

  function write() {
    const [positive, negative, positives, negatives] = model.get("tally");
    const drawn = positive + negative;
    const part = (count, state) => `<i style="display:inline-block;width:${(BAR * count) / Math.max(drawn, 1)}px;background:${canvas.palette[state].color}"></i>`;
    numbers.innerHTML = `<span>drawn: <b>${positive}</b> positive and <b>${negative}</b> negative, 1 to <b>${positive ? (negative / positive).toFixed(1) : "∞"}</b></span>
      <i class="anchors-bar" style="display:flex;margin:3px 0;width:${BAR}px">${part(positive, POSITIVE)}${part(negative, NEGATIVE)}</i>
      <span>on this photograph there are <b>${wholeNumber(positives)}</b> positive and <b>${wholeNumber(negatives)}</b> negative anchors</span>`;
  }

  write();
  const forget = onTraits(model, ["tally"], write);
  return () => { forget(); canvas.destroy(); };
}

export default { render };
