// Arrays as the page gets them: a small JSON header, then the bytes of each array.

const VIEWS = { i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };

/** Read a header and its arrays, which lie 8-aligned behind it, without copying them. */
export function unpack(buffer) {
  const headNbytes = new DataView(buffer).getUint32(0, true);
  const packed = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headNbytes)));
  let at = Math.ceil((4 + headNbytes) / 8) * 8;
  for (const [name, kind, length] of packed.arrays) {
    const View = VIEWS[kind];
    packed[name] = new View(buffer, at, length);
    at += Math.ceil((length * View.BYTES_PER_ELEMENT) / 8) * 8;
  }
  return packed;
}
