/* Stage 7: the classes of every proposal, a column each, and of the one in the light as bars. */

import { COLORS, rampColor } from "../../../explorers/js/kit/palette.js";
import { plainName } from "../../../explorers/js/kit/words.js";
import { DETECTED } from "../looks.js";
import { Plate } from "../plate.js";
import { frame } from "./maps.js";
import { proposalOf, proposalStep } from "./pooling.js";

/** @typedef {import("../pass.js").Pass} Pass */

const NAMES = 104; // CSS pixels for the classes' names
const LINE = 22;
const MOST_LINES = 20;
const MOST_COLUMNS = 100;

/**
 * The classes that have a line: all, or those that some proposal is likeliest of.
 * @param {Pass} pass
 * @param {number[]} here  Probabilities of the proposal in the light
 */
function linesOf({ classCount }, here) {
  const all = Array.from({ length: classCount }, (_, label) => label);
  if (classCount <= MOST_LINES) return all;
  return all.sort((a, b) => here[b] - here[a]).slice(0, MOST_LINES);
}

class ClassesPlate extends Plate {
  /** @type {Plate["heightFor"]} */
  heightFor(_width, pass) {
    return LINE * Math.min(pass?.classCount ?? 8, MOST_LINES);
  }

  /** @param {Pass} pass */
  columns({ kept }) {
    return Math.min(kept.length, MOST_COLUMNS);
  }

  /** @type {Plate["draw"]} */
  draw(pen, pass, life, { width, height, ink }) {
    const count = this.columns(pass);
    if (!count) return;
    const here = proposalOf(pass, life);
    const lines = linesOf(pass, pass.probabilities(here));
    const step = (width - NAMES) / count;
    const all = Array.from({ length: count }, (_, proposal) => pass.probabilities(proposal));
    lines.forEach((label, line) => {
      pen.fillStyle = ink;
      pen.fillText(plainName(pass.metadata.class_names[label]), 0, line * LINE + 15, NAMES - 8);
      all.forEach((probabilities, proposal) => {
        pen.fillStyle = rampColor(probabilities[label]);
        pen.fillRect(NAMES + proposal * step, line * LINE + 1, Math.max(step - 0.5, 0.5), LINE - 2);
      });
    });
    if (here < count) frame(pen, NAMES + here * step, 1, step, height - 2, 1.5);
  }

  /** @type {Plate["anchorAt"]} */
  anchorAt(pass, x) {
    const count = this.columns(pass);
    const proposal = Math.floor(((x - NAMES) / (this.width - NAMES)) * count);
    return proposal >= 0 && proposal < count ? pass.anchorOf(proposal) : null;
  }

  /** @type {Plate["step"]} */
  step(pass, life, [dx, dy]) {
    return proposalStep(pass, life, dx + 10 * dy);
  }
}

class ScoresPlate extends Plate {
  /** @type {Plate["heightFor"]} */
  heightFor(_width, pass) {
    return LINE * Math.min(pass?.classCount ?? 8, MOST_LINES);
  }

  /** @type {Plate["draw"]} */
  draw(pen, pass, life, { width, ink }) {
    if (!pass.kept.length) return;
    const here = pass.probabilities(proposalOf(pass, life));
    const best = here.indexOf(Math.max(...here));
    const room = width - NAMES - 48;
    linesOf(pass, here).forEach((label, line) => {
      const y = line * LINE;
      pen.fillStyle = ink;
      pen.font = `${label === best ? "600 " : ""}12px system-ui, sans-serif`;
      pen.fillText(plainName(pass.metadata.class_names[label]), 0, y + 15, NAMES - 8);
      pen.fillText(here[label].toFixed(2), NAMES + room + 8, y + 15);
      pen.globalAlpha = 0.15;
      pen.fillRect(NAMES, y + 6, room, 10);
      pen.globalAlpha = 1;
      pen.fillStyle = label ? DETECTED.color : COLORS.grey;
      pen.fillRect(NAMES, y + 6, Math.max(room * here[label], 1), 10);
    });
  }

  /** @type {Plate["step"]} */
  step(pass, life, [dx, dy]) {
    return proposalStep(pass, life, dx + dy);
  }
}

export { ClassesPlate, ScoresPlate };
