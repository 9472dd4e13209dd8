// |a − b| of two images, from their stored values. Alpha is a channel like the others and its difference shows in all
// three colours; an image without it is opaque. Where one side alone is no finite number the difference has no end, and is
// left out of mean and PSNR. `pixlog diff` has the same rules.

/** Compare two arrays of pixels; the picture shows the difference times `gain`, full white at the values' range. */
export function difference(a, b, gain) {
  if (a.width !== b.width || a.height !== b.height) return { problem: `sizes differ: ${a.width}×${a.height} and ${b.width}×${b.height}` };
  if (a.dtype !== b.dtype) return { problem: `kinds of values differ: ${a.dtype} and ${b.dtype}` };
  const { width, height } = a;
  const channels = Math.max(colors(a), colors(b));
  const hasAlpha = isTranslucent(a) || isTranslucent(b);
  const range = rangeOf(a, b);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  const { data } = picture;
  let [most, sum, squares, total, differing] = [0, 0, 0, 0, 0];
  let isOther = false;
  const counted = (distance) => {
    if (distance > 0) isOther = true;
    if (distance > most) most = distance;
    if (distance < Infinity) {
      sum += distance;
      squares += distance * distance;
      total++;
    }
    return (distance * gain * 255) / range;
  };
  for (let pixel = 0; pixel < width * height; pixel++) {
    isOther = false;
    for (let channel = 0; channel < channels; channel++) data[pixel * 4 + channel] = counted(apart(level(a, pixel, channel), level(b, pixel, channel)));
    if (channels === 1) data[pixel * 4 + 1] = data[pixel * 4 + 2] = data[pixel * 4];
    if (hasAlpha) {
      const least = counted(apart(alpha(a, pixel), alpha(b, pixel)));
      for (let channel = 0; channel < 3; channel++) if (least > data[pixel * 4 + channel]) data[pixel * 4 + channel] = least;
    }
    data[pixel * 4 + 3] = 255;
    differing += isOther;
  }
  context.putImageData(picture, 0, 0);
  const mse = squares / total;
  return { picture: canvas, most, mean: sum / total, mse, psnr: mse === 0 ? Infinity : 10 * Math.log10((range * range) / mse), share: differing / (width * height), range };
}

/** Channels that are colours: the last of two or four is alpha. */
const colors = ({ channels }) => (channels >= 3 ? 3 : 1);

const level = ({ values, channels }, pixel, channel) => values[pixel * channels + (channels >= 3 ? channel : 0)];

const isTranslucent = ({ channels }) => channels === 2 || channels === 4;

const OPAQUE = { uint8: 255, uint16: 65535 };

const alpha = (image, pixel) => (isTranslucent(image) ? image.values[(pixel + 1) * image.channels - 1] : (OPAQUE[image.dtype] ?? 1));

/** How far two values are apart: 0 for the same, NaN included, and without end where one alone is no finite number. */
function apart(one, other) {
  if (one === other) return 0;
  const distance = Math.abs(one - other);
  if (!Number.isNaN(distance)) return distance;
  return Number.isNaN(one) && Number.isNaN(other) ? 0 : Infinity;
}

/** The range of values that images could have: that of whole numbers' dtype, 1 for others from 0 to 1, else what is used. */
function rangeOf(a, b) {
  const whole = /^u?int(8|16|32)$/.exec(a.dtype);
  if (whole) return 2 ** Number(whole[1]) - 1;
  let [low, high] = [Infinity, -Infinity];
  for (const { values } of [a, b]) {
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low >= high || (low >= 0 && high <= 1) ? 1 : high - low;
}
