/* The sliders that hide boxes of low score or small size, where Python asks for them. */

import { element } from "../kit/layout.js";

class Filters {
  /** @type {import("../kit/controls.js").Slider | null} */
  score = null;
  /** @type {import("../kit/controls.js").Slider | null} */
  size = null;

  /** @param {import("./box_canvas.js").BoxCanvas} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.row = element("div", "box-canvas-row box-canvas-filters", canvas.root);
  }

  build() {
    const { canvas, row: parent } = this;
    const wanted = canvas.model.get("filters");
    /** @param {number} score */
    const format = (score) => score.toFixed(Math.abs(score) < 20 ? 2 : 0);
    /** @param {number} side */
    const pixels = (side) => `${side} px`;
    parent.replaceChildren();
    this.score = wanted.includes("score")
      ? canvas.addSlider({ label: "Score at least", format, trait: "min_score", parent })
      : null;
    this.size = wanted.includes("size")
      ? canvas.addSlider({ label: "Sides at least", format: pixels, trait: "min_size", parent })
      : null;
    this.span();
  }

  /** Let the sliders reach as far as the boxes do. */
  span() {
    const { boxes, scores } = this.canvas.set;
    if (this.score) {
      let [low, high] = [0, 1];
      for (const score of scores) if (!Number.isNaN(score)) [low, high] = [Math.min(low, score), Math.max(high, score)];
      this.score.span(low, high, (high - low) / 100);
    }
    if (this.size) {
      let side = 1;
      for (let j = 0; j < boxes.length; j += 4) {
        side = Math.max(side, Math.min(boxes[j + 2] - boxes[j], boxes[j + 3] - boxes[j + 1]));
      }
      this.size.span(0, Math.ceil(side), 1);
    }
  }
}

export { Filters };
