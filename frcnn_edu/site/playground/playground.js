/* The playground: the shipped detector in the page, on what the hand draws, stage by stage.

   page.html holds the words and the places; this puts pictures and controls into them. The detector is fetched when it
   is first asked for: by the button, or by a hand that moves something. */

import { Controls } from "../../explorers/js/kit/controls.js";
import { addButton, element } from "../../explorers/js/kit/layout.js";
import { Listeners } from "../../explorers/js/kit/traits.js";
import { Board } from "./board.js";
import { Easel } from "./easel.js";
import { LocalModel } from "./local_model.js";
import { DetectionList, Funnel, followFigures, LevelChooser, LifeLines } from "./panel.js";
import { fetchBytes, Runner } from "./runner.js";
import { KINDS } from "./shapes.js";
import { Sources } from "./sources.js";
import { AnchorsPlate } from "./stages/anchors.js";
import { ClassesPlate, ScoresPlate } from "./stages/classes.js";
import { FeaturesPlate } from "./stages/features.js";
import { NmsPlate } from "./stages/nms.js";
import { ObjectnessPlate } from "./stages/objectness.js";
import { PooledPlate, RegionPlate } from "./stages/pooling.js";
import { TopKPlate } from "./stages/top_k.js";
import { WORDS } from "./words.js";

/**
 * What build.py knows.
 * @typedef {{ snapshots: { step: number, file: string, map: number }[], seed: number, sizes: Record<string, number> }} Facts
 */

/** @type {Record<string, new (board: Board, parent: HTMLElement, label: string) => import("./plate.js").Plate>} */
const PLATES = {
  features: FeaturesPlate,
  objectness: ObjectnessPlate,
  anchors: AnchorsPlate,
  "top-k": TopKPlate,
  nms: NmsPlate,
  region: RegionPlate,
  pooled: PooledPlate,
  classes: ClassesPlate,
  scores: ScoresPlate,
};

/**
 * @param {string} name
 * @returns {HTMLElement}
 */
const place = (name) => /** @type {HTMLElement} */ (document.getElementById(name));

class Playground {
  board = new Board();
  running = false;
  /** @type {string | null} The key of the detector that is to answer. */
  wanted = null;

  /** @param {Facts} facts */
  constructor(facts) {
    this.facts = facts;
    this.model = new LocalModel({
      snapshot: facts.snapshots.length - 1,
      difficulty: 0.5,
      threshold: 0.5,
      candidates: 60,
    });
    this.controls = new Controls(this.model, new Listeners(this.model), document.body);
    this.runner = new Runner(
      (pass, image, ms) => this.onPass(pass, image, ms),
      (reason) => this.tell(WORDS.failed(reason)),
    );
    this.easel = new Easel(place("easel"), this.board, (byHand) => this.onImage(byHand));
    this.sources = new Sources(this.easel, {
      tell: (text) => this.tell(text),
      onDetector: (file) => this.useOwn(file),
      onCamera: (on) => place("camera").setAttribute("aria-pressed", String(on)),
    });
    new LifeLines(place("life"), place("said"), this.board);
    this.plates = this.addPlates();
    followFigures(this.board, this.easel);
    new LevelChooser(place("levels"), this.board);
    new Funnel(place("funnel"), this.board);
    new DetectionList(place("detections"), place("nothing-found"), this.board, this.easel);
    this.followTheme();
    this.addTools();
    this.addSliders();
    this.easel.newScene(facts.seed, false);
    place("playground").dataset.ready = "true";
  }

  /** What was painted has the ink of the theme that there was. */
  followTheme() {
    const redraw = () => this.board.redraw();
    const attributeFilter = ["style", "data-jp-theme-light"];
    new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  addPlates() {
    /** @type {Record<string, import("./plate.js").Plate>} */
    const plates = {};
    for (const holder of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-plate]"))) {
      const { plate = "", label = "" } = holder.dataset;
      plates[plate] = new PLATES[plate](this.board, holder, label);
    }
    return plates;
  }

  // ------------------------------------------------------------------------------------------- controls

  addTools() {
    const { easel, sources } = this;
    for (const kind of KINDS) {
      const button = addButton(place("shapes"), "", () => {
        sources.stopCamera();
        easel.add(kind);
      });
      button.title = `Add a ${kind}`;
      button.append(shapeIcon(kind));
      element("span", "unseen", button, `Add a ${kind}`);
    }
    /** @type {(name: string, act: () => void) => void} */
    const on = (name, act) => place(name).addEventListener("click", act);
    on("run", () => this.run());
    on("new-scene", () => {
      sources.stopCamera();
      easel.newScene(easel.seed + 1);
    });
    on("repaint", () => easel.repaint());
    on("remove", () => easel.remove());
    on("camera", () => (sources.stream ? sources.stopCamera() : sources.startCamera()));
    on("shipped", () => this.useSnapshot());
    for (const name of ["photo", "detector"]) {
      const input = /** @type {HTMLInputElement} */ (place(name));
      input.addEventListener("change", () => {
        const [file] = input.files ?? [];
        if (file) sources.take(file);
        input.value = "";
      });
    }
    this.board.followers.push(() => {
      for (const name of ["repaint", "remove"]) {
        /** @type {HTMLButtonElement} */ (place(name)).disabled = easel.selected === null;
      }
    });
  }

