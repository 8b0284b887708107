/* FileDrop: a place to drop files on, and a button to choose them with. Files go to the kernel one after another in
   slices: one message may not be larger than the server allows, 10 MB by default, and photographs are. */

import { addButton, element } from "../js/kit/layout.js";
import { Listeners } from "../js/kit/traits.js";

/** @typedef {import("../js/kit/traits.js").Model} Model */

const SLICE = 2 ** 20;
const NO_FILE = "That was no file: save the picture on this computer first, then drop it.";

let sent = 0; // files so far; with the time, an id for each

/**
 * @param {Model} model
 * @param {File[]} files
 */
async function send(model, files) {
  for (const [index, file] of files.entries()) {
    const id = `${Date.now()} ${++sent}`;
    const about = { id, name: file.name, size: file.size, number: index + 1, count: files.length };
    const wanted = file.size <= model.get("most_bytes") ? file.size : 0; // a larger one is refused unread
    try {
      for (let start = 0; start === 0 || start < wanted; start += SLICE) {
        const slice = await file.slice(start, Math.min(start + SLICE, wanted)).arrayBuffer();
        model.send({ ...about, start }, undefined, [slice]);
      }
    } catch {
      model.send({ ...about, unreadable: true }); // a folder, or a file that has gone since it was chosen
    }
  }
}

/**
 * @param {Model} model
 * @param {HTMLElement} el
 */
function addInput(model, el) {
  const input = element("input", "upload-input", el);
  Object.assign(input, { type: "file", multiple: true, hidden: true, accept: "image/*,.heic,.tif,.tiff" });
  input.addEventListener("change", () => {
    send(model, [...(input.files ?? [])]);
    input.value = ""; // so that the same file can be chosen again
  });
  return input;
}

/** @param {import("../js/kit/traits.js").Context} context */
function render({ model, el }) {
  const area = element("div", "upload-area", el);
  const button = addButton(area, "Choose photographs", () => input.click());
  button.className = "upload-button";
  element("span", "upload-hint", area, "or drop them here: JPEG, PNG, WebP, TIFF, GIF, BMP …");
  const input = addInput(model, area);
  const said = element("div", "upload-said", area, model.get("state"));
  said.setAttribute("role", "status");
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    area.addEventListener(type, (event) => {
      event.preventDefault(); // or the browser leaves the page for the picture
      event.stopPropagation();
      area.classList.toggle("upload-over", type === "dragenter" || type === "dragover");
    });
  }
  area.addEventListener("drop", ({ dataTransfer }) => {
    if (dataTransfer?.files.length) send(model, [...dataTransfer.files]);
    else said.textContent = NO_FILE;
  });
  const listeners = new Listeners(model);
  listeners.traits(["state"], () => {
    said.textContent = model.get("state");
  });
  return () => listeners.forget();
}

export default { render };
