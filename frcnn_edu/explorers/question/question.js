/* Question: a card that takes a guess, and later shows the answer on the same line. */

import { addButton, element } from "../js/kit/layout.js";
import { Listeners, tell } from "../js/kit/traits.js";
import { numberAt, placeOf, plain } from "./number_line.js";

/** @typedef {import("../js/kit/traits.js").Context} Context */
/** @typedef {import("../js/kit/traits.js").Model} Model */
/** @typedef {{ show: (guess: any, answer: any) => void, lock: () => void }} Field */

const PLACES = 1000;
const TRAITS = ["guess", "answer", "why", "picture", "skipped"];

let cards = 0; // radio buttons of one card share a name

/**
 * @param {Model} model
 * @param {any} value
 * @returns {string}
 */
function named(model, value) {
  const choices = model.get("choices");
  if (Object.keys(choices).length)
    return filled(model.get("words").quoted, { name: choices[value].replace(/\.$/, "") });
  return `${plain(lineOf(model), value)} ${model.get("unit")}`.trim();
}

/** @param {Model} model */
function lineOf(model) {
  return { low: model.get("low"), high: model.get("high"), step: model.get("step"), log: model.get("log") };
}

/**
 * @param {string} pattern
 * @param {Record<string, string>} values
 */
const filled = (pattern, values) => pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);

/**
 * A slider without a value until it is touched, and a place for the marks of guess and answer.
 * @param {Model} model
 * @param {HTMLElement} parent
 * @param {(value: number) => void} onChange
 * @returns {Field}
 */
function addNumberLine(model, parent, onChange) {
  const line = lineOf(model);
  const box = element("div", "question-line", parent);
  const marks = element("div", "question-marks", box);
  const input = element("input", "question-unset", box);
  const ends = element("div", "question-ends", box);
  for (const end of [line.low, line.high]) element("span", "", ends, named(model, end));
  const now = element("output", "question-now question-untouched", parent, model.get("words").untouched);
  Object.assign(input, { type: "range", min: 0, max: PLACES, step: 1, value: PLACES / 2 });
  input.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys
  input.setAttribute("aria-label", model.get("text"));
  /** @param {number} value */
  const put = (value) => {
    input.classList.remove("question-unset");
    now.classList.remove("question-untouched");
    now.textContent = named(model, value);
    input.setAttribute("aria-valuetext", now.textContent);
  };
  const onHand = () => {
    const value = numberAt(line, Number(input.value) / PLACES);
    put(value);
    onChange(value);
  };
  input.addEventListener("input", onHand);
  input.addEventListener("pointerup", () => input.classList.contains("question-unset") && onHand());
  return {
    show: (guess, answer) => {
      if (guess !== null) {
        input.value = String(PLACES * placeOf(line, guess));
        put(guess);
      }
      if (answer !== null) drawMarks(model, marks, guess, answer);
    },
    lock: () => {
      input.disabled = true;
      now.hidden = true;
      box.classList.add("question-answered");
    },
  };
}

/**
 * The guess above the line, the answer below it, and how far apart they are.
 * @param {Model} model
 * @param {HTMLElement} marks
 * @param {number | null} guess
 * @param {number} answer
 */
function drawMarks(model, marks, guess, answer) {
  const line = lineOf(model);
  const words = model.get("words");
  marks.replaceChildren();
  /**
   * @param {number} value
   * @param {string} kind
   * @param {string} text
   */
  const mark = (value, kind, text) => {
    const place = `${100 * placeOf(line, value)}%`;
    element("i", `question-${kind}`, marks).style.left = place;
    const label = element("span", `question-${kind}-label`, marks, text);
    Object.assign(label.style, { left: place, transform: `translateX(-${place})` });
  };
  if (guess !== null) {
    const places = [guess, answer].map((value) => 100 * placeOf(line, value));
    const gap = element("b", "question-gap", marks);
    Object.assign(gap.style, { left: `${Math.min(...places)}%`, right: `${100 - Math.max(...places)}%` });
    mark(guess, "guess", filled(words.you, { guess: named(model, guess) }));
  }
  mark(answer, "answer", filled(words.it_is, { answer: named(model, answer) }));
}

