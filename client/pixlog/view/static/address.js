// Texts as addresses hold them. Keys and names may hold half surrogates, which JSON can say and UTF-8 cannot: browsers
// would put U+FFFD in their place. Here they are written as UTF-8 would write them if it could.

const LONE = /(\p{Surrogate})/u;
const WRITTEN = /(%ED%[AB][0-9A-F]%[89AB][0-9A-F])/i;

/** The part of an address that says these [name, text] pairs. */
export const joined = (pairs) => pairs.map(([name, text]) => `${name}=${escaped(String(text))}`).join("&");

/** What the part of an address says: a map from each name to its texts, in order. */
export function split(part) {
  const said = new Map();
  for (const pair of part.split("&").filter(Boolean)) {
    const [name, ...text] = pair.split("=").map(unescaped);
    said.set(name, [...(said.get(name) ?? []), text.join("=")]);
  }
  return said;
}

const escaped = (text) => text.split(LONE).map((piece, at) => (at % 2 ? written(piece.charCodeAt(0)) : encodeURIComponent(piece))).join("");

const written = (code) => [0xed, 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)].map((byte) => `%${byte.toString(16).toUpperCase()}`).join("");

const unescaped = (text) => text.replaceAll("+", " ").split(WRITTEN).map((piece, at) => (at % 2 ? read(piece) : decoded(piece))).join("");

function read(piece) {
  const [, high, low] = piece.slice(1).split("%").map((digits) => parseInt(digits, 16));
  return String.fromCharCode(0xd000 | ((high & 0x3f) << 6) | (low & 0x3f));
}

function decoded(piece) {
  try {
    return decodeURIComponent(piece);
  } catch {
    return piece; // typed by hand
  }
}
