/* Traits: what Python and the browser share. Arrays arrive as bytes; a change is sent as soon as the hand makes it. */

/** @typedef {(...given: any[]) => void} Handler */

/**
 * The model that anywidget hands to `render`.
 * @typedef {object} Model
 * @property {(trait: string) => any} get
 * @property {(trait: string, value: any) => void} set
 * @property {() => void} save_changes
 * @property {(event: string, handler: Handler) => void} on
 * @property {(event: string, handler: Handler) => void} off
 * @property {(content: any, callbacks?: any, buffers?: ArrayBuffer[]) => void} send
 */

/** @typedef {{ model: Model, el: HTMLElement }} Context */

/**
 * A copy of an array trait's numbers.
 * @template T
 * @param {Model} model
 * @param {string} trait
 * @param {new (buffer: ArrayBuffer) => T} Kind
 * @returns {T}
 */
function numbers(model, trait, Kind) {
  /** @type {DataView<ArrayBuffer> | null} */
  const view = model.get(trait);
  return new Kind(view ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : new ArrayBuffer(0));
}

/**
 * A copy of an array trait's float32 numbers.
 * @param {Model} model
 * @param {string} trait
 */
function floats(model, trait) {
  return numbers(model, trait, Float32Array);
}

/**
 * Set traits and send them at once: a value kept back would be undone by the kernel's echo of the one before. Listeners
 * in the browser hear before this returns. ipywidgets has one message under way at a time, and sends only the latest
 * value once the kernel is free again.
 * @param {Model} model
 * @param {Record<string, any>} values
 */
function tell(model, values) {
  for (const [trait, value] of Object.entries(values)) model.set(trait, value);
  model.save_changes();
}

/** Listeners that are taken away together. */
class Listeners {
  /** @type {(() => void)[]} */
  undo = [];

  /** @param {Model} model */
  constructor(model) {
    this.model = model;
  }

  /**
   * Call `act` when one of the traits changes, by hand or from Python.
   * @param {string[]} traits
   * @param {Handler} act
   */
  traits(traits, act) {
    for (const trait of traits) {
      this.model.on(`change:${trait}`, act);
      this.undo.push(() => this.model.off(`change:${trait}`, act));
    }
  }

  /**
   * @param {EventTarget} target
   * @param {string} event
   * @param {(event: any) => void} handler
   * @param {AddEventListenerOptions} [options]
   */
  on(target, event, handler, options) {
    target.addEventListener(event, handler, options);
    this.undo.push(() => target.removeEventListener(event, handler, options));
  }

  forget() {
    for (const step of this.undo.splice(0)) step();
  }
}

export { floats, Listeners, numbers, tell };
