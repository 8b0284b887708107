/* Words and controls that the explorers of lesson 06 share. */

import { element, onTraits, tell } from "../lesson_01_anchors/common.js";

const signed = (value, digits = 2) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
const sides = ([x1, y1, x2, y2], digits = 0) => `${(x2 - x1).toFixed(digits)} × ${(y2 - y1).toFixed(digits)} px`;

/* A list of choices tied both ways to a trait; `names` says what each value is called. */
function addChooser(model, parent, text, trait, names) {
  const label = element("label", "", parent, text);
  const select = element("select", "", label);
  select.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys
  for (const [value, name] of Object.entries(names)) element("option", "", select, name).value = value;
  select.value = model.get(trait);
  select.addEventListener("change", () => tell(model, { [trait]: select.value }));
  return { select, forget: onTraits(model, [trait], () => { select.value = model.get(trait); }) };
}

/* Borders of the cells, thin. */
function drawCellBorders(context, view, stride, alpha) {
  context.beginPath();
  for (let x = 0; x <= view.width; x += stride) {
    context.moveTo(x, 0);
    context.lineTo(x, view.height);
  }
  for (let y = 0; y <= view.height; y += stride) {
    context.moveTo(0, y);
    context.lineTo(view.width, y);
  }
  Object.assign(context, { strokeStyle: `rgba(255, 255, 255, ${alpha})`, lineWidth: view.px });
  context.stroke();
}

export { signed, sides, addChooser, drawCellBorders };
