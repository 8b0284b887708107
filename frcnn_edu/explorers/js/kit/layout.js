/* Elements of an explorer's page: picture left, panel right, figures, tables. */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {string} [className]
 * @param {HTMLElement | null} [parent]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
function element(name, className = "", parent = null, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  parent?.append(made);
  return made;
}

/**
 * Two columns, which become two rows on a narrow page: one for the canvas, one for what steers it.
 * @param {HTMLElement} el
 */
function columns(el) {
  el.classList.add("explorer");
  const both = element("div", "explorer-columns", el);
  return [element("div", "explorer-picture", both), element("div", "box-canvas explorer-side", both)];
}

/**
 * Let an element become higher, but not lower again while it is as wide: what stands below would jump.
 * @param {HTMLElement} part
 * @returns {() => void}  Ends it
 */
function keepHeight(part) {
  let width = 0;
  const observer = new ResizeObserver(() => {
    if (part.clientWidth !== width) part.style.minHeight = "";
    width = part.clientWidth;
    part.style.minHeight = `${part.offsetHeight}px`;
  });
  observer.observe(part);
  return () => observer.disconnect();
}

/**
 * A row of controls.
 * @param {HTMLElement} parent
 */
function controlRow(parent) {
  return element("div", "box-canvas-row", parent);
}

/**
 * A button that JupyterLab leaves its keys.
 * @param {HTMLElement | null} parent
 * @param {string} text
 * @param {(event: Event) => void} act
 */
function addButton(parent, text, act) {
  const button = element("button", "", parent, text);
  button.type = "button";
  button.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes Enter and the arrow keys
  button.addEventListener("click", act);
  return button;
}

/**
 * Text in which what stands between asterisks is set in bold.
 * @param {HTMLElement} parent
 * @param {string} text
 */
function addFigure(parent, text) {
  const line = element("span", "", parent);
  text.split("*").forEach((part, i) => {
    if (i % 2) element("b", "", line, part);
    else line.append(part);
  });
  return line;
}

/**
 * Replace what `parent` says by these figures.
 * @param {HTMLElement} parent
 * @param {string[]} texts
 */
function setFigures(parent, texts) {
  parent.replaceChildren();
  for (const text of texts) addFigure(parent, text);
}

/**
 * A row of a table: of cells, of column heads, or of a row head and cells.
 * @param {HTMLElement} table
 * @param {string[]} texts
 * @param {"cells" | "heads" | "row"} [kind]
 */
function addLine(table, texts, kind = "cells") {
  const line = element("tr", "", table);
  texts.forEach((text, i) => {
    const head = kind === "heads" || (kind === "row" && i === 0);
    const cell = element(head ? "th" : "td", "", line);
    if (head) cell.setAttribute("scope", kind === "heads" ? "col" : "row");
    addFigure(cell, text);
  });
  return line;
}

/**
 * A short piece of a line as it is drawn in the picture.
 * @param {import("./palette.js").Look} look
 */
function lineSample({ color, dash, width }) {
  const line = `<line x1="2" y1="7" x2="34" y2="7" stroke="${color}" stroke-width="${width}" stroke-dasharray="${dash}"/>`;
  const holder = document.createElement("template");
  holder.innerHTML = `<svg width="36" height="14" aria-hidden="true">${line}</svg>`;
  return holder.content;
}

export { addButton, addFigure, addLine, columns, controlRow, element, keepHeight, lineSample, setFigures };
