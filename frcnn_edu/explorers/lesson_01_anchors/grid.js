/* GridExplorer: a feature map's cells, and the anchors of the one under the pointer. Trait: cell. */

import { createCanvas } from "../js/canvas/box_canvas.js";
import { addSettings, baseAnchors, center, columns, drawCells, element, lookOf, mapSize, onTraits, placed, settingsOf, tell, wholeNumber } from "./common.js";

function render({ model, el }) {
  let settings = settingsOf(model); // both are drawn from the first frame on
  let base = baseAnchors(settings);
  const [left, side] = columns(el);
  const canvas = createCanvas({ model, el: left, pointerStep: model.get("stride"), onPointer, drawUnder, drawOver });
  const numbers = element("div", "anchors-numbers", side);
  const table = element("table", "anchors-table", side);
  const forgetSettings = addSettings(canvas, model, ["sizes", "ratios", "stride", "offset", "inverted"], side);

  function onPointer(x, y) {
    const [rows, across] = mapSize(canvas.view, settings.stride);
    const cell = [Math.floor(y / settings.stride), Math.floor(x / settings.stride)];
    const [row, column] = model.get("cell");
    const inside = cell[0] >= 0 && cell[1] >= 0 && cell[0] < rows && cell[1] < across;
    if (!inside || (cell[0] === row && cell[1] === column)) return;
    tell(model, { cell });
  }

  function drawUnder(context, view) {
    drawCells(context, view, settings);
  }

  function drawOver(context, view) {
    const { stride } = settings;
    const [row, column] = model.get("cell");
    const [x, y] = center([row, column], settings);
    context.fillStyle = "rgba(240, 228, 66, 0.55)";
    context.fillRect(column * stride, row * stride, stride, stride);
    for (const anchor of base) view.strokeBox(context, placed(anchor, x, y), lookOf(anchor));
    context.beginPath();
    context.arc(x, y, 4 * view.px, 0, 2 * Math.PI);
    context.fillStyle = "#D55E00";
    context.fill();
  }

  const outside = ([x1, y1, x2, y2]) => x1 < 0 || y1 < 0 || x2 > model.get("_image_size")[0] || y2 > model.get("_image_size")[1];

  function countCrossing() {
    const [width, height] = model.get("_image_size");
    const [rows, across] = mapSize({ width, height }, settings.stride);
    let inside = 0; // an anchor is inside if its column is and its row is
    for (const { box } of base) {
      const fits = (count, low, high, end) => {
        let number = 0;
        for (let i = 0; i < count; i++) {
          const at = (i + settings.offset) * settings.stride;
          if (at + low >= 0 && at + high <= end) number++;
        }
        return number;
      };
      inside += fits(across, box[0], box[2], width) * fits(rows, box[1], box[3], height);
    }
    const all = rows * across * base.length;
    return { rows, across, all, crossing: all - inside };
  }

  function write() {
    const { rows, across, all, crossing } = counts;
    const cell = model.get("cell");
    const [x, y] = center(cell, settings);
    const here = base.filter((anchor) => outside(placed(anchor, x, y))).length;
    numbers.innerHTML = `<span>feature map <b>${rows} × ${across}</b>, <b>${wholeNumber(all)}</b> anchors</span>
      <span><b>${wholeNumber(crossing)}</b> (${Math.round((100 * crossing) / all)} %) cross the border of the image</span>`;
    canvas.setReadout(`Cell in row ${cell[0]}, column ${cell[1]}: centre x = ${x}, y = ${y} px. ${here} of its ${base.length} anchors cross the border.`);
  }

  function writeTable() {
    const { sizes, ratios } = settings;
    const head = sizes.map((size) => `<th scope="col">size ${size}</th>`).join("");
    const rows = ratios.map((ratio, r) => {
      const mine = base.slice(r * sizes.length, (r + 1) * sizes.length);
      const { color, dash } = lookOf(mine[0]);
      const line = `<svg width="30" height="12" aria-hidden="true"><line x1="1" y1="6" x2="29" y2="6" stroke="${color}" stroke-width="3" stroke-dasharray="${dash}"/></svg>`;
      const cells = mine.map(({ width, height }) => `<td>${Math.round(width)} × ${Math.round(height)}</td>`).join("");
      return `<tr><th scope="row">${line} ratio ${Math.round(ratio * 100) / 100}</th>${cells}</tr>`;
    });
    const areas = sizes.map((size) => `<td>${wholeNumber(size ** 2)} px²</td>`).join("");
    table.innerHTML = `<tr><th></th>${head}</tr>${rows.join("")}<tr><th scope="row">area of each</th>${areas}</tr>`;
  }

  let counts;
  function update() {
    settings = settingsOf(model);
    base = baseAnchors(settings);
    counts = countCrossing();
    const [row, column] = model.get("cell");
    const cell = [Math.min(row, counts.rows - 1), Math.min(column, counts.across - 1)];
    if (cell[0] !== row || cell[1] !== column) tell(model, { cell });
    writeTable();
    write();
    canvas.redraw("under");
  }

  const forget = onTraits(model, ["sizes", "ratios", "stride", "offset", "inverted", "_image_size"], update);
  const forgetCell = onTraits(model, ["cell"], () => { write(); canvas.redraw(); });
  update();
  return () => { forget(); forgetCell(); forgetSettings(); canvas.destroy(); };
}

export default { render };
