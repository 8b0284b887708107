/* frcnn_edu/roi_pool.py for the browser, for one region and one channel at a time. A map is a flat row of cells, `start`
   where its channel begins; edges are in image pixels. */

/**
 * One side of the map and of the grid that a region is pooled to.
 * @typedef {{ stride: number, cells: number, bins: number, samples?: number, aligned?: boolean }} Axis
 */

/** @typedef {{ map: Float32Array, start: number, columns: number }} Channel */

const round = Math.fround;

/**
 * To the nearest whole number, halves away from zero.
 * @param {number} value
 */
const roundHalfAway = (value) => Math.sign(value) * Math.round(Math.abs(value));

/**
 * The whole cells that RoIPool gives to each bin between two edges, [start, end) each.
 * @param {number} low
 * @param {number} high
 * @param {Axis} axis
 */
function wholeCells(low, high, { stride, cells, bins }) {
  const [first, last] = [low, high].map((edge) => roundHalfAway(round(edge * round(1 / stride))));
  const size = round(Math.max(last - first + 1, 1) / bins);
  /** @param {number} cell */
  const inside = (cell) => Math.min(Math.max(first + cell, 0), cells);
  return Array.from({ length: bins }, (_, bin) => [
    inside(Math.floor(round(bin * size))),
    inside(Math.ceil(round((bin + 1) * size))),
  ]);
}

/**
 * The first cell, row by row, that holds the maximum of one bin, as an index into the map; -1 where the bin is empty.
 * @param {Channel} channel
 * @param {number[]} rows
 * @param {number[]} across
 */
function winner({ map, start, columns }, [top, bottom], [left, right]) {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let i = top; i < bottom; i++) {
    for (let j = left, at = start + i * columns + left; j < right; j++, at++) {
      if (map[at] > highest) [best, highest] = [at, map[at]];
    }
  }
  return best;
}

/**
 * RoIPool: the winner of every bin, row by row, from the cells that `wholeCells` names.
 * @param {Channel} channel
 * @param {number[][]} down
 * @param {number[][]} across
 */
function winners(channel, down, across) {
  return down.map((rows) => across.map((cells) => winner(channel, rows, cells)));
}

/**
 * What winners are worth; a bin without one gives 0.
 * @param {Float32Array} map
 * @param {number[][]} found
 */
const valuesAt = (map, found) => found.map((line) => line.map((at) => (at < 0 ? 0 : map[at])));

/**
 * RoIAlign along one axis: the points at which it reads, in cells, and the weight of every cell in every bin.
 * @param {number} low
 * @param {number} high
 * @param {Axis} axis
 */
function alignAxis(low, high, { stride, cells, bins, samples = 2, aligned = false }) {
  const first = low / stride - (aligned ? 0.5 : 0);
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

/**
 * RoIAlign: (bins, rows) times the map times (columns, bins).
 * @param {Channel} channel
 * @param {Float64Array[]} down
 * @param {Float64Array[]} across
 */
function alignedValues({ map, start, columns }, down, across) {
  return down.map((rowWeights) => {
    const line = new Float64Array(columns);
    rowWeights.forEach((weight, i) => {
      if (weight) for (let j = 0; j < columns; j++) line[j] += weight * map[start + i * columns + j];
    });
    return across.map((weights) => weights.reduce((sum, weight, j) => sum + weight * line[j], 0));
  });
}

/**
 * The gradient of every cell if each value that RoIPool gives passes 1 back: it goes to the winners.
 * @param {number[][]} found
 * @param {number} start
 * @param {number} area
 */
function poolGradient(found, start, area) {
  const gradient = new Float64Array(area);
  for (const at of found.flat()) if (at >= 0) gradient[at - start]++;
  return gradient;
}

/**
 * The same for RoIAlign, which shares it out by its weights.
 * @param {Float64Array[]} down
 * @param {Float64Array[]} across
 */
function alignGradient(down, across) {
  /** @param {Float64Array[]} weights */
  const total = (weights) => weights[0].map((_, cell) => weights.reduce((sum, row) => sum + row[cell], 0));
  const [tall, wide] = [total(down), total(across)];
  return Float64Array.from({ length: tall.length * wide.length }, (_, at) => {
    return tall[Math.floor(at / wide.length)] * wide[at % wide.length];
  });
}

export { alignAxis, alignedValues, alignGradient, poolGradient, valuesAt, wholeCells, winners };
