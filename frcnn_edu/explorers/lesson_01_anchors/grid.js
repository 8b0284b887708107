/* GridExplorer: a feature map's cells, and the anchors of the one under the pointer. Trait: cell. */

import { cellCenter, placed } from "../js/detector/anchors.js";
import { boxArea, centerSize } from "../js/detector/boxes.js";
import { explorer } from "../js/explorer.js";
import { addLine, element, lineSample } from "../js/kit/layout.js";
import { drawCellBorders, drawDots } from "../js/kit/paint.js";
import { COLORS, withAlpha } from "../js/kit/palette.js";
import { percent, shortNumber, wholeNumber } from "../js/kit/words.js";
import { AnchorExplorer, lookOf, SETTINGS } from "./settings.js";

/** @typedef {import("../js/explorer.js").Context} Context */

class GridExplorer extends AnchorExplorer {
  crossing = { all: 0, crossing: 0 };

  /** @param {Context} context */
  constructor(context) {
    super(context, { pointerStep: context.model.get("stride") });
    this.table = element("table", "explorer-table", this.side);
    this.addSettings(SETTINGS);
    this.on([...SETTINGS, "_image_size"], () => this.update());
    this.on(["cell"], () => {
      this.write();
      this.canvas.redraw();
    });
    this.update();
  }

  /** @type {AnchorExplorer["onPointer"]} */
  onPointer(x, y) {
    const { stride } = this.settings;
    const [rows, columns] = this.mapSize;
    const cell = [Math.floor(y / stride), Math.floor(x / stride)];
    const [row, column] = this.get("cell");
    const inside = cell[0] >= 0 && cell[1] >= 0 && cell[0] < rows && cell[1] < columns;
    if (inside && (cell[0] !== row || cell[1] !== column)) this.tell({ cell });
  }

  /** Where the anchors of the cell are centred. */
  get center() {
    return cellCenter(this.get("cell"), this.settings);
  }

  /** @type {AnchorExplorer["drawUnder"]} */
  drawUnder(context, view) {
    const grid = this.settings;
    const { stride } = grid;
    const [rows, columns] = this.mapSize;
    drawCellBorders(context, view, { rows, columns, stride, alpha: 0.45 });
    const cells = Array.from({ length: rows * columns }, (_, i) => [Math.floor(i / columns), i % columns]);
    const centers = cells.map((cell) => cellCenter(cell, grid));
    drawDots(context, view, centers, stride * view.scale < 14 ? 1.25 : 2);
  }

  /** @type {AnchorExplorer["drawOver"]} */
  drawOver(context, view) {
    const { stride } = this.settings;
    const [row, column] = this.get("cell");
    context.fillStyle = withAlpha(COLORS.yellow, 0.55);
    context.fillRect(column * stride, row * stride, stride, stride);
    for (const anchor of this.base) view.strokeBox(context, placed(anchor, this.center), lookOf(anchor));
    drawDots(context, view, [this.center], 4, COLORS.vermilion);
  }

  /** How many anchors reach over the border: one lies inside if its column does and its row does. */
  countCrossing() {
    const { stride, offset } = this.settings;
    const { width, height } = this.size;
    const [rows, columns] = this.mapSize;
    /** @type {(count: number, low: number, high: number, end: number) => number} */
    const fits = (count, low, high, end) => {
      let number = 0;
      for (let i = 0; i < count; i++) {
        const at = (i + offset) * stride;
        if (at + low >= 0 && at + high <= end) number++;
      }
      return number;
    };
    const inside = this.base.map(([x1, y1, x2, y2]) => fits(columns, x1, x2, width) * fits(rows, y1, y2, height));
    const all = rows * columns * this.base.length;
    return { all, crossing: all - inside.reduce((sum, one) => sum + one, 0) };
  }

  write() {
    const { all, crossing } = this.crossing;
    const { width, height } = this.size;
    const [rows, columns] = this.mapSize;
    const [x, y] = this.center;
    const [row, column] = this.get("cell");
    const outside = this.base
      .map((anchor) => placed(anchor, [x, y]))
      .filter(([x1, y1, x2, y2]) => {
        return x1 < 0 || y1 < 0 || x2 > width || y2 > height;
      });
    this.show(
      `feature map *${rows} × ${columns}*, *${wholeNumber(all)}* anchors`,
      `*${wholeNumber(crossing)}* (${percent(crossing / all)}) cross the border of the image`,
    );
    this.canvas.setReadout(
      `Cell in row ${row}, column ${column}: centre x = ${x}, y = ${y} px. ` +
        `${outside.length} of its ${this.base.length} anchors cross the border.`,
    );
  }

  writeTable() {
    const { sizes, ratios } = this.settings;
    const { base, table } = this;
    table.replaceChildren();
    addLine(table, ["", ...sizes.map((size) => `size ${size}`)], "heads");
    ratios.forEach((ratio, r) => {
      const mine = base.slice(r * sizes.length, (r + 1) * sizes.length);
      const sides = mine.map((anchor) => centerSize(anchor).slice(2).map(Math.round).join(" × "));
      const line = addLine(table, [` ratio ${shortNumber(ratio)}`, ...sides], "row");
      line.firstElementChild?.prepend(lineSample(lookOf(mine[0])));
    });
    const areas = base.slice(0, sizes.length).map((anchor) => `${wholeNumber(boxArea(anchor))} px²`);
    addLine(table, ["area of each", ...areas], "row");
  }

  update() {
    const [rows, columns] = this.mapSize;
    const [row, column] = this.get("cell");
    const cell = [Math.min(row, rows - 1), Math.min(column, columns - 1)];
    this.crossing = this.countCrossing();
    if (cell[0] !== row || cell[1] !== column) this.tell({ cell });
    this.writeTable();
    this.write();
    this.canvas.redraw("under");
  }
}

export default explorer(GridExplorer);
