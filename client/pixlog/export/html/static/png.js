// The stored samples of a PNG, of 1 to 16 bits, without a canvas, which knows only 8 bits multiplied by alpha.
//
// https://www.w3.org/TR/png-3/: chunks, a zlib stream of filtered scan lines, five filters, palettes.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const PALETTE = 3;

/** Decode {width, height, channels, dtype, values}; null for what is no PNG, or an interlaced one. */
export async function decodePng(bytes, inflate) {
  if (!SIGNATURE.every((one, at) => bytes[at] === one)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = { data: [], palette: null, alpha: null };
  for (let at = 8; at + 8 <= bytes.length; ) {
    const nbytes = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + nbytes);
    if (name === "IHDR") Object.assign(found, { width: view.getUint32(at + 8), height: view.getUint32(at + 12), bits: body[8], color: body[9], isInterlaced: body[12] !== 0 });
    else if (name === "PLTE") found.palette = body;
    else if (name === "tRNS") found.alpha = body;
    else if (name === "IDAT") found.data.push(body);
    else if (name === "IEND") break;
    at += 12 + nbytes;
  }
  const { width, height, bits, color, palette, alpha, isInterlaced } = found;
  if (isInterlaced || !(color in CHANNELS) || (alpha && color !== PALETTE)) return null;
  const channels = CHANNELS[color];
  const lineNbytes = Math.ceil((width * channels * bits) / 8);
  const raw = unfiltered(new Uint8Array(await inflate(new Blob(found.data))), lineNbytes, height, Math.max(1, (channels * bits) >> 3));
  const samples = bits === 8 ? raw : unpacked(raw, width * channels, lineNbytes, height, bits);
  if (color === PALETTE) return colored(samples, palette, alpha, width, height);
  // Pillow gives gray levels below 8 bits as they look; those of 1 bit it takes for false and true.
  if (bits === 2 || bits === 4) for (let at = 0; at < samples.length; at++) samples[at] *= bits === 4 ? 17 : 85;
  return { width, height, channels, values: samples, dtype: bits === 16 ? "uint16" : bits === 1 ? "bool" : "uint8" };
}

/** Undo the filters in place and return the lines without their filter bytes. */
function unfiltered(data, lineNbytes, height, pixelNbytes) {
  const out = new Uint8Array(lineNbytes * height);
  for (let line = 0; line < height; line++) {
    const filter = data[line * (lineNbytes + 1)];
    const from = line * (lineNbytes + 1) + 1;
    const to = line * lineNbytes;
    const up = to - lineNbytes;
    for (let at = 0; at < lineNbytes; at++) {
      const left = at >= pixelNbytes ? out[to + at - pixelNbytes] : 0;
      const above = line ? out[up + at] : 0;
      let guess = 0;
      if (filter === 1) guess = left;
      else if (filter === 2) guess = above;
      else if (filter === 3) guess = (left + above) >> 1;
      else if (filter === 4) guess = paeth(left, above, line && at >= pixelNbytes ? out[up + at - pixelNbytes] : 0);
      out[to + at] = data[from + at] + guess;
    }
  }
  return out;
}

function paeth(left, above, corner) {
  const base = left + above - corner;
  const [toLeft, toAbove, toCorner] = [Math.abs(base - left), Math.abs(base - above), Math.abs(base - corner)];
  return toLeft <= toAbove && toLeft <= toCorner ? left : toAbove <= toCorner ? above : corner;
}

function unpacked(raw, lineSamples, lineNbytes, height, bits) {
  if (bits === 16) {
    const samples = new Uint16Array(raw.length / 2);
    for (let at = 0; at < samples.length; at++) samples[at] = (raw[2 * at] << 8) | raw[2 * at + 1];
    return samples;
  }
  const samples = new Uint8Array(lineSamples * height);
  const most = (1 << bits) - 1;
  for (let line = 0; line < height; line++) {
    for (let at = 0; at < lineSamples; at++) {
      const bit = at * bits;
      samples[line * lineSamples + at] = (raw[line * lineNbytes + (bit >> 3)] >> (8 - bits - (bit & 7))) & most;
    }
  }
  return samples;
}

function colored(samples, palette, alpha, width, height) {
  const channels = alpha ? 4 : 3;
  const values = new Uint8Array(width * height * channels);
  for (let pixel = 0; pixel < samples.length; pixel++) {
    const number = samples[pixel];
    for (let part = 0; part < 3; part++) values[pixel * channels + part] = palette[number * 3 + part];
    if (alpha) values[pixel * 4 + 3] = alpha[number] ?? 255;
  }
  return { width, height, channels, values, dtype: "uint8" };
}
