/* What the explorers of lesson 01 share: sliders for the anchors' settings, looks by shape, and the best anchor. */

import { baseAnchors, cellCenter, mapSize, placed } from "../js/detector/anchors.js";
import { iou } from "../js/detector/boxes.js";
import { Explorer } from "../js/explorer.js";
import { controlRow, element } from "../js/kit/layout.js";
import { LOOKS } from "../js/kit/palette.js";
import { pixels, shortNumber } from "../js/kit/words.js";

/** @typedef {import("../js/detector/boxes.js").Box} Box */
/** @typedef {{ sizes: number[], ratios: number[], stride: number, offset: number, inverted: boolean }} Settings */
/** @typedef {{ iou: number, anchor: number, cell: number[], box: number[] }} Best  `anchor` is which of those of the cell */

const SIZE_STOPS = [
  8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640,
];
const RATIO_STOPS = [
  1 / 8,
  1 / 6,
  1 / 5,
  1 / 4,
  1 / 3,
  0.4,
  0.5,
  0.6,
  0.75,
  0.9,
  1,
  1.1,
  1.33,
  1.67,
  2,
  2.5,
  3,
  4,
  5,
  6,
  8,
];
const STRIDE_STOPS = [8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128];
const SETTINGS = ["sizes", "ratios", "stride", "offset", "inverted"];

/**
 * The best anchor of the grid for a box: only the cell nearest to its centre can hold it.
 * @param {Box} box
 * @param {number[][]} base
 * @param {import("../js/detector/anchors.js").Grid} grid
 * @param {{ width: number, height: number }} size
 * @returns {Best}
 */
function bestAnchor(box, base, grid, size) {
  const [rows, columns] = mapSize(size, grid.stride);
  /** @type {(low: number, high: number, count: number) => number} */
  const nearest = (low, high, count) => {
    return Math.min(Math.max(Math.round((low + high) / 2 / grid.stride - grid.offset), 0), count - 1);
  };
  const cell = [nearest(box[1], box[3], rows), nearest(box[0], box[2], columns)];
  const center = cellCenter(cell, grid);
  const there = base.map((anchor) => placed(anchor, center));
  const ious = there.map((anchor) => iou(anchor, box));
  const anchor = ious.indexOf(Math.max(...ious));
  return { iou: ious[anchor], anchor, cell, box: there[anchor] };
}

/**
 * How an anchor is drawn by its shape.
 * @param {Box} anchor
 */
function lookOf([x1, y1, x2, y2]) {
  const ratio = (y2 - y1) / (x2 - x1);
  return ratio < 0.99 ? LOOKS.wide : ratio > 1.01 ? LOOKS.tall : LOOKS.square;
}

/** An explorer whose anchors have settings. */
class AnchorExplorer extends Explorer {
  /** @returns {Settings} */
  get settings() {
    const [sizes, ratios, stride, offset, inverted] = SETTINGS.map((trait) => this.get(trait));
    return { sizes, ratios, stride, offset, inverted };
  }

  /** The anchors of one cell. */
  get base() {
    const { sizes, ratios, inverted } = this.settings;
    return baseAnchors(sizes, inverted ? ratios.map((ratio) => 1 / ratio) : ratios);
  }

  /** Rows and columns of the feature map. */
  get mapSize() {
    return mapSize(this.size, this.get("stride"));
  }

  /**
   * Sliders for the traits in `which`, a slider for each of several sizes and ratios.
   * @param {string[]} which
   */
  addSettings(which) {
    const holder = element("div", "explorer-settings", this.side);
    const build = () => {
      holder.replaceChildren();
      if (which.includes("sizes")) this.addSeveral(holder, "sizes", "Size", SIZE_STOPS, pixels);
      if (which.includes("ratios")) this.addSeveral(holder, "ratios", "Ratio", RATIO_STOPS, shortNumber);
      const parent = controlRow(holder);
      if (which.includes("stride")) {
        this.canvas.addSlider({ label: "Stride", stops: STRIDE_STOPS, format: pixels, trait: "stride", parent });
      }
      if (which.includes("offset")) {
        const format = (/** @type {number} */ cells) => `${cells} cells`;
        this.canvas.addSlider({ label: "Offset", step: 0.5, format, trait: "offset", parent });
      }
      if (which.includes("inverted")) {
        this.canvas.addCheckbox({ label: "read ratios as width / height", trait: "inverted", parent });
      }
    };
    let counts = "";
    const rebuild = () => {
      const now = ["sizes", "ratios"].map((trait) => this.get(trait).length).join();
      if (counts !== now) build();
      counts = now;
    };
    rebuild();
    this.on(["sizes", "ratios"], rebuild);
  }

  /**
   * @param {HTMLElement} holder
   * @param {string} trait
   * @param {string} name
   * @param {number[]} stops
   * @param {(value: number) => string} format
   */
  addSeveral(holder, trait, name, stops, format) {
    const parent = controlRow(holder);
    /** @type {number[]} */
    const values = this.get(trait);
    values.forEach((_, i) => {
      const binding = {
        traits: [trait],
        read: () => this.get(trait)[i],
        /** @param {number} value */
        write: (value) => this.tell({ [trait]: this.get(trait).with(i, value) }),
      };
      this.canvas.addSlider({ label: `${name} ${i + 1}`, stops, format, binding, parent });
    });
  }
}

export { AnchorExplorer, bestAnchor, lookOf, RATIO_STOPS, SETTINGS, SIZE_STOPS };
