// How the stored values of an image are spread, one curve for each channel.

import { fill, h } from "./dom.js";
import { count, number } from "./format.js";

const BINS = 256;
const CHANNEL_COLORS = { 1: ["#9a9a9a"], 2: ["#9a9a9a", "#c9a227"], 3: ["#e05a52", "#4fae63", "#4c8dd6"], 4: ["#e05a52", "#4fae63", "#4c8dd6", "#9a9a9a"] };

/** Counts by channel and bin, and what the values are like: {low, high, bins, least, most, mean, nanCount}. */
export function histogramOf({ values, channels, dtype }) {
  let [least, most, sum, nanCount] = [Infinity, -Infinity, 0, 0];
  for (const value of values) {
    if (Number.isFinite(value)) {
      if (value < least) least = value;
      if (value > most) most = value;
      sum += value;
    } else nanCount++;
  }
  const isByte = dtype === "uint8";
  const [low, high] = isByte ? [0, 255] : [least, most];
  const bins = Array.from({ length: channels }, () => new Float64Array(BINS));
  const scale = high > low ? (BINS - 1) / (high - low) : 0;
  for (let at = 0; at < values.length; at++) if (Number.isFinite(values[at])) bins[at % channels][Math.round((values[at] - low) * scale)]++;
  return { low, high, bins, least, most, mean: sum / Math.max(1, values.length - nanCount), nanCount };
}

/** Fill `panel` with the histogram of an image. */
export function fillHistogram(panel, packed) {
  const found = histogramOf(packed);
  const canvas = h("canvas", { class: "histogram", role: "img", "aria-label": `Histogram of ${packed.channels} channels from ${number(found.low)} to ${number(found.high)}`, width: 560, height: 144 });
  draw(canvas, found, packed.channels);
  fill(
    panel,
    canvas,
    h("div", { class: "histogram-ends tabular dim" }, h("span", { text: number(found.low) }), h("span", { text: number(found.high) })),
    h("p", { class: "tabular facts" }, `min ${number(found.least)}  max ${number(found.most)}  mean ${number(found.mean)}`, found.nanCount > 0 && `  ${count(found.nanCount)} not finite`),
  );
}

function draw(canvas, { bins }, channels) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  // The square root keeps rare values visible beside a background that fills half of the image.
  const most = Math.sqrt(Math.max(1, ...bins.map((counts) => Math.max(...counts))));
  for (const [channel, counts] of bins.entries()) {
    context.beginPath();
    context.moveTo(0, height);
    counts.forEach((some, bin) => {
      const y = height - (Math.sqrt(some) / most) * (height - 2);
      context.lineTo((bin / BINS) * width, y);
      context.lineTo(((bin + 1) / BINS) * width, y);
    });
    context.lineTo(width, height);
    context.fillStyle = (CHANNEL_COLORS[channels] ?? CHANNEL_COLORS[4])[channel % 4];
    context.globalAlpha = channels > 1 ? 0.5 : 0.85;
    context.fill();
  }
}
