/* The cards of AnchorLife: a button for each of the six steps, with what it says of the anchor. */

import { addButton, element } from "../js/kit/layout.js";

const STEPS = ["place", "anchor", "label", "move", "pooled", "answer"];
const POOLED_CARD = 4;

class StepCards {
  /**
   * @param {HTMLElement} parent
   * @param {number} bins  Of the pooled grid, each way
   * @param {(step: number) => void} onStep
   */
  constructor(parent, bins, onStep) {
    const list = element("div", "anchor-life-cards", parent);
    this.cards = STEPS.map((name, k) => {
      const button = addButton(list, "", () => onStep(k + 1));
      element("b", "", button, `${k + 1} · ${name}`);
      return { button, words: element("span", "", button) };
    });
    this.grid = element("canvas", "anchor-life-pooled", this.cards[POOLED_CARD].button);
    Object.assign(this.grid, { width: bins, height: bins });
    this.grid.setAttribute("role", "img");
    this.grid.setAttribute("aria-label", `${bins} by ${bins} pooled values`);
  }

  /**
   * @param {string[]} texts
   * @param {number} step  The one that is shown
   * @param {number} last  The one that the anchor ends at
   */
  write(texts, step, last) {
    this.cards.forEach(({ button, words }, k) => {
      words.textContent = texts[k];
      button.setAttribute("aria-current", k + 1 === step ? "step" : "false");
      button.classList.toggle("anchor-life-ended", k + 1 > last);
    });
  }

  /**
   * @param {number[][] | null} values  The pooled grid, if there is one
   * @param {(value: number) => number[]} colorOf
   */
  show(values, colorOf) {
    this.grid.hidden = !values;
    if (!values) return;
    const image = new ImageData(this.grid.width, this.grid.height);
    values.flat().forEach((value, at) => {
      image.data.set([...colorOf(value), 255], 4 * at);
    });
    this.grid.getContext("2d")?.putImageData(image, 0, 0);
    this.grid.dataset.values = JSON.stringify(values);
  }
}

export { StepCards };
