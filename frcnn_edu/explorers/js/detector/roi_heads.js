/* frcnn_edu/roi_heads.py for the browser: two layers of a box head, then class scores and a move for every class. */

/** @typedef {{ weight: Float32Array, bias: Float32Array }} Layer */
/** @typedef {{ fc6: Layer, fc7: Layer, classes: Layer, boxes: Layer }} Heads */

/**
 * Numbers in half precision (IEEE 754 binary16), given by their bits.
 * @param {Uint16Array} bits
 */
function halves(bits) {
  return Float32Array.from(bits, (half) => {
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
    return half & 0x8000 ? -size : size;
  });
}

/**
 * The layers, whose weights follow one another; `sizes` are the numbers of a region, of the layers, and of classes.
 * @param {Float32Array} weights
 * @param {number[]} sizes
 * @returns {Heads}
 */
function rowsOf(weights, [pooled, hidden, classes]) {
  let at = 0;
  /** @type {(count: number) => Float32Array} */
  const take = (count) => {
    at += count;
    return weights.subarray(at - count, at);
  };
  /** @type {(inputs: number, outputs: number) => Layer} */
  const layer = (inputs, outputs) => ({ weight: take(inputs * outputs), bias: take(outputs) });
  return {
    fc6: layer(pooled, hidden),
    fc7: layer(hidden, hidden),
    classes: layer(hidden, classes),
    boxes: layer(hidden, 4 * classes),
  };
}

/**
 * @param {Layer} layer
 * @param {Float32Array} input
 */
function linear({ weight, bias }, input) {
  return bias.map((start, row) => {
    let sum = start;
    for (let k = 0, at = row * input.length; k < input.length; k++, at++) sum += weight[at] * input[k];
    return sum;
  });
}

/** @param {Float32Array} values */
const relu = (values) => values.map((value) => Math.max(value, 0));

/**
 * What the heads answer to one pooled region, channel by channel and row by row.
 * @param {Heads} heads
 * @param {Float32Array} pooled
 */
function secondStage({ fc6, fc7, classes, boxes }, pooled) {
  const hidden = relu(linear(fc7, relu(linear(fc6, pooled))));
  return { logits: linear(classes, hidden), deltas: linear(boxes, hidden) };
}

/**
 * Shares that add up to 1.
 * @param {Float32Array} logits
 */
function softmax(logits) {
  const most = Math.max(...logits);
  const parts = logits.map((logit) => Math.exp(logit - most));
  const sum = parts.reduce((all, one) => all + one, 0);
  return parts.map((part) => part / sum);
}

export { halves, rowsOf, secondStage, softmax };
