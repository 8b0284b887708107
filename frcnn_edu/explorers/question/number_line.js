/* The number line of a question: places from 0 to 1, the numbers at them, and how numbers are written. */

/** @typedef {{ low: number, high: number, step: number, log: boolean }} Line */

/**
 * Where a number lies; what is beyond the line lies at its end.
 * @param {Line} line
 * @param {number} value
 */
function placeOf({ low, high, log }, value) {
  const place = log ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low);
  return Math.min(Math.max(place, 0), 1);
}

/**
 * The number at a place, rounded as guesses are: to a multiple of `step`, or to two digits on a logarithmic line.
 * @param {Line} line
 * @param {number} place
 */
function numberAt(line, place) {
  const { low, high, step, log } = line;
  const exact = log ? low * (high / low) ** place : low + place * (high - low);
  const unit = log ? 10 ** (Math.floor(Math.log10(exact)) - 1) : step;
  const rounded = log ? Math.round(exact / unit) * unit : low + Math.round((exact - low) / unit) * unit;
  return Number(Math.min(Math.max(rounded, low), high).toPrecision(12));
}

/**
 * A number with as many decimals as `step` has; on a logarithmic line, with two digits below 10.
 * @param {Line} line
 * @param {number} value
 */
function plain({ step, log }, value) {
  const unit = log ? 10 ** Math.min(0, Math.floor(Math.log10(Math.abs(value) || 1)) - 1) : step;
  const digits = Math.max(0, Math.ceil(-Math.log10(unit) - 1e-9));
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export { numberAt, placeOf, plain };
