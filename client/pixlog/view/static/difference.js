// |a − b| of two images, from their stored values. Alpha is a channel like the others and its difference shows in all
// three colours; an image without it is opaque. `pixlog diff` has the same rules.

/** Compare two arrays of pixels; the picture shows the difference times `gain`, full white at the values' range. */
export function difference(a, b, gain) {
  if (a.width !== b.width || a.height !== b.height) return { problem: `sizes differ: ${a.width}×${a.height} and ${b.width}×${b.height}` };
  const { width, height } = a;
  const channels = Math.max(colors(a), colors(b));
  const hasAlpha = isTranslucent(a) || isTranslucent(b);
  const range = rangeOf(a, b);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const { data } = picture;
  let [most, sum, squares, differing] = [0, 0, 0, 0];
  let isOther = false;
  const counted = (distance) => {
    if (distance > 0) isOther = true;
    if (distance > most) most = distance;
    sum += distance;
    squares += distance * distance;
    return (distance * gain * 255) / range;
  };
  for (let pixel = 0; pixel < width * height; pixel++) {
    isOther = false;
    for (let channel = 0; channel < channels; channel++) data[pixel * 4 + channel] = counted(Math.abs(level(a, pixel, channel) - level(b, pixel, channel)) || 0);
    if (channels === 1) data[pixel * 4 + 1] = data[pixel * 4 + 2] = data[pixel * 4];
    if (hasAlpha) {
      const least = counted(Math.abs(alpha(a, pixel) - alpha(b, pixel)) || 0);
      for (let channel = 0; channel < 3; channel++) if (least > data[pixel * 4 + channel]) data[pixel * 4 + channel] = least;
    }
    data[pixel * 4 + 3] = 255;
    differing += isOther;
  }
  context.putImageData(picture, 0, 0);
  const total = width * height * (channels + hasAlpha);
  const mse = squares / total;
  return { picture: canvas, most, mean: sum / total, mse, psnr: mse === 0 ? Infinity : 10 * Math.log10((range * range) / mse), share: differing / (width * height), range };
}

/** Channels that are colours: the last of two or four is alpha. */
const colors = ({ channels }) => (channels >= 3 ? 3 : 1);

const level = ({ values, channels }, pixel, channel) => values[pixel * channels + (channels >= 3 ? channel : 0)];

const isTranslucent = ({ channels }) => channels === 2 || channels === 4;

const OPAQUE = { u1: 255, u2: 65535 };

const alpha = (image, pixel) => (isTranslucent(image) ? image.values[(pixel + 1) * image.channels - 1] : (OPAQUE[image.valuesKind] ?? 1));

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
