/* ObjectnessExplorer: the score of each anchor, a map for each shape. Traits: shape, snapshot. */

import { boxAt } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addButton, element } from "../js/kit/layout.js";
import { clipToImage, drawMap } from "../js/kit/paint.js";
import { ramp, STATES } from "../js/kit/palette.js";
import { sides } from "../js/kit/words.js";
import { addSnapshots } from "./snapshots.js";

/** @typedef {import("../js/explorer.js").Context} Context */

const SURE = 0.5; // from this score on an anchor says "object"

class ObjectnessExplorer extends Explorer {
  /** @type {number | null} The cell under the pointer. */
  pointed = null;

  /** @param {Context} context */
  constructor(context) {
    super(context);
    this.addKey([[STATES.detection, "the best anchor, or the one under the pointer"]]);
    const [perCell, rows, columns] = /** @type {number[]} */ (this.get("map_size"));
    this.perCell = perCell;
    this.rows = rows;
    this.columns = columns;
    this.scores = this.floats("objectness");
    this.anchors = this.floats("anchors");
    addSnapshots(this, this.addRow());
    const maps = element("div", "rpn-loss-maps", this.side);
    this.thumbs = Array.from({ length: this.perCell }, (_, k) => this.addThumb(maps, k));
    this.on(["shape", "snapshot"], () => this.update());
    this.update();
  }

  get numCells() {
    return this.rows * this.columns;
  }

  /** @type {number} */
  get shape() {
    return this.get("shape");
  }

  /**
   * @param {number} cell
   * @param {number} k
   */
  scoreAt(cell, k) {
    return this.scores[(this.get("snapshot") * this.numCells + cell) * this.perCell + k];
  }

  /**
   * @param {number} cell
   * @param {number} k
   */
  anchorAt(cell, k) {
    return boxAt(this.anchors, cell * this.perCell + k);
  }

  /**
   * @param {HTMLElement} maps
   * @param {number} k
   */
  addThumb(maps, k) {
    const button = addButton(maps, "", () => this.tell({ shape: k }));
    const picture = element("canvas", "", button);
    element("span", "", button, sides(this.anchorAt(0, k)).replace(" px", ""));
    return { button, picture };
  }

  /**
   * @param {HTMLCanvasElement} picture
   * @param {number} k
   */
  paintMap(picture, k) {
    Object.assign(picture, { width: this.columns, height: this.rows });
    const image = new ImageData(this.columns, this.rows);
    for (let cell = 0; cell < this.numCells; cell++) image.data.set([...ramp(this.scoreAt(cell, k)), 255], 4 * cell);
    picture.getContext("2d")?.putImageData(image, 0, 0);
  }

  get best() {
    let best = 0;
    for (let cell = 1; cell < this.numCells; cell++) {
      if (this.scoreAt(cell, this.shape) > this.scoreAt(best, this.shape)) best = cell;
    }
    return best;
  }

  update() {
    this.thumbs.forEach(({ button, picture }, k) => {
      this.paintMap(picture, k);
      button.setAttribute("aria-pressed", String(k === this.shape));
    });
    this.write();
    this.canvas.redraw("under");
  }

  write() {
    const { shape, numCells, pointed } = this;
    const size = sides(this.anchorAt(0, shape));
    let sure = 0;
    for (let cell = 0; cell < numCells; cell++) sure += Number(this.scoreAt(cell, shape) >= SURE);
    this.show(
      `anchors of ${size}: best score *${this.scoreAt(this.best, shape).toFixed(3)}*`,
      `*${sure}* of ${numCells} say “object” (${SURE} or more)`,
    );
    this.canvas.setReadout(
      pointed === null
        ? "Dashed: the best anchor of this shape. Point at a cell to see its own."
        : `Row ${Math.floor(pointed / this.columns)}, column ${pointed % this.columns}: ` +
            `score ${this.scoreAt(pointed, shape).toFixed(3)} for its anchor of ${size}`,
    );
  }

  /** Pixels of a cell; its square is drawn round its anchors' centre, which is the cell's upper left corner. */
  get cellSize() {
    return this.size.width / this.columns;
  }

  /** @type {Explorer["onPointer"]} */
  onPointer(x, y) {
    /** @type {(value: number, count: number) => number} */
    const nearest = (value, count) => Math.min(Math.max(Math.round(value / this.cellSize), 0), count - 1);
    this.pointed = nearest(y, this.rows) * this.columns + nearest(x, this.columns);
    this.write();
    this.canvas.redraw();
  }

  onLeave() {
    this.pointed = null;
    this.write();
    this.canvas.redraw();
  }

  /** @type {Explorer["drawUnder"]} */
  drawUnder(context, view) {
    const { columns, shape, cellSize: stride } = this;
    const values = Array.from({ length: this.numCells }, (_, cell) => this.scoreAt(cell, shape));
    clipToImage(context, view);
    context.globalAlpha = 0.7;
    drawMap(context, values, { columns, stride, start: -stride / 2, share: (value) => value });
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    view.strokeBox(context, this.anchorAt(this.pointed ?? this.best, this.shape), "detection", { fill: 0.1 });
  }
}

export default explorer(ObjectnessExplorer);