/**
 * @param {Model} model
 * @param {HTMLElement} parent
 * @param {(key: string) => void} onChange
 * @returns {Field}
 */
function addChoices(model, parent, onChange) {
  const group = element("div", "question-choices", parent);
  const name = `question-${++cards}`;
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-label", model.get("text"));
  /** @type {Record<string, { input: HTMLInputElement, row: HTMLElement, chosen: HTMLElement }>} */
  const rows = {};
  for (const [key, label] of Object.entries(model.get("choices"))) {
    const row = element("label", "", group);
    const input = element("input", "", row);
    element("span", "", row, String(label));
    rows[key] = { input, row, chosen: element("span", "", row, `(${model.get("words").your_choice})`) };
    Object.assign(input, { type: "radio", name });
    input.dataset.lmSuppressShortcuts = "true";
    input.addEventListener("change", () => onChange(key));
  }
  return {
    show: (guess, answer) => {
      for (const [key, { input, row, chosen }] of Object.entries(rows)) {
        input.checked = key === guess;
        row.classList.toggle("question-right", key === answer);
        chosen.hidden = answer === null || key !== guess;
      }
    },
    lock: () => {
      for (const { input } of Object.values(rows)) input.disabled = true;
    },
  };
}

/**
 * What the card says below its field.
 * @param {Model} model
 * @param {boolean} open  Whether the answer may be seen
 */
function sentence(model, open) {
  const [guess, answer, words] = [model.get("guess"), model.get("answer"), model.get("words")];
  const values = {
    guess: guess === null ? "" : named(model, guess),
    answer: answer === null ? "" : named(model, answer),
  };
  if (open) {
    const pattern = guess === null ? "unguessed" : values.guess === values.answer ? "same" : "differs";
    return `${filled(words[pattern], values)} ${model.get("why")}`.trim();
  }
  if (guess !== null) return filled(words.noted, values);
  return answer === null ? "" : words.waiting;
}

/**
 * Show a PNG, or nothing for one without bytes.
 * @param {HTMLImageElement} picture
 * @param {DataView<ArrayBuffer> | null} png
 */
function showPicture(picture, png) {
  URL.revokeObjectURL(picture.src);
  picture.hidden = !png?.byteLength;
  if (png?.byteLength) picture.src = URL.createObjectURL(new Blob([png], { type: "image/png" }));
  else picture.removeAttribute("src");
}

/** @param {Context} context */
function render({ model, el }) {
  const words = model.get("words");
  const card = element("div", "question-card", el);
  element("div", "question-kind", card, words.question);
  element("div", "question-text", card, model.get("text"));
  const choosing = Object.keys(model.get("choices")).length > 0;
  /** @type {any} */
  let draft = model.get("guess");
  /** @param {any} value */
  const onChange = (value) => {
    draft = value;
    commit.disabled = draft === model.get("guess");
  };
  const body = element("div", choosing ? "" : "question-body", card);
  const field = (choosing ? addChoices : addNumberLine)(model, body, onChange);
  const buttons = element("div", "question-buttons", card);
  const commit = addButton(buttons, choosing ? words.choose : words.guess, () => tell(model, { guess: draft }));
  const skip = addButton(buttons, words.show, () => tell(model, { skipped: true }));
  const said = element("div", "question-said", card);
  said.setAttribute("role", "status");
  const picture = element("img", "question-picture", card);
  picture.alt = model.get("text");
  commit.className = "question-commit";
  commit.disabled = true;
  const show = () => {
    const [guess, answer] = [model.get("guess"), model.get("answer")];
    const open = answer !== null && (guess !== null || model.get("skipped"));
    field.show(guess, open ? answer : null);
    if (open) field.lock();
    commit.disabled = draft === null || draft === guess;
    buttons.hidden = open;
    skip.hidden = answer === null;
    card.classList.toggle("question-open", open);
    said.textContent = sentence(model, open);
    showPicture(picture, open ? model.get("picture") : null);
  };
  show();
  const listeners = new Listeners(model);
  listeners.traits(TRAITS, show);
  return () => {
    listeners.forget();
    showPicture(picture, null);
  };
}

export default { render };
