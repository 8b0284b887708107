/* SampleExplorer: the anchors that a step draws. Python draws them; the script shows the tally. */

import { Explorer, explorer } from "../js/explorer.js";
import { element } from "../js/kit/layout.js";
import { percent, wholeNumber } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const BAR = 300; // CSS pixels that stand for the whole batch
const STATES = [1, 2]; // positive and negative in the palette

class SampleExplorer extends Explorer {
  /** @param {Context} context */
  constructor(context) {
    super(context);
    const { canvas } = this;
    const parent = this.addRow();
    const nth = (/** @type {number} */ index) => String(index + 1);
    canvas.addSlider({ label: "Photograph", max: this.get("num_pictures") - 1, format: nth, trait: "picture", parent });
    canvas.addSlider({ label: "Step", max: 50, trait: "step", parent });
    canvas.addSlider({ label: "Batch", min: 8, max: 512, step: 8, trait: "batch_size", parent });
    canvas.addSlider({
      label: "Positive at most",
      step: 0.05,
      format: (share) => percent(share),
      trait: "positive_fraction",
      parent,
    });
    this.on(["tally"], () => this.write());
    this.write();
  }

  write() {
    const [positive, negative, positives, negatives] = this.get("tally");
    this.show(
      `drawn: *${positive}* positive and *${negative}* negative, 1 to *${positive ? (negative / positive).toFixed(1) : "∞"}*`,
      `on this photograph there are *${wholeNumber(positives)}* positive and *${wholeNumber(negatives)}* negative anchors`,
    );
    const bar = element("div", "explorer-bar sample-bar");
    bar.style.width = `${BAR}px`;
    [positive, negative].forEach((count, i) => {
      const part = element("i", "", bar);
      part.style.width = `${(100 * count) / Math.max(positive + negative, 1)}%`;
      part.style.background = this.canvas.palette[STATES[i]].color;
    });
    this.figures.children[0].after(bar);
  }
}

export default explorer(SampleExplorer);
