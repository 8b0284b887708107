/* The handles of a box, and what becomes of a box that is pulled by one. */

/** @typedef {import("../detector/boxes.js").Box} Box */
/** @typedef {{ index: number, sx: number, sy: number }} Handle  Which sides of box `index` it pulls: -1, 0 or 1 each */

const HANDLE = 9; // CSS pixels, side of a handle
const GRAB = 8; // CSS pixels from a handle's middle that still hold it
const HANDLES_FOR = 50; // with more editable boxes than this, only the selected one shows its handles
const MIN_SIDE = 1; // image pixels that the hand leaves of a box

const HANDLES = [
  [-1, -1],
  [0, -1],
  [1, -1],
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
];
const CORNERS = HANDLES.filter(([sx, sy]) => sx && sy);
/** @type {Record<string, string>} */
const CURSORS = { "1,1": "nwse-resize", "1,-1": "nesw-resize", "1,0": "ew-resize", "0,1": "ns-resize" };

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));

/**
 * Where the handles of a box lie; the middle ones only where they would not hide the corners.
 * @param {Box} box
 * @param {number} scale
 * @param {number[][]} [which]
 */
function handlesOf([x1, y1, x2, y2], scale, which = HANDLES) {
  const [wide, tall] = [x2 - x1, y2 - y1].map((side) => side * scale > 3 * HANDLE);
  return which
    .filter(([sx, sy]) => (sx || wide) && (sy || tall))
    .map(([sx, sy]) => ({ x: (x1 + x2 + sx * (x2 - x1)) / 2, y: (y1 + y2 + sy * (y2 - y1)) / 2, sx, sy }));
}

/**
 * The handle at a place in the image, or null.
 * @param {import("./box_set.js").BoxSet} set
 * @param {number | null} selected
 * @param {{ scale: number, px: number }} view
 * @param {number} x
 * @param {number} y
 */
function handleAt(set, selected, { scale, px }, x, y) {
  /** @type {Handle | null} */
  let best = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const index of withHandles(set, selected)) {
    const box = set.box(index);
    const reach = clamp(Math.min(box[2] - box[0], box[3] - box[1]) / 4, 3 * px, GRAB * px); // a small box keeps a middle
    for (const { x: hx, y: hy, sx, sy } of handlesOf(box, scale)) {
      const distance = Math.max(Math.abs(x - hx), Math.abs(y - hy)) - (index === selected ? px : 0);
      if (distance <= reach && distance < bestDistance) [best, bestDistance] = [{ index, sx, sy }, distance];
    }
  }
  return best;
}

/**
 * The boxes that show handles.
 * @param {import("./box_set.js").BoxSet} set
 * @param {number | null} selected
 */
function withHandles(set, selected) {
  if (set.numEditable <= HANDLES_FOR) return set.movable;
  return selected !== null && set.editable[selected] ? [selected] : [];
}

/**
 * The cursor over a handle.
 * @param {Handle} handle
 */
function cursorOf({ sx, sy }) {
  const sign = sx < 0 || (!sx && sy < 0) ? -1 : 1;
  return CURSORS[`${sx * sign || 0},${sy * sign || 0}`];
}

/**
 * The box that `box` becomes when edges are pulled by (dx, dy): those that sx, sy name, or all where both are 0.
 * @param {Box} box
 * @param {{ sx: number, sy: number }} sides
 * @param {number[]} shift
 * @param {{ width: number, height: number } | null} limits  The image that it must not leave
 */
function pulled([x1, y1, x2, y2], { sx, sy }, [dx, dy], limits) {
  const whole = !sx && !sy;
  const [left, right] = pulledSides([x1, x2], sx, dx, whole, limits?.width ?? null);
  const [top, bottom] = pulledSides([y1, y2], sy, dy, whole, limits?.height ?? null);
  return [left, top, right, bottom];
}

/**
 * @param {number[]} sides
 * @param {number} side
 * @param {number} shift
 * @param {boolean} whole
 * @param {number | null} end
 */
function pulledSides([low, high], side, shift, whole, end) {
  const first = end === null ? Number.NEGATIVE_INFINITY : Math.min(0, low);
  const last = end === null ? Number.POSITIVE_INFINITY : Math.max(end, high);
  if (side < 0) return [clamp(low + shift, first, Math.max(low, high - MIN_SIDE)), high];
  if (side > 0) return [low, clamp(high + shift, Math.min(high, low + MIN_SIDE), last)];
  const step = whole ? clamp(shift, first - low, last - high) : 0;
  return [low + step, high + step];
}

export { CORNERS, clamp, cursorOf, HANDLE, HANDLES, handleAt, handlesOf, pulled, withHandles };
