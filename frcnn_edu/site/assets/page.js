/* What every page of the course does beside its explorers: the theme, the menu of a small screen, the search, and the
   table of what the reader has guessed. */

/** @typedef {{ title: string, section: string, url: string, text: string }} Entry */

const MOST_RESULTS = 12;
const AROUND = 60; // letters on either side of what was found

/**
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} Kind
 * @returns {T | null}
 */
function find(selector, Kind) {
  const found = document.querySelector(selector);
  return found instanceof Kind ? found : null;
}

// --------------------------------------------------------------------------------------------------- theme

/** @param {boolean} dark */
function useTheme(dark) {
  document.documentElement.dataset.jpThemeLight = String(!dark); // JupyterLab's name for it, which explorers know
  find("#theme", HTMLButtonElement)?.setAttribute("aria-pressed", String(dark));
  Reflect.get(globalThis, "frcnnEdu")?.redraw();
}

function addTheme() {
  const dark = () => document.documentElement.dataset.jpThemeLight === "false";
  useTheme(dark());
  find("#theme", HTMLButtonElement)?.addEventListener("click", () => {
    useTheme(!dark());
    try {
      localStorage.setItem("frcnn-edu-dark", String(dark()));
    } catch {} // a browser that keeps nothing for this page
  });
}

// --------------------------------------------------------------------------------------------------- search

/** @param {string} text */
const words = (text) => text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];

/**
 * How well an entry fits: every word must begin one of its words; those of its heading count more.
 * @param {Entry} entry
 * @param {string[]} asked
 */
function fit({ title, section, text }, asked) {
  const heads = words(`${title} ${section}`);
  const body = ` ${words(text).join(" ")}`;
  let sum = 0;
  for (const word of asked) {
    const inHead = heads.filter((head) => head.startsWith(word)).length;
    const inBody = body.split(` ${word}`).length - 1;
    if (!inHead && !inBody) return 0;
    sum += 20 * inHead + Math.min(inBody, 9);
  }
  return sum;
}

/**
 * The text round the first word asked for.
 * @param {string} text
 * @param {string[]} asked
 */
function around(text, asked) {
  const at = Math.max(0, ...asked.map((word) => text.toLowerCase().indexOf(word)));
  const [from, to] = [Math.max(0, at - AROUND), Math.min(text.length, at + 2 * AROUND)];
  return `${from ? "… " : ""}${text.slice(from, to).trim()}${to < text.length ? " …" : ""}`;
}

/**
 * @param {Entry} entry
 * @param {string[]} asked
 */
function resultOf({ title, section, url, text }, asked) {
  const line = document.createElement("li");
  const link = document.createElement("a");
  link.href = url;
  const head = document.createElement("b");
  head.textContent = section || title;
  const where = document.createElement("span");
  where.textContent = section ? title : "";
  const passage = document.createElement("p");
  passage.textContent = around(text, asked);
  link.append(head, " ", where, passage);
  line.append(link);
  return line;
}

function addSearch() {
  const dialog = find("#search", HTMLDialogElement);
  const field = find("#search input", HTMLInputElement);
  const list = find("#search ul", HTMLUListElement);
  const count = find("#search [role=status]", HTMLElement);
  if (!dialog || !field || !list || !count) return;
  const look = () => {
    /** @type {Entry[]} */
    const entries = Reflect.get(globalThis, "frcnnEduSearch") ?? [];
    const asked = words(field.value);
    const fits = asked.length ? entries.map((entry) => ({ entry, how: fit(entry, asked) })) : [];
    const found = fits.filter(({ how }) => how).sort((a, b) => b.how - a.how);
    list.replaceChildren(...found.slice(0, MOST_RESULTS).map(({ entry }) => resultOf(entry, asked)));
    count.textContent = asked.length ? `${found.length} ${found.length === 1 ? "section" : "sections"}` : "";
  };
  const open = () => {
    if (dialog.open) return;
    if (!document.querySelector("script[src='search.js']")) {
      document.head.append(Object.assign(document.createElement("script"), { src: "search.js", onload: look }));
    }
    dialog.showModal();
    field.select();
  };
  field.addEventListener("input", look);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || (event.target instanceof Element && event.target.closest("a"))) dialog.close();
  });
  for (const button of document.querySelectorAll("[data-opens=search]")) button.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    const inField =
      event.target instanceof Element && event.target.closest("input, textarea, select, [role=application]");
    if (event.key !== "/" || inField || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    open();
  });
}

// --------------------------------------------------------------------------------------------------- menu

/** On a small screen the menu is a dialog of its own; on a large one it stands beside the text. */
function addMenu() {
  const menu = find("#menu", HTMLElement);
  const button = find("#open-menu", HTMLButtonElement);
  if (!menu || !button) return;
  /** @param {boolean} open */
  const show = (open) => {
    menu.classList.toggle("open", open);
    button.setAttribute("aria-expanded", String(open));
    if (open) menu.querySelector("a")?.focus();
  };
  button.addEventListener("click", () => show(!menu.classList.contains("open")));
  menu.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("a")) show(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.classList.contains("open")) return;
    show(false);
    button.focus();
  });
  const says = find("#map-says", HTMLElement);
  for (const link of menu.querySelectorAll(".map a")) {
    const say = () => {
      if (says) says.textContent = link.getAttribute("aria-label") ?? "";
    };
    link.addEventListener("pointerenter", say);
    link.addEventListener("focus", say);
  }
}

/** Mark in the list of sections the one that is being read. */
function followReading() {
  const links = [...document.querySelectorAll("#menu .sections a")];
  const places = links.map((link) => document.getElementById((link.getAttribute("href") ?? "").slice(1)));
  const mark = () => {
    const above = places.filter((place) => place && place.getBoundingClientRect().top < innerHeight / 3).length;
    links.forEach((link, i) => {
      if (i === above - 1) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  document.addEventListener("scroll", mark, { passive: true });
  mark();
}

// --------------------------------------------------------------------------------------------------- pages

/** What is wider than its place can be scrolled by keyboard too. */
function letKeysScroll() {
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1) target.setAttribute("tabindex", "0");
      else target.removeAttribute("tabindex");
    }
  });
  for (const part of document.querySelectorAll("pre, .scrolls")) observer.observe(part);
}

/** The tables of all guesses say what the reader has said. */
function fillGuesses() {
  /** @type {any} */
  const shared = Reflect.get(globalThis, "frcnnEdu");
  const fill = () => {
    for (const row of document.querySelectorAll(".guesses tbody tr")) {
      const [text, said] = [...row.querySelectorAll("td")];
      const guess = shared?.guesses.given[text.textContent ?? ""]?.guess ?? null;
      if (guess === null) continue;
      /** @type {{ state: Record<string, any> }[]} */
      const kept = Object.values(shared.explorers);
      const card = kept.find(({ state }) => state.text === text.textContent)?.state ?? { choices: {}, unit: "" };
      const choice = card.choices[guess];
      said.textContent = choice ? `“${choice}”` : `${guess.toLocaleString("en")} ${card.unit}`.trim();
    }
  };
  document.addEventListener("guessed", fill);
  fill();
}

document.addEventListener("DOMContentLoaded", () => {
  addTheme();
  addSearch();
  addMenu();
  followReading();
  letKeysScroll();
  fillGuesses();
});

addEventListener("beforeprint", () => {
  for (const picture of document.images) picture.loading = "eager";
});
