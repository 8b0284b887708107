/* SharedExplorer: objects that have a best anchor of their own, and objects that must share one. */

import { boxAt } from "../js/detector/boxes.js";
import { explorer } from "../js/explorer.js";
import { LOOKS } from "../js/kit/palette.js";
import { AnchorExplorer, bestAnchor, SETTINGS } from "./settings.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const [OWN, SHARED] = [0, 1]; // the palette of SharedExplorer
const BEST = { ...LOOKS.square, width: 1.25 };

class SharedExplorer extends AnchorExplorer {
  /** @type {import("./settings.js").Best[]} Drawn from the first frame on. */
  found = [];

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.addKey([[BEST, "a best anchor"]]);
    this.addSettings(["sizes", "stride"]);
    this.on(SETTINGS, () => this.update());
  }

  onBoxesChanged() {
    this.update();
  }

  update() {
    const { base, canvas, settings, size } = this;
    const count = canvas.boxes.length / 4;
    this.found = Array.from({ length: count }, (_, i) => bestAnchor(boxAt(canvas.boxes, i), base, settings, size));
    const keys = this.found.map(({ cell, anchor }) => `${cell} ${anchor}`);
    const states = keys.map((key) => (keys.indexOf(key) === keys.lastIndexOf(key) ? OWN : SHARED));
    canvas.setStates(states);
    this.show(
      `${count} objects, ${base.length} anchors per cell`,
      `*${states.filter((state) => state === SHARED).length}* share their best anchor`,
      `*${count - new Set(keys).size}* are left without an anchor if each anchor serves one object`,
    );
  }

  /** @type {AnchorExplorer["drawOver"]} */
  drawOver(context, view) {
    for (const { box } of this.found) view.strokeBox(context, box, BEST);
  }
}

export default explorer(SharedExplorer);
