/* Explorers on a page without a kernel, after anywidget's contract: a script's default export has `render({ model, el })`
   and perhaps `initialize({ model })`, both of which may return what takes them away again; `model` has get, set,
   save_changes, on, off and send.

   The explorers' scripts, their states and their bytes come as classic scripts that call `frcnnEdu`, because a page that
   is opened from a folder may not fetch. An explorer starts when it comes near the screen; until then, and where its
   script does not run, the page shows its picture. */

/** @typedef {(...given: any[]) => void} Handler */
/** @typedef {{ traits: string[], given: any[][], states: Record<string, any>[] }} Answers  What Python says after each setting */
/** @typedef {{ script: string, state: Record<string, any>, answers: Answers[], later: string[] }} Kept  `later` are files */

const LINKED = "question/question"; // its cards are one question in two places, where these traits agree
const LINKED_TRAITS = ["guess", "skipped"];
const NEAR = "600px";
const NOTHING = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E";

/**
 * Whether two values are the same number, name or list.
 * @param {any} a
 * @param {any} b
 */
function same(a, b) {
  if (typeof a === "number" && typeof b === "number") return Math.abs(a - b) < 1e-9;
  if (a instanceof DataView || b instanceof DataView) return a === b;
  return JSON.stringify(a) === JSON.stringify(b);
}

class Model {
  /** @type {Record<string, Handler[]>} */
  handlers = {};
  /** @type {Set<string>} Traits set since the last save_changes. */
  changed = new Set();

  /**
   * @param {Record<string, any>} state
   * @param {Answers[]} answers
   */
  constructor(state, answers) {
    this.state = state;
    this.answers = answers;
  }

  /** @param {string} trait */
  get(trait) {
    return this.state[trait];
  }

  /**
   * @param {string} trait
   * @param {any} value
   */
  set(trait, value) {
    if (same(this.state[trait], value)) return;
    this.changed.add(trait);
    this.receive({ [trait]: value });
  }

  /** Give Python's answer to what has been set, where the page has it. */
  save_changes() {
    const changed = [...this.changed];
    this.changed.clear();
    for (const { traits, given, states } of this.answers) {
      if (!traits.some((trait) => changed.includes(trait))) continue;
      const found = given.findIndex((values) => values.every((value, i) => same(value, this.state[traits[i]])));
      if (found >= 0) this.receive(states[found]);
    }
  }

  /**
   * Values arrive together: all are there before the first is told of.
   * @param {Record<string, any>} values
   */
  receive(values) {
    const news = Object.keys(values).filter((trait) => !same(this.state[trait], values[trait]));
    Object.assign(this.state, values);
    for (const trait of news) this.raise(`change:${trait}`, this, values[trait]);
    if (news.length) this.raise("change", this);
  }

  /**
   * @param {string} event
   * @param {any[]} given
   */
  raise(event, ...given) {
    for (const handler of [...(this.handlers[event] ?? [])]) handler(...given);
  }

  /** A message to Python, which nobody hears here. */
  send() {}

  /**
   * @param {string} event
   * @param {Handler} handler
   */
  on(event, handler) {
    this.handlers[event] ??= [];
    this.handlers[event].push(handler);
  }

  /**
   * @param {string} [event]
   * @param {Handler} [handler]
   */
  off(event, handler) {
    if (event === undefined) this.handlers = {};
    else this.handlers[event] = handler ? (this.handlers[event] ?? []).filter((one) => one !== handler) : [];
  }
}

/** What answers the readers gave, by the text of the question. */
class Guesses {
  key = "frcnn-edu-guesses";
  /** @type {Model[]} */
  cards = [];
  /** @type {Record<string, Record<string, any>>} */
  given = {};

  constructor() {
    try {
      this.given = JSON.parse(localStorage.getItem(this.key) ?? "{}");
    } catch {} // a browser that keeps nothing for this page
  }

  /**
   * A card takes part in its question: what was said there before is said here too, and the other way round.
   * @param {Model} card
   */
  join(card) {
    const text = card.get("text");
    this.cards.push(card);
    card.receive(this.given[text] ?? {});
    for (const trait of LINKED_TRAITS) {
      card.on(`change:${trait}`, () => {
        this.given[text] = Object.fromEntries(LINKED_TRAITS.map((one) => [one, card.get(one)]));
        try {
          localStorage.setItem(this.key, JSON.stringify(this.given));
        } catch {} // as above
        for (const other of this.cards) if (other.get("text") === text) other.receive(this.given[text]);
        document.dispatchEvent(new CustomEvent("guessed", { detail: card }));
      });
    }
  }
}

