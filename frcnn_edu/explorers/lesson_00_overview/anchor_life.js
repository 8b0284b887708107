/* AnchorLife: one anchor's life, in six steps. What the Python beside it sends is only shown here, except for the move
   and the pooling, which follow the hand. */

import { cellCenter } from "../js/detector/anchors.js";
import { boxAt, decodeBox } from "../js/detector/boxes.js";
import { valuesAt, wholeCells, winners } from "../js/detector/roi_pool.js";
import { Explorer, explorer } from "../js/explorer.js";
import { clipToImage, drawBins, drawDots, drawLinks, drawMap, drawTag, strokeCased } from "../js/kit/paint.js";
import { ramp, STATES } from "../js/kit/palette.js";
import { numbers } from "../js/kit/traits.js";
import { StepCards } from "./step_cards.js";
import { Words } from "./words.js";

/** @typedef {import("../js/explorer.js").Context} Context */
/** @typedef {import("../js/explorer.js").View} View */
/** @typedef {CanvasRenderingContext2D} Pen */

const POOLED = 7;
const MOVES_FROM = 4; // the first step that only positive anchors reach
/** @type {Record<number, string>} */
const LABELS = { 1: "positive", 0: "negative", [-1]: "ignored" };
const MOVE_TIME = 900; // ms
const KEY = ["anchor", "positive", "ignored", "negative", "ground truth", "detection"];

class AnchorLife extends Explorer {
  /** @type {number | null} The place under the pointer. */
  pointed = null;
  playing = 0; // the next frame of the move that plays

  /** @param {Context} context */
  constructor(context) {
    super(context, { pointerStep: context.model.get("stride") });
    const { model } = this;
    const [rows, columns] = this.get("map_size");
    this.rows = /** @type {number} */ (rows);
    this.columns = /** @type {number} */ (columns);
    this.stride = /** @type {number} */ (this.get("stride"));
    this.anchors = this.floats("anchors");
    this.deltas = this.floats("deltas");
    this.labels = numbers(model, "labels", Int8Array);
    this.overlaps = this.floats("overlaps");
    this.matched = numbers(model, "matched", Int32Array);
    this.truths = this.floats("gt_boxes");
    this.map = this.floats("feature_map");
    this.limits = [Math.min(...this.map), Math.max(...this.map)];
    this.perPlace = this.labels.length / (this.rows * this.columns);
    this.words = new Words(this);
    this.figures.remove();
    this.side.remove(); // the picture has the whole width, what steers it stands below
    this.addKey(
      KEY.map((state) => [STATES[state], STATES[state].label ?? state]),
      this.canvas.controls,
    );
    this.progress = this.addControls();
    this.cards = new StepCards(this.canvas.controls, POOLED, (step) => this.goTo(step));
    this.on(["anchor", "step", "progress"], () => this.update());
    this.update();
  }

  addControls() {
    const which = {
      traits: ["anchor"],
      read: () => (this.anchor % this.perPlace) + 1,
      write: (/** @type {number} */ k) => this.follow(this.placeOf(this.anchor) * this.perPlace + k - 1),
    };
    this.canvas.addSlider({ label: `Which of the ${this.perPlace}`, min: 1, max: this.perPlace, binding: which });
    return this.canvas.addSlider({
      label: "How far it has moved",
      step: 0.01,
      trait: "progress",
      format: (at) => `${Math.round(100 * at)} %`,
      onInput: () => {
        cancelAnimationFrame(this.playing);
        if (this.get("step") < MOVES_FROM) this.tell({ step: MOVES_FROM });
      },
    });
  }

  // ------------------------------------------------------------------------------------------- what it is about

  /** @type {number} */
  get anchor() {
    return this.get("anchor");
  }

  get positive() {
    return this.labels[this.anchor] === 1;
  }

  /** The step that is shown: one that is not positive ends at its label. */
  get step() {
    return this.positive ? this.get("step") : Math.min(this.get("step"), MOVES_FROM - 1);
  }

  /** The anchor on its way. */
  get box() {
    const anchor = boxAt(this.anchors, this.anchor);
    if (!this.positive) return anchor;
    return decodeBox(
      boxAt(this.deltas, this.anchor).map((delta) => this.get("progress") * delta),
      anchor,
    );
  }

  get truth() {
    return boxAt(this.truths, this.matched[this.anchor]);
  }

  /** @param {number} anchor */
  stateOf(anchor) {
    return LABELS[this.labels[anchor]];
  }

  /** @param {number} anchor */
  placeOf(anchor) {
    return Math.floor(anchor / this.perPlace);
  }

  /**
   * Row and column of a place.
   * @param {number} place
   */
  cellOf(place) {
    return [Math.floor(place / this.columns), place % this.columns];
  }

  /** @param {number} place */
  anchorsAt(place) {
    return Array.from({ length: this.perPlace }, (_, k) => place * this.perPlace + k);
  }

  /** @param {number} place */
  bestAt(place) {
    return this.anchorsAt(place).reduce((best, one) => (this.overlaps[one] > this.overlaps[best] ? one : best));
  }

  /** @param {number} value */
  share(value) {
    const [least, most] = this.limits;
    return most > least ? (value - least) / (most - least) : 0;
  }

  pooled() {
    const [x1, y1, x2, y2] = this.box;
    const { stride } = this;
    const across = wholeCells(x1, x2, { stride, cells: this.columns, bins: POOLED });
    const down = wholeCells(y1, y2, { stride, cells: this.rows, bins: POOLED });
    return valuesAt(this.map, winners({ map: this.map, start: 0, columns: this.columns }, down, across));
  }

