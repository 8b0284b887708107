/* How what the stages show is drawn: colours are the palette's, and mean what they mean in the lessons. */

import { COLORS, STATES } from "../../explorers/js/kit/palette.js";
import { FATES } from "./pass.js";

/** @typedef {import("../../explorers/js/kit/palette.js").Look} Look */

const { suppressed: SUPPRESSED, detection: DETECTED } = STATES;
/** @type {Look} A candidate that NMS has kept: a proposal. */
const SURVIVOR = { ...STATES.positive, width: 2 };
/** @type {Look} It is drawn only while it is held: a width of 0 leaves out what is at rest. */
const SHAPE = { ...STATES.anchor, key: "shape", label: "shape", width: 0 };

/** The colour of each fate. */
function fateColors() {
  return {
    [FATES.leftOut]: COLORS.grey,
    [FATES.suppressed]: SUPPRESSED.color,
    [FATES.background]: SURVIVOR.color,
    [FATES.duplicate]: SUPPRESSED.color,
    [FATES.detected]: DETECTED.color,
  };
}

export { DETECTED, fateColors, SHAPE, SUPPRESSED, SURVIVOR };
