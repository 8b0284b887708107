/* LiveDetector: shapes to draw, drag and delete, and what the detector makes of them. Python paints the scene and asks
   the detector. Each message holds the whole scene. ipywidgets has one message under way at a time, and then sends the
   newest: a slow kernel answers less often, but never late. */

import { boxAt } from "../js/detector/boxes.js";
import { Explorer, explorer } from "../js/explorer.js";
import { addButton, element, lineSample } from "../js/kit/layout.js";
import { clipToImage, drawMap, drawTag } from "../js/kit/paint.js";
import { sides, wholeNumber } from "../js/kit/words.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {import("../js/detector/boxes.js").Box} Box */
/** @typedef {{ is: string, found: number | null, iou: number, right: boolean }} Verdict */

/**
 * The trait of that name in Python.
 * @typedef {object} Answer
 * @property {number | null} number
 * @property {Box[]} detections
 * @property {string[]} captions
 * @property {Box[]} proposals
 * @property {number[][]} objectness
 * @property {number} stride
 * @property {Verdict[]} verdicts
 */

const STAGES = { detections: "detections", proposals: "the 20 best proposals", objectness: "objectness" };
const KINDS = { disc: "disc", ring: "ring", rectangle: "square or bar", triangle: "triangle", cross: "cross" };
/** @type {Record<string, string>} */
const LOOK_OF = { detections: "detection", proposals: "proposal" };
const HELP =
  "Drag over an empty place to draw a shape. Drag a shape to move it, a corner to resize it. Delete removes the one selected.";
const NEW_SIDE = 60; // image pixels, of a shape that a button adds
const SMALLEST = 6; // what is drawn smaller was a click
const MIN_SIDE = 1;
const ALPHA = 0.55;
const TAG = 18; // CSS pixels, the height of a caption

class LiveDetector extends Explorer {
  /** @type {string[]} */
  kinds = [];
  /** @type {number[]} */
  paints = [];
  number = 0; // of the scene that was sent last
  /** @type {Map<number, number>} When the hand made which scene. */
  made = new Map();
  /** @type {{ since: number, picture: ImageBitmap | null } | null} An answer whose picture is still to be drawn over this one. */
  due = null;
  waited = 0; // ms from hand to picture
  /** @type {number | null} The shape that is being drawn. */
  drawn = null;

  /** @param {Context} context */
  constructor(context) {
    super(context, { ownBoxes: true });
    const stages = this.addRow();
    this.canvas.addChooser({ label: "Show ", names: STAGES, trait: "stage", parent: stages });
    this.sample = element("span", "", stages);
    this.canvas.addChooser({ label: "Draw a ", names: KINDS, trait: "kind", parent: this.addRow() });
    const buttons = this.addRow();
    addButton(buttons, "Add one", () => this.addInTheMiddle());
    addButton(buttons, "Delete", () => this.onDelete());
    addButton(buttons, "Clear", () => this.put([], [], []));
    addButton(buttons, "Other background", () => this.tell({ background: this.get("background") + 1 }));
    element("p", "", this.side, HELP);
    this.on(["answer"], () => this.takeAnswer());
    this.on(["_scene"], () => this.get("_scene").number !== this.number && this.read()); // another view's hand
    this.on(["stage"], () => this.update());
  }

  /** @returns {Answer} */
  get answer() {
    return this.get("answer");
  }

  get boxes() {
    return this.kinds.map((_, i) => boxAt(this.canvas.boxes, i));
  }

  // ------------------------------------------------------------------------------------------- the scene

  /** Take the scene as Python, or another view, has it. */
  read() {
    const { boxes, number = 0, ...scene } = this.get("_scene");
    this.kinds = scene.kinds ?? this.get("kinds");
    this.paints = scene.paints ?? this.get("paints");
    this.number = number;
    if (boxes) this.lay(boxes);
    this.update();
  }

  /** @param {Box[]} boxes */
  lay(boxes) {
    this.canvas.setBoxes(
      boxes.flatMap((box) => [...box]),
      { editable: boxes.map(() => 1), captions: this.kinds },
    );
  }

  /**
   * Another scene, of which Python hears.
   * @param {Box[]} boxes
   * @param {string[]} kinds
   * @param {number[]} paints
   */
  put(boxes, kinds, paints) {
    Object.assign(this, { kinds, paints });
    this.lay(boxes);
    this.tellScene();
  }

  tellScene() {
    const { boxes, kinds, paints } = this;
    this.number = (this.get("_scene").number ?? 0) + 1;
    this.made.set(this.number, performance.now());
    this.tell({ _scene: { number: this.number, boxes, kinds, paints } });
    this.write();
  }

  /**
   * @param {Box} box
   * @returns {number} Its index
   */
  add(box) {
    const { boxes, kinds, paints } = this;
    this.put([...boxes, box], [...kinds, this.get("kind")], [...paints, Math.max(-1, ...paints) + 1]);
    return kinds.length;
  }