  addSliders() {
    const { controls, easel, facts } = this;
    const { snapshots } = facts;
    this.training = controls.addSlider({
      label: "Training",
      parent: place("training"),
      max: snapshots.length - 1,
      trait: "snapshot",
      format: (at) => `${WORDS.step(snapshots[at].step)} · mAP ${snapshots[at].map.toFixed(2)}`,
      onInput: () => this.useSnapshot(),
    });
    controls.addSlider({
      label: "Difficulty",
      parent: place("difficulty"),
      step: 0.05,
      trait: "difficulty",
      format: (value) => value.toFixed(2),
      onInput: (value) => easel.setDifficulty(value),
    });
    controls.addSlider({
      label: "From score",
      parent: place("threshold"),
      min: 0.05,
      step: 0.05,
      trait: "threshold",
      format: (value) => value.toFixed(2),
      onInput: (value) => easel.setThreshold(value),
    });
    controls.addSlider({
      label: "Shown",
      parent: place("candidates"),
      min: 10,
      max: 300,
      step: 10,
      trait: "candidates",
      format: (count) => `best ${count}`,
      onInput: (count) => {
        /** @type {NmsPlate} */ (this.plates.nms).shown = count;
        this.board.redraw();
      },
    });
  }

  // ------------------------------------------------------------------------------------------- detectors

  run() {
    if (!this.running) this.useSnapshot();
  }

  /** The course's detector, as it was after the step that the slider names. */
  useSnapshot() {
    const { step, file } = this.facts.snapshots[this.model.get("snapshot")];
    return this.use(file, () => fetchBytes(file, (share) => this.tell(WORDS.fetching(WORDS.snapshot(step), share))));
  }

  /** @param {File} file */
  useOwn(file) {
    const key = `${file.name} ${file.size} ${file.lastModified}`;
    return this.use(key, async () => new Uint8Array(await file.arrayBuffer()), file.name);
  }

  /**
   * @param {string} key
   * @param {() => Promise<Uint8Array>} fetchModel
   * @param {string | null} [own]  The name of the reader's file
   */
  async use(key, fetchModel, own = null) {
    this.running = true;
    place("playground").dataset.running = "true";
    this.wanted = key;
    try {
      const onShare = (/** @type {number} */ share) => this.tell(WORDS.fetching(WORDS.runtime, share));
      const detector = await this.runner.open(key, fetchModel, onShare);
      if (this.wanted !== key) return; // the reader has moved on
      this.runner.current = detector;
      this.tell("");
      const classes = detector.metadata.class_names.length - 1;
      place("whose").textContent = own ? WORDS.own(own, classes) : WORDS.shipped;
      place("shipped").hidden = !own;
      place("training").hidden = own !== null; // it has no snapshots
      if (this.easel.image) this.runner.ask({ ...this.easel.image, since: performance.now() });
    } catch (error) {
      if (this.wanted !== key) return;
      this.wanted = this.runner.current?.key ?? null; // what there was goes on
      this.running = this.wanted !== null;
      const reason = error instanceof Error ? error.message : String(error);
      this.tell(WORDS.noDetector(own ?? WORDS.shipped, reason));
    }
  }

  /** @param {boolean} byHand */
  onImage(byHand) {
    if (this.easel.image) this.runner.ask(this.easel.image);
    if (byHand) this.run();
  }

  /**
   * @param {import("./pass.js").Pass} pass
   * @param {import("./runner.js").Image} image
   * @param {number} ms
   */
  onPass(pass, image, ms) {
    const warm = this.board.detector === this.runner.current; // the first pass of a detector takes longer
    this.board.show(pass, this.runner.current, image.since);
    if (warm) place("times").textContent = WORDS.times(ms, performance.now() - image.since);
  }

  /** @param {string} text */
  tell(text) {
    place("status").textContent = text;
  }
}

/** @type {Record<string, string>} */
const ICONS = {
  disc: '<circle cx="12" cy="12" r="8"/>',
  ring: '<circle cx="12" cy="12" r="6" fill="none" stroke="currentColor" stroke-width="4"/>',
  square: '<rect x="5" y="5" width="14" height="14"/>',
  "standing bar": '<rect x="8.5" y="3" width="7" height="18"/>',
  "lying bar": '<rect x="3" y="8.5" width="18" height="7"/>',
  triangle: '<path d="M12 4 L20.5 20 L3.5 20 Z"/>',
  cross: '<path d="M9.4 4h5.2v5.4H20v5.2h-5.4V20H9.4v-5.4H4V9.4h5.4Z"/>',
};

/**
 * A shape as a small picture.
 * @param {string} kind
 */
function shapeIcon(kind) {
  const holder = document.createElement("template");
  holder.innerHTML = `<svg viewBox="0 0 24 24" width="22" height="22" fill="currentColor" aria-hidden="true">${ICONS[kind]}</svg>`;
  return holder.content;
}

/** @param {Facts} facts */
function start(facts) {
  return new Playground(facts);
}

export { Playground };
export default start;
