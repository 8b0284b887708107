/* The model that a box canvas talks to, where no kernel holds it: values that differ raise events at once. */

/** @typedef {import("../../explorers/js/kit/traits.js").Handler} Handler */

class LocalModel {
  /** @type {Map<string, Set<Handler>>} */
  handlers = new Map();

  /** @param {Record<string, any>} state */
  constructor(state) {
    this.state = state;
  }

  /** @param {string} trait */
  get(trait) {
    return this.state[trait] ?? null;
  }

  /**
   * @param {string} trait
   * @param {any} value
   */
  set(trait, value) {
    if (Object.is(this.state[trait], value)) return;
    this.state[trait] = value;
    for (const handler of [...(this.handlers.get(`change:${trait}`) ?? [])]) handler();
  }

  /**
   * @param {string} event
   * @param {Handler} handler
   */
  on(event, handler) {
    const known = this.handlers.get(event) ?? new Set();
    this.handlers.set(event, known.add(handler));
  }

  /**
   * @param {string} event
   * @param {Handler} handler
   */
  off(event, handler) {
    this.handlers.get(event)?.delete(handler);
  }

  save_changes() {}

  send() {}
}

/** What a box canvas reads, without a picture and without boxes. */
const BLANK = {
  captions: [],
  filters: [],
  min_score: null,
  min_size: 0,
  hidden_states: [],
  overlay_extent: [],
  _overlay_size: [0, 0],
  texts: [],
  margin: 0,
  show_captions: false,
  stay_inside: false,
  _edit: {},
};

export { BLANK, LocalModel };
