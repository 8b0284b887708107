/* What AnchorLife says: a sentence for each step, and a few words for its card. */

import { boxAt } from "../js/detector/boxes.js";
import { iouText, sides, signed } from "../js/kit/words.js";

const ENDS = {
  negative: "Its story ends at its label: a negative anchor has to answer one thing only, “no object here”.",
  ignored: "Its story ends at its label: an ignored anchor has no part in training.",
};
const POOLED = "7 × 7";

class Words {
  /** @param {import("./anchor_life.js").AnchorLife} life */
  constructor(life) {
    this.life = life;
  }

  /** The object that the anchor overlaps most. */
  object() {
    const { life } = this;
    return life.get("gt_names")[life.matched[life.anchor]] ?? "object";
  }

  label() {
    const { life } = this;
    const overlap = life.overlaps[life.anchor];
    const best = overlap > 0 ? `${iouText(overlap)} with the ${this.object()}` : "touches no object";
    return `${best}: ${life.stateOf(life.anchor)}`;
  }

  cards() {
    const { life } = this;
    const { anchor, anchors, deltas, perPlace, positive, rows, columns } = life;
    const [row, column] = life.cellOf(life.placeOf(anchor));
    const [dx, dy, dw, dh] = boxAt(deltas, anchor).map((delta) => signed(delta));
    const answer = life.stateOf(anchor) === "negative" ? "background" : "none";
    return [
      `row ${row}, column ${column}\nof ${rows} × ${columns}`,
      `${(anchor % perPlace) + 1} of ${perPlace} on it\n${sides(boxAt(anchors, anchor))}`,
      this.label().replace(": ", "\n"),
      ...(positive ? [`dx ${dx}  dy ${dy}\ndw ${dw}  dh ${dh}`, "", this.object()] : ["none", "none", answer]),
    ];
  }

  sentence() {
    const { life } = this;
    if (life.pointed !== null) return this.place(life.pointed);
    if (life.get("step") > life.step) return life.stateOf(life.anchor) === "negative" ? ENDS.negative : ENDS.ignored;
    return this.steps()[life.step - 1];
  }

  /** @param {number} place */
  place(place) {
    const { life } = this;
    const [row, column] = life.cellOf(place);
    const good = life.anchorsAt(place).filter((one) => life.stateOf(one) === "positive").length;
    const best = life.overlaps[life.bestAt(place)].toFixed(2);
    return (
      `Row ${row}, column ${column}: ${good} of its ${life.perPlace} anchors positive, best IoU ${best}. ` +
      "Click, or press Enter, to follow the best."
    );
  }

  steps() {
    const { life } = this;
    const { anchor, box, perPlace, rows, columns, stride } = life;
    const [row, column] = life.cellOf(life.placeOf(anchor));
    const object = this.object();
    const byRule = life.positive && life.overlaps[anchor] < life.get("high_threshold");
    return [
      `The feature map has a place every ${stride} px, ${rows} rows of ${columns}. This anchor stands on row ${row}, column ${column}.`,
      `${perPlace} anchors stand on every place. This one is ${sides(boxAt(life.anchors, anchor))}.`,
      `How much does it overlap an object? ${this.label()}${byRule ? `, for no anchor overlaps the ${object} better` : ""}.`,
      `Four numbers pull it onto the ${object}: shifts in its own widths and heights, logs of how much to stretch. Now: ${sides(box)}.`,
      `Whatever its size, ${sides(box)}, the region is cut into ${POOLED} bins of whole cells; each keeps its largest value.`,
      `From those ${POOLED} numbers of every channel the second stage must answer “${object}”.`,
    ];
  }
}

export { Words };
