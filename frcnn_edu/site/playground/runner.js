/* The detector in its worker. While it is busy only the newest image waits: what lies between is dropped, so the answer
   never lags behind the hand. */

import { readMetadata } from "./onnx_metadata.js";
import { Pass, wantedOf } from "./pass.js";

/** @typedef {{ pixels: Float32Array, width: number, height: number, since: number }} Image  `pixels` are (3, H, W) in [0, 1]; `since` is when the hand moved */
/** @typedef {{ key: string, metadata: import("./onnx_metadata.js").Metadata, wanted: string[] }} Detector */

const RUNTIME = "runtime/ort.wasm.bundle.min.mjs";
const WORKER = "worker.js";
const WASM = "runtime/ort-wasm-simd-threaded.wasm";

class Runner {
  /** @type {Worker | null} */
  worker = null;
  /** @type {Promise<Worker> | undefined} */
  starting = undefined;
  /** @type {Map<string, Promise<Detector>>} */
  detectors = new Map();
  /** @type {Map<string, { done: (outputs: string[]) => void, fail: (error: Error) => void }>} */
  loading = new Map();
  /** @type {Detector | null} The one that answers. */
  current = null;
  /** @type {{ image: Image, detector: Detector } | null} What it works on. */
  busy = null;
  /** @type {Image | null} What it takes up next. */
  next = null;
  dropped = 0;

  /**
   * @param {(pass: Pass, image: Image, ms: number) => void} onPass
   * @param {(reason: string) => void} onFailure
   */
  constructor(onPass, onFailure) {
    this.onPass = onPass;
    this.onFailure = onFailure;
  }

  /**
   * Fetch and load a detector, the first time that it is asked for. Rejects with an error that can be shown.
   * @param {string} key  By which it is found again
   * @param {() => Promise<Uint8Array>} fetchModel
   * @param {(share: number) => void} onShare  How much of what runs detectors has been fetched
   * @returns {Promise<Detector>}
   */
  open(key, fetchModel, onShare) {
    const known = this.detectors.get(key);
    if (known) return known;
    const opening = this.load(key, fetchModel, onShare);
    opening.catch(() => this.detectors.delete(key));
    this.detectors.set(key, opening);
    return opening;
  }

  /**
   * @param {string} key
   * @param {() => Promise<Uint8Array>} fetchModel
   * @param {(share: number) => void} onShare
   * @returns {Promise<Detector>}
   */
  async load(key, fetchModel, onShare) {
    const model = await fetchModel();
    const metadata = readMetadata(model);
    const worker = await this.start(onShare);
    /** @type {string[]} */
    const outputs = await new Promise((done, fail) => {
      this.loading.set(key, { done, fail });
      worker.postMessage({ kind: "load", key, model }, [model.buffer]);
    });
    return { key, metadata, wanted: wantedOf(outputs) };
  }

  /** @param {(share: number) => void} onShare */
  start(onShare) {
    this.starting ??= fetchBytes(WASM, onShare).then((wasm) => this.startWorker(wasm));
    this.starting.catch(() => {
      this.starting = undefined;
    });
    return this.starting;
  }

  /** @param {Uint8Array} wasm */
  startWorker(wasm) {
    const worker = new Worker(new URL(WORKER, document.baseURI), { type: "module" });
    const runtime = new URL(RUNTIME, document.baseURI).href;
    worker.onmessage = ({ data }) => this.hear(data);
    worker.onerror = (event) => {
      for (const { fail } of this.loading.values()) fail(new Error(event.message || "its worker could not be started"));
    };
    worker.postMessage({ kind: "start", runtime, wasm }, [wasm.buffer]);
    this.worker = worker;
    return worker;
  }

  /** @param {any} message */
  hear({ kind, of, key, reason, outputs, ms }) {
    if (kind === "ran") this.take(outputs, ms);
    else if (kind === "loaded") this.loading.get(key)?.done(outputs);
    else if (of === "run") {
      this.busy = null;
      this.onFailure(reason);
    } else for (const [asked, { fail }] of this.loading) if (of === "start" || asked === key) fail(new Error(reason));
  }

  /**
   * Ask for a pass over an image; one that is still waiting is dropped.
   * @param {Image} image
   */
  ask(image) {
    if (this.next) this.dropped++;
    this.next = image;
    this.send();
  }

  send() {
    const { current, next } = this;
    if (!current || !this.worker || this.busy || !next) return;
    const { pixels, width, height } = next;
    this.busy = { image: next, detector: current };
    this.next = null;
    const image = pixels.slice();
    const { key, wanted } = current;
    this.worker.postMessage({ kind: "run", key, image, dims: [3, height, width], wanted }, [image.buffer]);
  }

  /**
   * @param {import("./pass.js").Outputs} outputs
   * @param {number} ms
   */
  take(outputs, ms) {
    if (!this.busy) return;
    const { image, detector } = this.busy;
    this.busy = null;
    this.send(); // the next one runs while this one is drawn
    if (detector === this.current) this.onPass(new Pass(outputs, detector.metadata, image), image, ms);
  }
}

/**
 * Fetch a file of the page's own folder.
 * @param {string} file
 * @param {(share: number) => void} onShare
 */
async function fetchBytes(file, onShare) {
  const answer = await fetch(file);
  if (!answer.ok || !answer.body) throw new Error(`${file}: ${answer.status} ${answer.statusText}`);
  const total = Number(answer.headers.get("content-length"));
  const parts = [];
  let read = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    read += value.length;
    if (total) onShare(Math.min(read / total, 1));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

export { fetchBytes, Runner };
