/* RoI pooling in the browser, for the explorers of lessons 00 and 06: frcnn_edu/roi_pool.py again, one region and one
   channel at a time. A map is a flat row of cells, `start` where its channel begins; edges are in image pixels. */

const CIVIDIS = [[0, 34, 78], [124, 123, 120], [254, 232, 56]]; // at its ends and in its middle

const roundHalfAway = (value) => Math.sign(value) * Math.round(Math.abs(value));

/* The whole cells that RoIPool gives to each bin between two edges, [start, end) each; in float32, where Python rounds. */
function wholeCells(low, high, { stride, cells, bins }) {
  const first = roundHalfAway(low / stride);
  const size = Math.fround(Math.max(roundHalfAway(high / stride) - first + 1, 1) / bins);
  const inside = (cell) => Math.min(Math.max(first + cell, 0), cells);
  return Array.from({ length: bins }, (_, bin) => [
    inside(Math.floor(Math.fround(bin * size))), inside(Math.ceil(Math.fround((bin + 1) * size))),
  ]);
}

/* The first cell, row by row, that holds the maximum of one bin, as an index into the map; -1 where the bin is empty. */
function winner(map, start, columns, [top, bottom], [left, right]) {
  let best = -1;
  let highest = -Infinity;
  for (let i = top; i < bottom; i++) {
    for (let j = left, at = start + i * columns + left; j < right; j++, at++) {
      if (map[at] > highest) [best, highest] = [at, map[at]];
    }
  }
  return best;
}

/* RoIPool: the winner of every bin, row by row, from the cells that `wholeCells` names. */
function winners(map, start, columns, down, across) {
  return down.map((rows) => across.map((cells) => winner(map, start, columns, rows, cells)));
}

/* What winners are worth: a bin without one gives 0. */
const valuesAt = (map, found) => found.map((line) => line.map((at) => (at < 0 ? 0 : map[at])));

/* RoIAlign along one axis: the points at which it reads, in cells, and the weight of every cell in every bin. */
function alignAxis(low, high, { stride, cells, bins, samples, aligned }) {
  const shift = aligned ? 0.5 : 0;
  const first = low / stride - shift;
  const length = (high - low) / stride;
  const step = (aligned ? length : Math.max(length, 1)) / bins / samples;
  const weights = Array.from({ length: bins }, () => new Float64Array(cells));
  const points = Array.from({ length: bins * samples }, (_, k) => first + (k + 0.5) * step);
  points.forEach((point, k) => {
    if (point < -1 || point > cells) return;
    const inside = Math.min(Math.max(point, 0), cells - 1);
    const near = Math.floor(inside);
    const row = weights[Math.floor(k / samples)];
    row[near] += (1 - inside + near) / samples;
    row[Math.min(near + 1, cells - 1)] += (inside - near) / samples;
  });
  return { points, weights };
}

/* RoIAlign as two matrix products: (bins, rows) times the map times (columns, bins). */
function alignedValues(map, start, columns, down, across) {
  return down.map((rowWeights) => {
    const line = new Float64Array(columns);
    rowWeights.forEach((weight, i) => {
      if (weight) for (let j = 0; j < columns; j++) line[j] += weight * map[start + i * columns + j];
    });
    return across.map((weights) => weights.reduce((sum, weight, j) => sum + weight * line[j], 0));
  });
}

/* What every cell's gradient is if each pooled value passes 1 back: RoIPool hands it to the winner, RoIAlign shares it out. */
function poolGradient(found, start, area) {
  const gradient = new Float64Array(area);
  for (const at of found.flat()) if (at >= 0) gradient[at - start]++;
  return gradient;
}

function alignGradient(down, across) {
  const total = (weights) => weights[0].map((_, cell) => weights.reduce((sum, row) => sum + row[cell], 0));
  const [tall, wide] = [total(down), total(across)];
  return Float64Array.from({ length: tall.length * wide.length }, (_, at) => tall[Math.floor(at / wide.length)] * wide[at % wide.length]);
}

function color(share) {
  const at = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
  const from = Math.min(Math.floor(at), CIVIDIS.length - 2);
  return CIVIDIS[from].map((value, k) => Math.round(value + (at - from) * (CIVIDIS[from + 1][k] - value)));
}

/* The numbers of an array trait. */
function numbers(model, trait, kind = Float32Array) {
  const { buffer, byteOffset, byteLength } = model.get(trait);
  return new kind(buffer.slice(byteOffset, byteOffset + byteLength));
}

/* One channel over the image, a square per cell. `share` says how bright a value is, 0 to 1. */
function drawMap(context, { width, height }, values, columns, stride, share) {
  values.forEach((value, at) => {
    const [x, y] = [(at % columns) * stride, Math.floor(at / columns) * stride];
    context.fillStyle = `rgb(${color(share(value))})`;
    context.fillRect(x, y, Math.min(stride, width - x), Math.min(stride, height - y));
  });
}

export { wholeCells, winners, valuesAt, alignAxis, alignedValues, poolGradient, alignGradient, color, numbers, drawMap };
