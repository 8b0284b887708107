// A place to drop files on, and a button to choose them with. Files go to the kernel one after another in slices: one
// message may not be larger than the server allows, 10 MB by default, and photographs are.

import { element } from "../lesson_01_anchors/common.js";

const SLICE = 2 ** 20;

function render({ model, el }) {
  const area = element("div", "upload-area", el);
  const button = element("button", "upload-button", area, "Choose photographs");
  element("span", "upload-hint", area, "or drop them here: JPEG, PNG, WebP, TIFF, GIF, BMP …");
  const input = element("input", "upload-input", area);
  const said = element("div", "upload-said", area);
  button.type = "button";
  button.dataset.lmSuppressShortcuts = "true"; // or Enter edits the cell
  Object.assign(input, { type: "file", multiple: true, hidden: true, accept: "image/*,.heic,.tif,.tiff" });
  said.setAttribute("role", "status");

  const showState = () => { said.textContent = model.get("state"); };

  async function send(files) {
    let number = 0;
    for (const file of files) {
      number += 1;
      const about = { id: `${Date.now()} ${Math.random()}`, name: file.name, size: file.size, number, count: files.length };
      const wanted = file.size <= model.get("most_bytes") ? file.size : 0; // a larger one is refused unread
      try {
        for (let start = 0; start === 0 || start < wanted; start += SLICE) {
          const slice = await file.slice(start, Math.min(start + SLICE, wanted)).arrayBuffer();
          model.send({ ...about, start }, undefined, [slice]);
        }
      } catch { // a folder, or a file that has gone since it was chosen
        model.send({ ...about, unreadable: true });
      }
    }
  }

  function takesFiles(event) {
    event.preventDefault(); // or the browser leaves the page for the picture
    event.stopPropagation();
    area.classList.toggle("upload-over", event.type === "dragenter" || event.type === "dragover");
  }

  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) area.addEventListener(type, takesFiles);
  area.addEventListener("drop", ({ dataTransfer }) => {
    if (dataTransfer.files.length) send([...dataTransfer.files]);
    else said.textContent = "That was no file: save the picture on this computer first, then drop it.";
  });
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    send([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  model.on("change:state", showState);
  showState();
  return () => model.off("change:state", showState);
}

export default { render };
