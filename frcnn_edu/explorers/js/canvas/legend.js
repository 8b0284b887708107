/* The legend: a button for each state that boxes are in, which hides and shows them, and how many are shown. */

import { addButton, element, lineSample } from "../kit/layout.js";
import { tell } from "../kit/traits.js";

class Legend {
  /** @type {Set<number>} States that it lists; one stays listed when its last box has gone. */
  seen = new Set();
  /** @type {{ state: number, button: HTMLButtonElement, words: HTMLElement }[]} */
  entries = [];

  /** @param {import("./box_canvas.js").BoxCanvas} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.row = element("div", "box-canvas-row box-canvas-legend", canvas.root);
    this.row.setAttribute("role", "group");
    this.row.setAttribute("aria-label", "States; press one to hide or show its boxes");
    this.count = element("span", "box-canvas-count");
  }

  /** Forget which states there have been. */
  reset() {
    this.seen.clear();
    this.entries = [];
    this.row.replaceChildren();
  }

  draw() {
    const { set, view, model } = this.canvas;
    const total = new Uint32Array(view.palette.length);
    const visible = new Uint32Array(view.palette.length);
    for (let i = 0; i < set.count; i++) {
      total[set.states[i]]++;
      visible[set.states[i]] += set.shown[i];
      this.seen.add(set.states[i]);
    }
    if (this.entries.length !== this.seen.size || !this.row.hasChildNodes()) this.build();
    const hidden = model.get("hidden_states");
    for (const { state, button, words } of this.entries) {
      const off = hidden.includes(state);
      const number = off || visible[state] === total[state] ? total[state] : `${visible[state]} of ${total[state]}`;
      words.textContent = `${view.palette[state].label} ${number}`;
      button.setAttribute("aria-pressed", String(!off));
    }
    const all = visible.reduce((sum, part) => sum + part, 0);
    this.count.textContent = set.count ? `${all} of ${set.count} boxes drawn` : "";
  }

  build() {
    const { view, timed } = this.canvas;
    this.row.replaceChildren();
    this.entries = [...this.seen]
      .sort((a, b) => a - b)
      .map((state) => {
        const button = addButton(
          this.row,
          "",
          timed("filter", () => this.toggle(state)),
        );
        button.append(lineSample(view.palette[state]));
        return { state, button, words: element("span", "", button) };
      });
    this.row.append(this.count);
  }

  /** @param {number} state */
  toggle(state) {
    /** @type {number[]} */
    const hidden = this.canvas.model.get("hidden_states");
    const shown = hidden.filter((other) => other !== state);
    tell(this.canvas.model, { hidden_states: shown.length < hidden.length ? shown : [...hidden, state] });
  }
}

export { Legend };