  addInTheMiddle() {
    const { width, height } = this.size;
    const [x, y] = [(width - NEW_SIDE) / 2, (height - NEW_SIDE) / 2];
    const index = this.add([x, y, x + NEW_SIDE, y + NEW_SIDE]);
    this.canvas.stage.focus();
    this.canvas.select(index);
  }

  /** @param {number} index */
  remove(index) {
    /** @param {unknown} _ @param {number} i */
    const others = (_, i) => i !== index;
    this.canvas.select(null);
    this.put(this.boxes.filter(others), this.kinds.filter(others), this.paints.filter(others));
  }

  // ------------------------------------------------------------------------------------------- the hand

  /** @type {Explorer["onBoxesChanged"]} */
  onBoxesChanged(boxes, { index, final }) {
    if (index === null) return this.read();
    const [x1, y1, x2, y2] = boxAt(boxes, index);
    const wasDrawn = this.drawn === index;
    if (final) this.drawn = null;
    if (final && wasDrawn && Math.min(x2 - x1, y2 - y1) < SMALLEST) this.remove(index);
    else this.tellScene();
  }

  /** @type {Explorer["onDraw"]} */
  onDraw([x, y]) {
    const { width, height } = this.size;
    const left = Math.min(Math.max(x, 0), width - MIN_SIDE);
    const top = Math.min(Math.max(y, 0), height - MIN_SIDE);
    this.drawn = this.add([left, top, left + MIN_SIDE, top + MIN_SIDE]);
    return this.drawn;
  }

  onDelete() {
    const { selected } = this.canvas;
    if (selected === null) return false;
    this.remove(selected);
    this.canvas.announce("deleted");
    return true;
  }

  onHover() {
    this.write();
  }

  onSelect() {
    this.write();
  }

  // ------------------------------------------------------------------------------------------- the answer

  takeAnswer() {
    const { number } = this.answer;
    const since = number === null ? undefined : this.made.get(number);
    if (since !== undefined) this.due = { since, picture: this.canvas.layers.bitmap };
    for (const old of this.made.keys()) if (number === null || old <= number) this.made.delete(old);
    this.update();
  }

  update() {
    const look = this.canvas.view.look(LOOK_OF[this.get("stage")]);
    this.sample.replaceChildren(...(look ? [lineSample(look)] : []));
    this.write();
    this.canvas.redraw("under");
  }

  write() {
    const { verdicts } = this.answer;
    const right = verdicts.filter((verdict) => verdict.right).length;
    const waited = this.waited ? [`*${wholeNumber(this.waited)} ms* from hand to picture`] : [];
    this.show(`*${right}* of ${verdicts.length} shapes named correctly`, ...waited);
    const { hovered, selected } = this.canvas;
    this.canvas.setReadout(this.sentence(hovered ?? selected));
  }

  /**
   * What became of a shape.
   * @param {number | null} index
   */
  sentence(index) {
    const verdict = index === null ? undefined : this.answer.verdicts[index];
    if (index === null || !verdict) return "";
    const { is, found, iou, right } = verdict;
    const shape = `${is}, ${sides(boxAt(this.canvas.boxes, index))}`;
    if (found === null) return `${shape}: not found. No detection of score 0.5 or more overlaps it by half.`;
    return `${shape}: ${right ? "found as" : "taken for"} ${this.answer.captions[found]}, IoU ${iou.toFixed(2)}`;
  }

  // ------------------------------------------------------------------------------------------- the picture

  /** @type {Explorer["drawUnder"]} */
  drawUnder(context, view) {
    if (this.due && this.due.picture !== this.canvas.layers.bitmap) {
      this.waited = performance.now() - this.due.since;
      this.due = null;
      globalThis.boxCanvasTimings?.push({ kind: "answer", ms: this.waited });
      this.write();
    }
    if (this.get("stage") !== "objectness") return;
    const { objectness, stride } = this.answer;
    clipToImage(context, view);
    context.globalAlpha = ALPHA; // a cell is drawn round the point where its anchors stand
    const how = {
      columns: objectness[0].length,
      stride,
      start: -stride / 2,
      share: (/** @type {number} */ one) => one,
    };
    drawMap(context, objectness.flat(), how);
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    const { detections, captions, proposals } = this.answer;
    const stage = this.get("stage");
    if (stage === "proposals") for (const box of proposals) view.strokeBox(context, box, LOOK_OF.proposals);
    if (stage !== "detections") return;
    for (const box of detections) view.strokeBox(context, box, LOOK_OF.detections);
    detections.forEach(([x, y], i) => {
      drawTag(context, view, x, y - TAG * view.px, captions[i]);
    });
  }
}

export default explorer(LiveDetector);
