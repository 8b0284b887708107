/* The colours, looks and ramp of frcnn_edu/viz/palette.py. `bundle` hands them in, so that none is written twice. */

/**
 * How a line is drawn: a state of boxes, or any other line.
 * @typedef {{ key?: string, label?: string, color: string, dash: number[], width: number }} Look
 */

/** @type {Record<string, string>} Colours by name, each #rrggbb. */
const COLORS = FRCNN_EDU_PALETTE.colors;

/** @type {Record<string, Look>} The states that boxes can be in, by key. */
const STATES = FRCNN_EDU_PALETTE.states;

/** @type {Record<string, Look>} Looks of lines that are not states of boxes. */
const LOOKS = FRCNN_EDU_PALETTE.looks;

/** @type {number[][]} The colours from the smallest value to the largest, evenly spaced; red, green, blue each. */
const RAMP = FRCNN_EDU_PALETTE.ramp.map(rgb);

/**
 * Red, green and blue of #rrggbb.
 * @param {string} color
 */
function rgb(color) {
  return [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
}

/**
 * @param {string} color
 * @param {number} alpha
 */
function withAlpha(color, alpha) {
  return `rgba(${rgb(color).join(", ")}, ${alpha})`;
}

/**
 * The ramp's colour at a share from 0 to 1; shares beyond are taken for the nearer end.
 * @param {number} share
 */
function ramp(share) {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const from = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[from].map((value, k) => Math.round(value + (at - from) * (RAMP[from + 1][k] - value)));
}

/**
 * `ramp` as canvas and style sheets take it.
 * @param {number} share
 */
function rampColor(share) {
  return `rgb(${ramp(share)})`;
}

/**
 * A hue for a line on the page's ground: lightened where the ink is light, and the ground so dark.
 * @param {string} color
 * @param {string} ink  As getComputedStyle writes it
 */
function onGround(color, ink) {
  const [red = 0, green = 0, blue = 0] = (ink.match(/[\d.]+/g) ?? []).map(Number);
  const dark = 0.3 * red + 0.6 * green + 0.1 * blue > 128;
  return dark ? `rgb(${rgb(color).map((part) => Math.round(part + (255 - part) * 0.4))})` : color;
}

export { COLORS, LOOKS, onGround, ramp, rampColor, rgb, STATES, withAlpha };
