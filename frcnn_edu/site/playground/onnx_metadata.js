/* The metadata of an .onnx file that `frcnn-edu export` wrote: ONNX Runtime Web has no way to ask for them.

   A file is one message of protocol buffers; its field 14 holds pairs of a key (1) and a value (2), JSON each. */

/**
 * @typedef {object} Metadata
 * @property {string} model
 * @property {string[]} class_names  The first is the background
 * @property {number[]} anchors_per_cell  Of each level
 * @property {Record<string, any>} config
 */

const METADATA_PROPS = 14;

/**
 * The fields of a message: the number of each, and its bytes where it has a length.
 * @param {Uint8Array} bytes
 */
function* fieldsOf(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63) throw new Error("this is not an .onnx file");
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, kind] = [Math.floor(key / 8), key % 8];
    /** @type {Record<number, () => number>} */
    const lengths = { 0: () => varint() * 0, 1: () => 8, 2: varint, 5: () => 4 };
    if (!(kind in lengths)) throw new Error("this is not an .onnx file");
    const length = lengths[kind]();
    if (at + length > bytes.length) throw new Error("this .onnx file is cut short");
    yield { field, content: bytes.subarray(at, at + length) };
    at += length;
  }
}

/**
 * Raises an error, whose message can be shown, for a file that the export did not write.
 * @param {Uint8Array} bytes
 * @returns {Metadata}
 */
function readMetadata(bytes) {
  const text = new TextDecoder();
  /** @type {Record<string, any>} */
  const noted = {};
  for (const { field, content } of fieldsOf(bytes)) {
    if (field !== METADATA_PROPS) continue;
    /** @type {Record<number, string>} */
    const pair = {};
    for (const part of fieldsOf(content)) pair[part.field] = text.decode(part.content);
    try {
      noted[pair[1]] = JSON.parse(pair[2]);
    } catch {
      noted[pair[1]] = pair[2]; // another program's
    }
  }
  const known = Array.isArray(noted.class_names) && Array.isArray(noted.anchors_per_cell) && noted.config;
  if (!known) throw new Error("this .onnx file was not written by frcnn-edu export, so its stages are not known");
  return /** @type {Metadata} */ (noted);
}

export { readMetadata };
