/* The column of LossExplorer: a line for every sampled anchor, the one that adds most first.

   Lines stay where they are and only what has changed is written: those in sight at once, the others frame by frame, so
   that a slider never waits for lines that nobody sees. */

import { element } from "../js/kit/layout.js";

const LINE_HEIGHT = 20; // CSS pixels, as in rpn_loss.css
const LINES_IN_SIGHT = 14;
const LINES_A_FRAME = 64;
/** @type {Record<string, number>} */
const KEYS = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 10,
  PageUp: -10,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

/** @typedef {{ anchor: number, texts: string[], shares: number[] }} Row  `shares` of the longest bar, one for each half */

class LossColumn {
  /** @type {number[]} The anchors, by their lines. */
  order = [];
  writing = 0; // the frame that writes the next lines
  top = 0; // how far the column is scrolled; asking it would lay the page out
  /** @type {HTMLElement | undefined} */
  chosen;

  /**
   * @param {HTMLElement} parent
   * @param {number} count
   * @param {(anchor: number, byKey: boolean) => void} onPick
   */
  constructor(parent, count, onPick) {
    const head = element("div", "rpn-loss-line rpn-loss-head", parent);
    for (const text of ["anchor", "label", "objectness", "+ box", "= adds", ""]) element("span", "", head, text);
    this.box = element("div", "rpn-loss-column", parent);
    this.box.tabIndex = 0;
    this.box.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys
    this.box.setAttribute("role", "listbox");
    this.box.setAttribute("aria-label", "Sampled anchors by what they add to the loss; arrows walk through them");
    this.lines = Array.from({ length: count }, () => this.addLine());
    this.onPick = onPick;
    this.listen();
  }

  addLine() {
    const line = element("div", "rpn-loss-line", this.box);
    line.setAttribute("role", "option");
    const texts = Array.from({ length: 5 }, () => element("span", "", line));
    const share = element("span", "rpn-loss-share", line);
    return { line, texts, bars: [0, 1].map(() => element("i", "", share)), shown: /** @type {string[]} */ ([]) };
  }

  listen() {
    this.box.addEventListener(
      "scroll",
      () => {
        this.top = this.box.scrollTop;
      },
      { passive: true },
    );
    this.box.addEventListener("click", (event) => {
      const line = /** @type {HTMLElement} */ (event.target).closest("[data-anchor]");
      if (line instanceof HTMLElement) this.onPick(Number(line.dataset.anchor), false);
    });
    this.box.addEventListener("keydown", (event) => {
      if (!(event.key in KEYS)) return;
      event.preventDefault();
      const at = this.lines.findIndex(({ line }) => line === this.chosen) + KEYS[event.key];
      this.onPick(this.order[Math.min(Math.max(at, 0), this.order.length - 1)], true);
    });
  }

  /**
   * @param {number[]} order  The anchors from now on
   * @param {(anchor: number) => Row} rowOf
   */
  write(order, rowOf) {
    this.order = order;
    cancelAnimationFrame(this.writing);
    this.box.setAttribute("aria-busy", "true");
    const first = Math.floor(this.top / LINE_HEIGHT);
    /** @type {number[]} */
    const rest = [];
    order.forEach((anchor, place) => {
      if (place >= first && place <= first + LINES_IN_SIGHT) this.writeLine(place, rowOf(anchor));
      else rest.push(place);
    });
    const writeSome = () => {
      for (const place of rest.splice(0, LINES_A_FRAME)) this.writeLine(place, rowOf(order[place]));
      if (rest.length) this.writing = requestAnimationFrame(writeSome);
      else this.box.setAttribute("aria-busy", "false");
    };
    this.writing = requestAnimationFrame(writeSome);
  }

  /**
   * @param {number} place
   * @param {Row} row
   */
  writeLine(place, { anchor, texts, shares }) {
    const { line, texts: cells, bars, shown } = this.lines[place];
    texts.forEach((text, i) => {
      if (shown[i] === text) return;
      cells[i].textContent = text;
      shown[i] = text;
    });
    shares.forEach((share, half) => {
      const width = `${(100 * share).toFixed(1)}%`;
      if (shown[texts.length + half] === width) return;
      bars[half].style.width = width;
      shown[texts.length + half] = width;
    });
    line.dataset.anchor = String(anchor);
  }

  /** @param {number | null} anchor */
  choose(anchor) {
    const line = anchor === null ? undefined : this.lines[this.order.indexOf(anchor)]?.line;
    if (line === this.chosen) return;
    this.chosen?.removeAttribute("aria-selected");
    line?.setAttribute("aria-selected", "true");
    this.chosen = line;
  }

  /** Scroll to the chosen line; not by scrollIntoView, which would move the page as well. */
  keepInSight() {
    const place = this.lines.findIndex(({ line }) => line === this.chosen);
    if (place < 0) return;
    const above = place * LINE_HEIGHT;
    const { box } = this;
    if (above < box.scrollTop) box.scrollTop = above;
    if (above + LINE_HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = above + LINE_HEIGHT - box.clientHeight;
  }

  stop() {
    cancelAnimationFrame(this.writing);
  }
}

export { LossColumn };
