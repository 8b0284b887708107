/* The palette as `bundle` hands it to scripts; import this before any script that draws. */

import { readFileSync } from "node:fs";

const { palette } = JSON.parse(readFileSync(/** @type {string} */ (process.env.FRCNN_EDU_CASES), "utf-8"));
Object.assign(globalThis, { FRCNN_EDU_PALETTE: palette });

export { palette };
