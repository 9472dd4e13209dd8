// |a − b| of two images, from their stored values.

/** Compare two arrays of pixels; the picture shows the difference times `gain`, full white at the values' range. */
export function difference(a, b, gain) {
  if (a.width !== b.width || a.height !== b.height) return { problem: `sizes differ: ${a.width}×${a.height} and ${b.width}×${b.height}` };
  const { width, height } = a;
  const channels = Math.max(colors(a), colors(b));
  const range = rangeOf(a, b);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const { data } = picture;
  let [most, sum, squares, differing] = [0, 0, 0, 0];
  for (let pixel = 0; pixel < width * height; pixel++) {
    let isOther = false;
    for (let channel = 0; channel < channels; channel++) {
      const distance = Math.abs(level(a, pixel, channel) - level(b, pixel, channel)) || 0;
      if (distance > 0) isOther = true;
      if (distance > most) most = distance;
      sum += distance;
      squares += distance * distance;
      data[pixel * 4 + channel] = (distance * gain * 255) / range;
    }
    if (channels === 1) data[pixel * 4 + 1] = data[pixel * 4 + 2] = data[pixel * 4];
    data[pixel * 4 + 3] = 255;
    differing += isOther;
  }
  context.putImageData(picture, 0, 0);
  const total = width * height * channels;
  const mse = squares / total;
  return { picture: canvas, most, mean: sum / total, mse, psnr: mse === 0 ? Infinity : 10 * Math.log10((range * range) / mse), share: differing / (width * height), range };
}

/** Channels that are colours: the last of two or four is alpha. */
const colors = ({ channels }) => (channels >= 3 ? 3 : 1);

const level = ({ values, channels }, pixel, channel) => values[pixel * channels + (channels >= 3 ? channel : 0)];

function rangeOf(a, b) {
  if (a.valuesKind === "u1" && b.valuesKind === "u1") return 255;
  if (a.valuesKind === "u2" && b.valuesKind === "u2") return 65535;
  let [low, high] = [Infinity, -Infinity];
  for (const { values } of [a, b]) {
    for (const value of values) {
      if (value < low) low = value;
      if (value > high && Number.isFinite(value)) high = value;
    }
  }
  return high > low && Number.isFinite(low) ? high - low : 1;
}
