/* What the explorers of lesson 05 share: NMS as frcnn_edu/boxes.py does it, in the same single precision, so that
   both sides agree to the last bit on what lies above a threshold. Boxes are a Float32Array (4N). */

const f = Math.fround;

function areas(boxes) {
  const out = new Float32Array(boxes.length / 4);
  for (let i = 0, j = 0; i < out.length; i++, j += 4) out[i] = f(boxes[j + 2] - boxes[j]) * f(boxes[j + 3] - boxes[j + 1]);
  return out;
}

/* IoU of box a of one array with box b of another, their areas at hand. */
function overlap(boxes, area, a, others, otherArea, b) {
  const [i, j] = [4 * a, 4 * b];
  const width = f(Math.min(boxes[i + 2], others[j + 2]) - Math.max(boxes[i], others[j]));
  if (width <= 0) return 0;
  const height = f(Math.min(boxes[i + 3], others[j + 3]) - Math.max(boxes[i + 1], others[j + 1]));
  if (height <= 0) return 0;
  const shared = f(width * height);
  return f(shared / f(f(area[a] + otherArea[b]) - shared));
}

/* Indices by falling value; of equals the earlier first. */
function bestFirst(values) {
  return Uint32Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
}

/* NMS of the boxes in `order`, best first. `by` says of each box who suppressed it (itself if kept, -1 if nobody got to
   it), `moments` in which order that happened: each kept box, then those that it suppresses. */
function suppress(boxes, order, threshold, limit = Infinity) {
  const area = areas(boxes);
  const by = new Int32Array(area.length).fill(-1);
  const kept = [];
  const moments = [];
  let waiting = order;
  while (waiting.length && kept.length < limit) {
    const best = waiting[0];
    const rest = [];
    by[best] = best;
    kept.push(best);
    moments.push(best);
    for (let k = 1; k < waiting.length; k++) {
      const other = waiting[k];
      if (overlap(boxes, area, best, boxes, area, other) > threshold) {
        by[other] = best;
        moments.push(other);
      } else rest.push(other);
    }
    waiting = rest;
  }
  return { by, kept, moments };
}

function middle(boxes, index) {
  const j = 4 * index;
  return [(boxes[j] + boxes[j + 2]) / 2, (boxes[j + 1] + boxes[j + 3]) / 2];
}

/* White lines with a dark edge between pairs of points, in image pixels. */
function drawLinks(context, view, pairs, width = 1.5) {
  context.beginPath();
  for (const [[x1, y1], [x2, y2]] of pairs) {
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
  }
  for (const [style, extra] of [["rgba(0, 0, 0, 0.6)", 2], ["white", 0]]) {
    context.strokeStyle = style;
    context.lineWidth = (width + extra) * view.px;
    context.stroke();
  }
}

function floats(model, name) {
  const view = model.get(name);
  return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

export { areas, bestFirst, drawLinks, floats, middle, overlap, suppress };
