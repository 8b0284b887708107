/* Which network answers: a slider over the training steps, where there are several. */

/**
 * @param {import("../js/explorer.js").Explorer} explorer
 * @param {HTMLElement} parent
 */
function addSnapshots({ canvas, model }, parent) {
  const steps = model.get("steps");
  if (steps.length < 2) return;
  /** @param {number} at */
  const format = (at) => String(steps[at]);
  canvas.addSlider({ label: "Training step", max: steps.length - 1, trait: "snapshot", format, parent });
}

export { addSnapshots };
