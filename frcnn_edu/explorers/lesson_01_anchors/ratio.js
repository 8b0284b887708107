/* RatioExplorer: one anchor on one object. Traits: size, ratio, inverted, stretched. */

import { boxArea, boxAround, boxAt, centerSize, iou } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { element } from "../js/kit/layout.js";
import { LOOKS } from "../js/kit/palette.js";
import { percent, pixels, shortNumber, wholeNumber } from "../js/kit/words.js";
import { RATIO_STOPS, SIZE_STOPS } from "./settings.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const BAR = 110; // CSS pixels that stand for size²
const SETTINGS = ["size", "ratio", "inverted", "stretched"];

class RatioExplorer extends Explorer {
  anchor = [0, 0, 1, 1]; // drawn from the first frame on
  square = [0, 0, 1, 1];

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.addKey([
      [LOOKS.square, "the anchor"],
      [LOOKS.reference, "the square of its size"],
    ]);
    const { canvas } = this;
    const parent = this.addRow();
    canvas.addSlider({ label: "Size", stops: SIZE_STOPS, format: pixels, trait: "size", parent });
    canvas.addSlider({ label: "Ratio", stops: RATIO_STOPS, format: shortNumber, trait: "ratio", parent });
    canvas.addCheckbox({ label: "read the ratio as width / height", trait: "inverted", parent });
    canvas.addCheckbox({ label: "stretch the height only", trait: "stretched", parent });
    this.on(SETTINGS, () => this.update());
  }

  onBoxesChanged() {
    this.update();
  }

  update() {
    const [size, given, inverted, stretched] = SETTINGS.map((trait) => this.get(trait));
    const ratio = inverted ? 1 / given : given;
    const width = stretched ? size : size / Math.sqrt(ratio);
    const object = boxAt(this.canvas.boxes, 0);
    const [x, y] = centerSize(object);
    this.anchor = boxAround([x, y, width, width * ratio]);
    this.square = boxAround([x, y, size, size]);
    this.write(size, iou(this.anchor, object));
    this.canvas.redraw();
  }

  /**
   * @param {number} size
   * @param {number} overlap
   */
  write(size, overlap) {
    const [, , width, height] = centerSize(this.anchor);
    const area = boxArea(this.anchor);
    const share = area / size ** 2;
    this.show(
      `width *${width.toFixed(1)}* × height *${height.toFixed(1)}* = area *${wholeNumber(area)}* px²`,
      `size² = ${wholeNumber(size ** 2)} px², of which the area is ${percent(share)}`,
      `height / width *${shortNumber(height / width)}*`,
      `IoU with the ${this.canvas.captions[0] || "object"} *${overlap.toFixed(3)}*`,
    );
    const bar = element("i", "explorer-bar", /** @type {HTMLElement} */ (this.figures.children[1]));
    Object.assign(bar.style, { width: `${BAR}px`, marginRight: `${2 * BAR}px` }); // room for what is more than 100 %
    element("i", "", bar).style.width = `${Math.min(BAR * share, 3 * BAR)}px`;
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    view.strokeBox(context, this.square, LOOKS.reference);
    view.strokeBox(context, this.anchor, LOOKS.square, { fill: 0.25 });
  }
}

export default explorer(RatioExplorer);
