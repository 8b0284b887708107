/* UsefulExplorer: every anchor of the image, in the state that the objects give it. */

import { gridAnchors } from "../js/detector/anchors.js";
import { boxIou } from "../js/detector/boxes.js";
import { HIGH, LOW } from "../js/detector/matching.js";
import { explorer } from "../js/explorer.js";
import { wholeNumber } from "../js/kit/words.js";
import { AnchorExplorer, SETTINGS } from "./settings.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const [HIGH_32, LOW_32] = [HIGH, LOW].map(Math.fround); // as Python rounds them
const [OBJECT, USEFUL, SO_SO, USELESS] = [0, 1, 2, 3]; // the palette of UsefulExplorer

class UsefulExplorer extends AnchorExplorer {
  objects = 0; // the first boxes are the objects, the others anchors
  overlaps = new Float32Array(0); // of every anchor, with the object that it overlaps most

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.addSettings(["sizes", "ratios", "stride"]);
    this.on(SETTINGS, () => this.layAnchors());
  }

  /** @type {AnchorExplorer["onBoxesChanged"]} */
  onBoxesChanged(_, { index }) {
    if (index === null) this.layAnchors();
    else this.sort();
  }

  layAnchors() {
    const { canvas } = this;
    const known = this.floats("boxes");
    const anchors = gridAnchors(this.base, this.mapSize, this.settings);
    this.objects = known.length / 4;
    const boxes = new Float32Array(known.length + anchors.length);
    boxes.set(canvas.boxes.length > known.length ? canvas.boxes.subarray(0, known.length) : known);
    boxes.set(anchors, known.length);
    const editable = new Uint8Array(boxes.length / 4).fill(1, 0, this.objects);
    canvas.setBoxes(boxes, { editable, captions: this.get("captions") });
    this.sort();
  }

  sort() {
    const { boxes } = this.canvas;
    const objects = boxes.subarray(0, 4 * this.objects);
    const anchors = boxes.subarray(4 * this.objects);
    this.overlaps = new Float32Array(anchors.length / 4);
    for (let g = 0; g < this.objects; g++) {
      boxIou(objects, g, anchors).forEach((iou, a) => {
        if (iou > this.overlaps[a]) this.overlaps[a] = iou;
      });
    }
    const states = new Uint8Array(boxes.length / 4).fill(OBJECT);
    this.overlaps.forEach((iou, a) => {
      states[this.objects + a] = iou >= HIGH_32 ? USEFUL : iou < LOW_32 ? USELESS : SO_SO;
    });
    this.canvas.setStates(states);
    this.write();
  }

  onHover() {
    this.write();
  }

  write() {
    const { overlaps } = this;
    const { hovered } = this.canvas;
    const all = overlaps.length;
    const high = overlaps.filter((iou) => iou >= HIGH_32).length;
    const low = overlaps.filter((iou) => iou < LOW_32).length;
    /** @param {number} part */
    const share = (part) => `${((100 * part) / all).toFixed(2)} %`;
    this.show(
      `*${wholeNumber(all)}* anchors`,
      `*${wholeNumber(high)}* (${share(high)}) reach IoU ${HIGH} with an object: useful`,
      `*${wholeNumber(low)}* (${share(low)}) stay below ${LOW} with all: useless`,
    );
    const pointed = hovered !== null && hovered >= this.objects;
    this.canvas.setReadout(
      pointed
        ? `Anchor under the pointer: IoU ${overlaps[hovered - this.objects].toFixed(2)} with the object that it overlaps most`
        : null,
    );
  }
}

export default explorer(UsefulExplorer);
