/* Runs detectors beside the page, so that it never waits: ONNX Runtime Web on one WebAssembly thread.

   Messages in: {kind: "start", runtime, wasm}, {kind: "load", key, model}, {kind: "run", key, image, dims, wanted}.
   Messages out: {kind: "loaded", key, outputs}, {kind: "ran", outputs, ms} and {kind: "failed", of, key, reason}, where
   `of` is the kind of message that failed. */

/** @typedef {typeof import("onnxruntime-web")} Runtime */

const page = /** @type {Worker} */ (/** @type {unknown} */ (self));

/** @type {Map<string, import("onnxruntime-web").InferenceSession>} */
const sessions = new Map();

/** @type {Promise<Runtime> | undefined} */
let starting;

/** @param {{ runtime: string, wasm: Uint8Array }} message */
async function start({ runtime, wasm }) {
  const ort = /** @type {Runtime} */ (await import(runtime));
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: wasm.buffer });
  ort.env.logLevel = "error";
  return ort;
}

/** @param {{ key: string, model: Uint8Array }} message */
async function load({ key, model }) {
  const ort = await /** @type {Promise<Runtime>} */ (starting);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
  sessions.set(key, session);
  page.postMessage({ kind: "loaded", key, outputs: session.outputNames });
}

/** @param {{ key: string, image: Float32Array, dims: number[], wanted: string[] }} message */
async function run({ key, image, dims, wanted }) {
  const ort = await /** @type {Promise<Runtime>} */ (starting);
  const session = sessions.get(key);
  if (!session) throw new Error(`no detector ${key} has been loaded`);
  const started = performance.now();
  const found = await session.run({ image: new ort.Tensor("float32", image, dims) }, wanted);
  /** @type {Record<string, { data: any, dims: readonly number[] }>} */
  const outputs = {};
  for (const name of wanted) {
    const { data, dims } = found[name];
    outputs[name] = { data: plain(data), dims };
  }
  const buffers = [...new Set(wanted.map((name) => outputs[name].data.buffer))];
  page.postMessage({ kind: "ran", outputs, ms: performance.now() - started }, buffers);
}

/**
 * Numbers of a kind that arithmetic takes, in memory of their own.
 * @param {any} data
 */
function plain(data) {
  if (data instanceof BigInt64Array) return Int32Array.from(data, Number);
  return data.buffer.byteLength === data.byteLength ? data : data.slice();
}

page.onmessage = async ({ data }) => {
  try {
    if (data.kind === "start") {
      starting = start(data);
      await starting;
    } else await (data.kind === "load" ? load(data) : run(data));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    page.postMessage({ kind: "failed", of: data.kind, key: data.key, reason });
  }
};

export {};
