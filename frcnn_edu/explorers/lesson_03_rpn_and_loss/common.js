/* What the explorers of lesson 03 share: the arithmetic of frcnn_edu/losses.py and boxes.decode_boxes, for one anchor. */

const LOG_SCALE_LIMIT = Math.log(1000 / 16); // boxes.LOG_SCALE_LIMIT
const DARK_TO_BRIGHT = [[0, 34, 78], [124, 123, 120], [254, 232, 56]]; // cividis, at its ends and in its middle

function numbers(model, trait) {
  const { buffer, byteOffset, byteLength } = model.get(trait);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));

/* -log p for a positive, -log(1 - p) for a negative, without ever taking the log of 0. */
function crossEntropy(logit, label) {
  return Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));
}

function smoothL1(error, beta) {
  const size = Math.abs(error);
  return size < beta ? (0.5 * error * error) / beta : size - 0.5 * beta;
}

function smoothL1Slope(error, beta) {
  return Math.abs(error) < beta ? error / beta : Math.sign(error);
}

/* boxes.decode_boxes, for one box. */
function moved([x1, y1, x2, y2], [dx, dy, dw, dh]) {
  const [width, height] = [x2 - x1, y2 - y1];
  const [x, y] = [x1 + width / 2 + dx * width, y1 + height / 2 + dy * height];
  const [w, h] = [dw, dh].map((log, k) => [width, height][k] * Math.exp(Math.min(log, LOG_SCALE_LIMIT)));
  return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
}

function color(share) {
  const at = Math.min(Math.max(share, 0), 1) * (DARK_TO_BRIGHT.length - 1);
  const from = Math.min(Math.floor(at), DARK_TO_BRIGHT.length - 2);
  return DARK_TO_BRIGHT[from].map((value, k) => Math.round(value + (at - from) * (DARK_TO_BRIGHT[from + 1][k] - value)));
}

/* Which network answers: a slider over the training steps, where there are several. */
function addSnapshots(canvas, model, parent) {
  const steps = model.get("steps");
  if (steps.length < 2) return;
  canvas.addSlider({ label: "Training step", min: 0, max: steps.length - 1, step: 1, trait: "snapshot", format: (at) => String(steps[at]), parent });
}

export { addSnapshots, color, crossEntropy, moved, numbers, sigmoid, smoothL1, smoothL1Slope };
