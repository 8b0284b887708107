/* What stands beside the pictures in words: the life of an anchor, what became of all of them, and the detections. */

import { addButton, element } from "../../explorers/js/kit/layout.js";
import { sides, wholeNumber } from "../../explorers/js/kit/words.js";
import { fateColors } from "./looks.js";
import { FATES } from "./pass.js";
import { FATE_NAMES, FIGURES, levelName, lifeWords, nameOf } from "./words.js";

/** @typedef {import("./board.js").Board} Board */
/** @typedef {import("./pass.js").Pass} Pass */

const SAY_AFTER = 300; // ms that the light rests before a screen reader hears of it

/** One anchor's life: a line for each stage that it has reached. */
class LifeLines {
  said = "";
  timer = 0;

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} live  What a screen reader listens to
   * @param {Board} board
   */
  constructor(list, live, board) {
    this.list = list;
    this.live = live;
    this.board = board;
    /** @type {{ line: HTMLElement, stage: HTMLElement, text: HTMLElement }[]} */
    this.lines = [];
    board.followers.push(() => this.write());
  }

  write() {
    const { pass, focus } = this.board;
    if (!pass || focus === null) return;
    const life = pass.life(focus);
    const words = lifeWords(pass, life);
    while (this.lines.length < words.length) {
      const line = element("li", "", this.list);
      this.lines.push({ line, stage: element("b", "", line), text: element("span", "", line) });
    }
    this.lines.forEach(({ line, stage, text }, at) => {
      const { stage: name = "", text: sentence = "", end = false } = words[at] ?? {};
      line.hidden = !words[at];
      line.dataset.fate = end ? String(life.fate) : "";
      if (stage.textContent !== name) stage.textContent = name;
      if (text.textContent !== sentence) text.textContent = sentence;
    });
    if (this.board.hovered === null) this.say(words.map(({ stage, text }) => `${stage}: ${text}`).join(". "));
  }

  /** @param {string} text */
  say(text) {
    clearTimeout(this.timer);
    if (this.board.pinned === null || text === this.said) return;
    this.timer = window.setTimeout(() => {
      this.said = text;
      this.live.textContent = text;
    }, SAY_AFTER);
  }
}

/**
 * What each stage gives, in numbers beside its title.
 * @param {Board} board
 * @param {import("./easel.js").Easel} easel
 */
function followFigures(board, easel) {
  const places = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-figure]"));
  board.followers.push((pass) => {
    for (const place of pass ? places : []) {
      const text = FIGURES[place.dataset.figure ?? ""](/** @type {Pass} */ (pass), easel.found(pass).length);
      if (place.textContent !== text) place.textContent = text;
    }
  });
}

/** Of a pyramid, a button for each level: it lights up the anchor of highest objectness there. */
class LevelChooser {
  /** @type {HTMLButtonElement[]} */
  buttons = [];

  /**
   * @param {HTMLElement} parent
   * @param {Board} board
   */
  constructor(parent, board) {
    board.followers.push((pass) => {
      if (!pass || board.focus === null) return;
      const { levels } = pass;
      parent.hidden = levels.length < 2;
      while (this.buttons.length < levels.length) {
        const at = this.buttons.length;
        this.buttons.push(addButton(parent, "", () => this.choose(board, at)));
      }
      const now = levels.indexOf(pass.levelOf(board.focus));
      this.buttons.forEach((button, at) => {
        button.hidden = at >= levels.length;
        if (button.hidden) return;
        button.textContent = levelName(levels[at]);
        button.setAttribute("aria-pressed", String(at === now));
      });
    });
  }

  /**
   * @param {Board} board
   * @param {number} at
   */
  choose(board, at) {
    const { pass } = board;
    const best = pass?.order.find((anchor) => pass.levelOf(anchor) === pass.levels[at]);
    if (best !== undefined) board.walk(best);
  }
}

/** How many anchors met each fate, as a bar and in numbers. */
class Funnel {
  /**
   * @param {HTMLElement} parent
   * @param {Board} board
   */
  constructor(parent, board) {
    const colors = fateColors();
    this.rows = Object.values(FATES).map((fate) => {
      const row = element("li", "", parent);
      const swatch = element("i", "", row);
      swatch.style.background = colors[fate];
      return { count: element("b", "", row), name: element("span", "", row, FATE_NAMES[fate]) };
    });
    board.followers.push((pass) => {
      pass?.counts.forEach((count, fate) => {
        this.rows[fate].count.textContent = wholeNumber(count);
      });
    });
  }
}

/** The detections, a button each, which lights up the life that led to it. */
class DetectionList {
  /** @type {{ button: HTMLButtonElement, name: HTMLElement, score: HTMLElement, bar: HTMLElement, size: HTMLElement, anchor: number }[]} */
  rows = [];

  /**
   * @param {HTMLElement} parent
   * @param {HTMLElement} empty  Shown where nothing is found
   * @param {Board} board
   * @param {import("./easel.js").Easel} easel
   */
  constructor(parent, empty, board, easel) {
    this.parent = parent;
    this.board = board;
    board.followers.push((pass) => {
      const found = easel.found(pass);
      empty.hidden = !pass || found.length > 0;
      while (this.rows.length < found.length) this.addRow();
      this.rows.forEach((row, at) => {
        const one = found[at];
        row.button.hidden = !one;
        if (!one || !pass) return;
        row.anchor = one.anchor;
        row.name.textContent = nameOf(pass, one.label);
        row.score.textContent = one.score.toFixed(2);
        row.bar.style.width = `${100 * one.score}%`;
        row.size.textContent = sides(one.box);
        row.button.setAttribute("aria-pressed", String(one.anchor === board.focus));
      });
    });
  }

  addRow() {
    const { board } = this;
    const button = addButton(this.parent, "", () => board.pin(row.anchor));
    const name = element("span", "detection-name", button);
    const track = element("span", "detection-track", button);
    const row = {
      button,
      name,
      bar: element("i", "", track),
      score: element("span", "detection-score", button),
      size: element("span", "detection-size", button),
      anchor: -1,
    };
    button.addEventListener("pointerenter", () => board.point(row.anchor));
    button.addEventListener("pointerleave", () => board.point(null));
    button.addEventListener("focus", () => board.point(row.anchor));
    button.addEventListener("blur", () => board.point(null));
    this.rows.push(row);
  }
}

export { DetectionList, Funnel, followFigures, LevelChooser, LifeLines };