  // ------------------------------------------------------------------------------------------- hand

  /** @param {number} anchor */
  follow(anchor) {
    this.tell({ anchor });
    this.canvas.announce(`Anchor ${anchor}: ${this.words.label()}`);
  }

  /**
   * In the fourth step the anchor moves; later ones show where it has come to.
   * @param {number} step
   */
  goTo(step) {
    this.tell({ step });
    if (step < MOVES_FROM || !this.positive || this.get("progress") > 0) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (step > MOVES_FROM || still) this.tell({ progress: 1 });
    else this.play(performance.now());
  }

  /** @param {number} started */
  play(started) {
    cancelAnimationFrame(this.playing);
    this.playing = requestAnimationFrame((now) => {
      const at = Math.min(Math.max((now - started) / MOVE_TIME, 0), 1);
      this.model.set("progress", at);
      if (at === 1) this.model.save_changes();
      else if (this.get("step") === MOVES_FROM) this.play(started);
    });
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  placeAt(x, y) {
    /** @type {(value: number, count: number) => number} */
    const nearest = (value, count) => {
      return Math.min(Math.max(Math.round(value / this.stride - this.get("offset")), 0), count - 1);
    };
    return nearest(y, this.rows) * this.columns + nearest(x, this.columns);
  }

  /** @type {Explorer["onPointer"]} */
  onPointer(x, y) {
    this.pointed = this.placeAt(x, y);
    this.write();
  }

  onLeave() {
    this.pointed = null;
    this.write();
  }

  /** @type {Explorer["onClick"]} */
  onClick(x, y) {
    this.follow(this.bestAt(this.placeAt(x, y)));
  }

  // ------------------------------------------------------------------------------------------- picture

  /** @param {number} place */
  centerOf(place) {
    return cellCenter(this.cellOf(place), { stride: this.stride, offset: this.get("offset") });
  }

  /** @type {Explorer["drawUnder"]} */
  drawUnder(context, view) {
    if (this.step === 5) {
      clipToImage(context, view);
      context.globalAlpha = 0.7;
      drawMap(context, this.map, { columns: this.columns, stride: this.stride, share: (value) => this.share(value) });
      return;
    }
    const places = Array.from({ length: this.rows * this.columns }, (_, place) => this.centerOf(place));
    drawDots(context, view, places, 1.3);
  }

  /**
   * @param {Pen} context
   * @param {View} view
   * @param {number} place
   */
  ring(context, view, place) {
    const [x, y] = this.centerOf(place);
    context.beginPath();
    context.arc(x, y, 6 * view.px, 0, 2 * Math.PI);
    strokeCased(context, view, 2);
  }

  /** @type {Explorer["drawOver"]} */
  drawOver(context, view) {
    const { step, pointed } = this;
    const place = this.placeOf(this.anchor);
    if (step >= 3 && step < 6 && this.overlaps[this.anchor] > 0) {
      view.strokeBox(context, this.truth, "ground truth");
      drawTag(context, view, this.truth[0], this.truth[1] - 18 * view.px, `${this.words.object()}, drawn by hand`);
    }
    this.drawStep(context, view, boxAt(this.anchors, this.anchor));
    if (step <= 4) this.ring(context, view, place);
    if (pointed === null || pointed === place) return;
    for (const one of this.anchorsAt(pointed)) view.strokeBox(context, boxAt(this.anchors, one), this.stateOf(one));
    this.ring(context, view, pointed);
  }

  /**
   * @param {Pen} context
   * @param {View} view
   * @param {number[]} anchor
   */
  drawStep(context, view, anchor) {
    const { box, step } = this;
    if (step === 2) {
      for (const one of this.anchorsAt(this.placeOf(this.anchor)))
        view.strokeBox(context, boxAt(this.anchors, one), "anchor");
      view.strokeBox(context, anchor, "anchor", { wider: 3 });
    } else if (step === 3) view.strokeBox(context, anchor, this.stateOf(this.anchor), { fill: 0.15 });
    else if (step === 4) {
      const [[ax1, ay1, ax2, ay2], [x1, y1, x2, y2]] = [anchor, this.truth];
      const corners = [
        [
          [ax1, ay1],
          [x1, y1],
        ],
        [
          [ax2, ay1],
          [x2, y1],
        ],
        [
          [ax2, ay2],
          [x2, y2],
        ],
        [
          [ax1, ay2],
          [x1, y2],
        ],
      ];
      drawLinks(context, view, corners);
      view.strokeBox(context, anchor, "anchor");
      view.strokeBox(context, box, "positive", { fill: 0.15 });
    } else if (step === 5) {
      drawBins(context, view, box, POOLED);
      view.strokeBox(context, box, "positive");
    } else if (step === 6) {
      view.strokeBox(context, box, "detection");
      drawTag(context, view, box[0], box[1] - 18 * view.px, this.words.object());
    }
  }

  // ------------------------------------------------------------------------------------------- words

  write() {
    this.canvas.setReadout(this.words.sentence());
    this.cards.write(this.words.cards(), this.get("step"), this.positive ? 6 : MOVES_FROM - 1);
    this.canvas.redraw();
  }

  update() {
    this.progress.input.disabled = !this.positive;
    this.cards.show(this.positive ? this.pooled() : null, (value) => ramp(this.share(value)));
    this.write();
    this.canvas.redraw("under");
  }

  destroy() {
    cancelAnimationFrame(this.playing);
    super.destroy();
  }
}

export { AnchorLife };
export default explorer(AnchorLife);
