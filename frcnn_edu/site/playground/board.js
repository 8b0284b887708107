/* What all pictures of the page share: the pass that they show, and the one anchor whose life is lit up in all. */

/** @typedef {import("./pass.js").Pass} Pass */
/** @typedef {{ visible: boolean, paint: () => void }} Painted */

class Board {
  /** @type {Pass | null} */
  pass = null;
  /** @type {import("./runner.js").Detector | null} */
  detector = null;
  /** @type {HTMLCanvasElement} The image, as it was given. */
  picture = document.createElement("canvas");
  /** @type {number | null} The anchor under the pointer. */
  hovered = null;
  /** @type {number | null} The anchor that a click has fixed. */
  pinned = null;
  channel = 0; // of the feature maps, which RoI pooling is shown for
  /** @type {Painted[]} */
  plates = [];
  /** @type {((pass: Pass | null) => void)[]} Called before each frame in which the pass or the anchor has changed. */
  followers = [];
  frameRequest = 0;
  /** @type {number | null} When the hand moved that this frame answers. */
  since = null;

  /** The anchor whose life is shown. */
  get focus() {
    const { pass } = this;
    if (!pass) return null;
    const anchor = this.hovered ?? this.pinned;
    return anchor !== null && anchor < pass.logits.length ? anchor : pass.leading;
  }

  /**
   * @param {Pass} pass
   * @param {import("./runner.js").Detector | null} detector  That it is of
   * @param {number} since
   */
  show(pass, detector, since) {
    this.pass = pass;
    this.detector = detector;
    this.since = since;
    this.channel = Math.min(this.channel, pass.levels[0].channels - 1);
    cancelAnimationFrame(this.frameRequest);
    this.frame(); // now, or the answer is a frame late
  }

  /** @param {number | null} anchor */
  point(anchor) {
    if (anchor === this.hovered) return;
    this.hovered = anchor;
    this.redraw();
  }

  /**
   * Keep the light on an anchor; on the one that has it, take it away.
   * @param {number | null} anchor
   */
  pin(anchor) {
    this.pinned = anchor === this.pinned ? null : anchor;
    this.redraw();
  }

  /**
   * Go to an anchor by key.
   * @param {number} anchor
   */
  walk(anchor) {
    [this.hovered, this.pinned] = [null, anchor];
    this.redraw();
  }

  /** @param {number} channel */
  choose(channel) {
    this.channel = channel;
    this.redraw();
  }

  redraw() {
    this.frameRequest ||= requestAnimationFrame(() => this.frame());
  }

  frame() {
    this.frameRequest = 0;
    for (const follow of this.followers) follow(this.pass);
    for (const plate of this.plates) if (plate.visible) plate.paint();
    if (this.since !== null) globalThis.playgroundTimings?.push(performance.now() - this.since);
    this.since = null;
  }
}

export { Board };