const live = {
  /** @type {Record<string, any>} What the explorers' scripts export, by their path. */
  scripts: {},
  /** @type {Record<string, string>} Bytes, deflated and in base64. */
  buffers: {},
  /** @type {Record<string, Promise<ArrayBuffer>>} Those that have been asked for. */
  unpacked: {},
  /** @type {Record<string, Kept>} */
  explorers: {},
  /** @type {Record<string, Model>} Those that have started, by the name of their place. */
  models: {},
  guesses: new Guesses(),
  /** @type {Map<Element, () => Promise<void>>} How those on the page are drawn anew. */
  shown: new Map(),

  /** @param {Record<string, any>} scripts */
  define(scripts) {
    Object.assign(this.scripts, scripts);
  },

  /**
   * @param {Record<string, string>} buffers
   * @param {Record<string, Kept>} [explorers]
   */
  keep(buffers, explorers = {}) {
    Object.assign(this.buffers, buffers);
    Object.assign(this.explorers, explorers);
  },

  /** @param {string} key */
  unpack(key) {
    const packed = Uint8Array.from(atob(this.buffers[key]), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  },

  /**
   * A state with its bytes in their places.
   * @param {Record<string, any>} state
   */
  async revive(state) {
    const revived = Object.entries(state).map(async ([trait, value]) => {
      const key = value?.buffer;
      if (key === undefined) return [trait, value];
      this.unpacked[key] ??= this.unpack(key);
      return [trait, new DataView((await this.unpacked[key]).slice(0))]; // its own: the hand writes into it
    });
    return Object.fromEntries(await Promise.all(revived));
  },

  /**
   * A script from the page's own folder.
   * @param {string} file
   */
  fetchScript(file) {
    return new Promise((done, failed) => {
      const script = Object.assign(document.createElement("script"), { src: file, onload: done, onerror: failed });
      document.head.append(script);
    });
  },

  /** @param {HTMLElement} place */
  async start(place) {
    const name = place.dataset.explorer ?? "";
    const kept = this.explorers[name];
    await Promise.all(kept.later.map((file) => this.fetchScript(file)));
    const answers = kept.answers.map(async (one) => {
      return { ...one, states: await Promise.all(one.states.map((state) => this.revive(state))) };
    });
    const model = new Model(await this.revive(kept.state), await Promise.all(answers));
    this.models[name] = model;
    if (kept.script === LINKED) this.guesses.join(model);
    const exported = this.scripts[kept.script];
    const widget = typeof exported === "function" ? await exported() : exported;
    await widget.initialize?.({ model });
    let remove = () => {};
    const draw = async () => {
      await remove();
      const el = document.createElement("div");
      place.querySelector(".live")?.replaceChildren(el);
      place.classList.add("started"); // before it is drawn, or it would have no size
      remove = (await widget.render?.({ model, el })) ?? (() => {});
    };
    await draw();
    this.shown.set(place, draw);
  },

  /** Start every explorer that comes near the screen. */
  watch() {
    const observer = new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          observer.unobserve(target);
          this.start(/** @type {HTMLElement} */ (target)).catch((error) => {
            target.classList.remove("started");
            this.showPicture(target);
            console.error(`${target.id} could not start:`, error);
          });
        }
      },
      { rootMargin: NEAR },
    );
    for (const place of document.querySelectorAll("[data-explorer]")) {
      const picture = place.querySelector("img");
      if (picture) [picture.dataset.src, picture.src] = [picture.src, NOTHING]; // an explorer takes its place
      observer.observe(place);
    }
    addEventListener("beforeprint", () => {
      for (const place of document.querySelectorAll("[data-explorer]:not(.started)")) this.showPicture(place);
    });
  },

  /** @param {Element} place  Of an explorer that has not started */
  showPicture(place) {
    const picture = place.querySelector("img");
    if (picture?.dataset.src) Object.assign(picture, { src: picture.dataset.src, loading: "eager" });
  },

  /** Draw all anew, because colours have changed. */
  redraw() {
    for (const draw of this.shown.values()) draw();
  },
};

Object.assign(globalThis, { frcnnEdu: live });
document.addEventListener("DOMContentLoaded", () => live.watch());
