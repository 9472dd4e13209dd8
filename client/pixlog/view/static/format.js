// How the page writes numbers, times and sizes.

const counts = new Intl.NumberFormat("en-US");

export const count = (number) => counts.format(number);

export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export function nbytes(size) {
  if (size === null || size === undefined) return "";
  let value = size;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5) return unit === "B" ? `${value} B` : `${value < 99.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

export function number(value, digits = 5) {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return Math.abs(value) < 1e15 ? String(value) : value.toExponential(3);
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(3) : String(Number(value.toPrecision(digits)));
}

const two = (value) => String(value).padStart(2, "0");

export function clock(unixS) {
  const when = new Date(unixS * 1000);
  return `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

export function moment(unixS) {
  const when = new Date(unixS * 1000);
  return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())} ${clock(unixS)}`;
}

export function ago(unixS) {
  const seconds = Math.max(0, Date.now() / 1000 - unixS);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} d ago`;
}

export function axisName(axis) {
  return axis.startsWith("meta:") ? axis.slice(5) : axis;
}

export function axisValue(axis, value) {
  return axis === "time" ? moment(value) : number(value, 7);
}

/** Any caption as one text: JSON for what is no text. */
export function caption(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
