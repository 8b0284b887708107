/* SharedExplorer: objects that have a best anchor of their own, and objects that must share one. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { LOOKS, addSettings, baseAnchors, bestAnchor, boxAt, columns, element, onTraits, settingsOf } from "./common.js";

const [OWN, SHARED] = [0, 1];

function render({ model, el }) {
  let found = []; // drawn from the first frame on
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, onBoxesChanged: update, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const forgetSettings = addSettings(canvas, model, ["sizes", "stride"], side);

  function update() {
    const settings = settingsOf(model);
    const base = baseAnchors(settings);
    const [width, height] = model.get("_image_size");
    const count = canvas.boxes.length / 4;
    found = Array.from({ length: count }, (_, i) => bestAnchor(boxAt(canvas.boxes, i), base, settings, { width, height }));
    const key = ({ cell, index }) => `${cell} ${index}`;
    const claims = new Map();
    for (const one of found) claims.set(key(one), (claims.get(key(one)) ?? 0) + 1);
    const states = found.map((one) => (claims.get(key(one)) > 1 ? SHARED : OWN));
    canvas.setStates(states);
    const sharing = states.filter((state) => state === SHARED).length;
    numbers.innerHTML = `<span>${count} objects, ${base.length} anchors per cell</span>
      <span><b>${sharing}</b> share their best anchor</span><span><b>${count - claims.size}</b> go without when each anchor serves one object</span>`;
  }

  function drawOver(context, view) {
    for (const { box } of found) view.strokeBox(context, box, { ...LOOKS.square, width: 1.25 });
  }

  const forget = onTraits(model, ["sizes", "ratios", "stride", "offset", "inverted"], update);
  return () => { forget(); forgetSettings(); canvas.destroy(); };
}

export default { render };
