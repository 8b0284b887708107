/* Sliders, checkboxes and lists of choices, each tied both ways to a trait or to whatever `binding` reaches.

   One movement of the hand writes the value once; the control is then set by the change that it caused. */

import { element } from "./layout.js";
import { tell } from "./traits.js";

/**
 * How a control reaches its value: `traits` are those that change it.
 * @template T
 * @typedef {{ traits: string[], read: () => T, write: (value: T) => void }} Binding
 */

/**
 * @typedef {object} SliderOptions
 * @property {string} label
 * @property {HTMLElement} [parent]
 * @property {number} [min]
 * @property {number} [max]
 * @property {number} [step]
 * @property {number[]} [stops]  The values that the slider can take, in place of min, max and step
 * @property {number} [value]  Where it starts, if it is tied to nothing
 * @property {(value: number) => string} [format]
 * @property {(value: number) => void} [onInput]
 * @property {string} [trait]
 * @property {Binding<number>} [binding]
 */

/** @typedef {{ input: HTMLInputElement, set: (value: number | null) => void, span: (min: number, max: number, step: number) => void }} Slider */

class Controls {
  /**
   * @param {import("./traits.js").Model} model
   * @param {import("./traits.js").Listeners} listeners
   * @param {HTMLElement} parent  Where controls go that name no other place
   * @param {(handler: (event: Event) => void) => (event: Event) => void} [timed]  Measures a handler
   */
  constructor(model, listeners, parent, timed = (handler) => handler) {
    this.model = model;
    this.listeners = listeners;
    this.parent = parent;
    this.timed = timed;
  }

  /**
   * @param {SliderOptions} options
   * @returns {Slider}
   */
  addSlider({
    label,
    parent = this.parent,
    min = 0,
    max = 1,
    step = 1,
    stops,
    value,
    format = String,
    onInput,
    trait,
    binding,
  }) {
    const box = element("label", "", parent, label);
    const input = element("input", "", box);
    const output = element("output", "", box);
    const bound = binding ?? this.bindTrait(trait);
    /** @type {number | null | undefined} */
    let now = bound ? bound.read() : value;
    const sets = { count: 0 };
    /** @param {number | null | undefined} wanted */
    const set = (wanted) => {
      sets.count++;
      now = wanted;
      input.value = String(stops && wanted ? nearest(stops, wanted) : (wanted ?? input.min));
      output.textContent = format(stops ? Number(wanted) : binding ? Number(wanted) : Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    /** @type {Slider["span"]} */
    const span = (from, to, by) => {
      Object.assign(input, { min: from, max: to, step: by });
      set(now);
    };
    input.type = "range";
    if (stops) span(0, stops.length - 1, 1);
    else span(min, max, step);
    this.bind(input, bound, () => (stops ? stops[Number(input.value)] : Number(input.value)), set, sets, onInput);
    return { input, set, span };
  }

  /** @param {{ label: string, parent?: HTMLElement, value?: boolean, onInput?: (on: boolean) => void, trait?: string }} options */
  addCheckbox({ label, parent = this.parent, value = false, onInput, trait }) {
    const box = element("label", "", parent);
    const input = element("input", "", box);
    box.append(label);
    input.type = "checkbox";
    const bound = this.bindTrait(trait);
    const sets = { count: 0 };
    /** @param {boolean} on */
    const set = (on) => {
      sets.count++;
      input.checked = on;
    };
    set(bound ? bound.read() : value);
    this.bind(input, bound, () => input.checked, set, sets, onInput);
    return { input, set };
  }

  /**
   * A list of choices; `names` says what each value is called.
   * @param {{ label: string, parent?: HTMLElement, names: Record<string, string>, trait: string }} options
   */
  addChooser({ label, parent = this.parent, names, trait }) {
    const select = element("select", "", element("label", "", parent, label));
    for (const [value, name] of Object.entries(names)) element("option", "", select, name).value = value;
    /** @param {string} value */
    const set = (value) => {
      sets.count++;
      select.value = value;
    };
    const sets = { count: 0 };
    set(this.model.get(trait));
    this.bind(select, this.bindTrait(trait), () => select.value, set, sets);
    return { input: select, set };
  }

  /**
   * @param {string} [trait]
   * @returns {Binding<any> | undefined}
   */
  bindTrait(trait) {
    if (!trait) return undefined;
    return {
      traits: [trait],
      read: () => this.model.get(trait),
      write: (value) => tell(this.model, { [trait]: value }),
    };
  }

  /**
   * @param {HTMLInputElement | HTMLSelectElement} input
   * @param {Binding<any> | undefined} bound
   * @param {() => any} read
   * @param {(value: any) => void} set
   * @param {{ count: number }} sets  How often `set` has been called
   * @param {(value: any) => void} [onInput]
   */
  bind(input, bound, read, set, sets, onInput) {
    input.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys
    if (bound) {
      this.listeners.traits(bound.traits, () => {
        if (input.isConnected) set(bound.read());
      });
    }
    const onHand = this.timed(() => {
      const [before, value] = [sets.count, read()];
      if (bound) bound.write(value);
      else onInput?.(value);
      if (sets.count === before) set(bound ? bound.read() : value); // nothing has changed, so nothing has set it
      if (bound) onInput?.(value);
    });
    input.addEventListener("input", onHand);
  }
}

/**
 * The index of the stop that is nearest to a value, by their ratio.
 * @param {number[]} stops
 * @param {number} value
 */
function nearest(stops, value) {
  /** @param {number} stop */
  const distance = (stop) => Math.abs(Math.log(stop / value));
  return stops.reduce((best, stop, i) => (distance(stop) < distance(stops[best]) ? i : best), 0);
}

export { Controls, nearest };
