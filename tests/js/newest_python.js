/* Runs newest_python.py under the newest Python, which Pyodide has as WebAssembly: node newest_python.js CHECKOUT SHTAB */

import { readFileSync } from "node:fs";
import { loadPyodide } from "pyodide";

const [checkout, shtab] = process.argv.slice(2);
const python = await loadPyodide();
for (const [place, folder] of Object.entries({ "/checkout": checkout, "/packages/shtab": shtab })) {
  python.FS.mkdirTree(place);
  python.mountNodeFS(place, folder);
}
try {
  python.runPython(readFileSync(new URL("newest_python.py", import.meta.url), "utf8"));
} catch (error) {
  console.error(/** @type {Error} */ (error).message); // Python's traceback
  process.exitCode = 1;
}
