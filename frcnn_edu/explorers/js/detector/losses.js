/* frcnn_edu/losses.py for the browser: the two halves of equation 1, with their slopes. */

/** @param {number} logit */
function sigmoid(logit) {
  return 1 / (1 + Math.exp(-logit));
}

/**
 * -log p for a positive, -log(1 - p) for a negative, without ever taking the log of 0.
 * @param {number} logit
 * @param {number} label
 */
function crossEntropy(logit, label) {
  return Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));
}

/**
 * @param {number} error
 * @param {number} beta
 */
function smoothL1(error, beta) {
  const size = Math.abs(error);
  return size < beta ? (0.5 * error * error) / beta : size - 0.5 * beta;
}

/**
 * The slope of smoothL1.
 * @param {number} error
 * @param {number} beta
 */
function smoothL1Slope(error, beta) {
  return Math.abs(error) < beta ? error / beta : Math.sign(error);
}

/** @typedef {{ value: number, weight: number, slope: number }} Term  A loss, what it is multiplied by, and its slope */

/**
 * The RPN's loss of one anchor: a term of objectness and four of its deltas. An anchor that was not sampled has weight 0
 * in both, a negative one in the second.
 * @param {{ logit: number, deltas: ArrayLike<number> }} answer
 * @param {{ label: number, deltas: ArrayLike<number> }} target
 * @param {{ nCls: number, nReg: number, balance: number, beta: number }} options
 * @returns {{ objectness: Term, deltas: Term[] }}
 */
function rpnTerms(answer, target, { nCls, nReg, balance, beta }) {
  const label = target.label === 1 ? 1 : 0;
  const objectness = {
    value: crossEntropy(answer.logit, label),
    weight: target.label >= 0 ? 1 / nCls : 0,
    slope: sigmoid(answer.logit) - label,
  };
  const deltas = [0, 1, 2, 3].map((k) => {
    const error = answer.deltas[k] - target.deltas[k];
    return { value: smoothL1(error, beta), weight: label ? balance / nReg : 0, slope: smoothL1Slope(error, beta) };
  });
  return { objectness, deltas };
}

/**
 * What a term adds to the loss.
 * @param {Term} term
 */
const added = ({ value, weight }) => (weight ? value * weight : 0);

export { added, crossEntropy, rpnTerms, sigmoid, smoothL1, smoothL1Slope };
