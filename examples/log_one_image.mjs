// A pixlog client in another language: one RGB image, sent inline, msgpack written by hand.
//
//   pixlogd serve --socket /tmp/pixlogd.sock &
//   node examples/log_one_image.mjs /tmp/pixlogd.sock /absolute/run/dir
//
// docs/protocol.md says what the frames mean.
import net from "node:net";
import os from "node:os";
import { randomBytes } from "node:crypto";

const [socketPath, runDir] = process.argv.slice(2);
const HELLO = 1, WELCOME = 2, LOG = 5, ACK = 6;

function pack(value) {
  if (value === null) return Buffer.from([0xc0]);
  if (value === true || value === false) return Buffer.from([value ? 0xc3 : 0xc2]);
  if (value instanceof Number) return sized(9, (b) => { b[0] = 0xcb; b.writeDoubleBE(Number(value), 1); });
  if (typeof value === "number") return sized(9, (b) => { b[0] = 0xd3; b.writeBigInt64BE(BigInt(value), 1); });
  if (typeof value === "string") {
    const text = Buffer.from(value);
    return Buffer.concat([sized(5, (b) => { b[0] = 0xdb; b.writeUInt32BE(text.length, 1); }), text]);
  }
  const entries = Array.isArray(value) ? value : Object.entries(value).flat();
  const [tag, count] = Array.isArray(value) ? [0xdd, entries.length] : [0xdf, entries.length / 2];
  return Buffer.concat([sized(5, (b) => { b[0] = tag; b.writeUInt32BE(count, 1); }), ...entries.map(pack)]);
}

function sized(nbytes, fill) {
  const buffer = Buffer.alloc(nbytes);
  fill(buffer);
  return buffer;
}

function frame(kind, header, payload = Buffer.alloc(0)) {
  const bin32 = sized(5, (b) => { b[0] = 0xc6; b.writeUInt32BE(payload.length, 1); });
  const head = Buffer.concat([Buffer.from([payload.length ? 0x92 : 0x91]), pack(header), ...(payload.length ? [bin32] : [])]);
  const prelude = sized(16, (b) => {
    b.write("PX");
    b[2] = 1; // protocol version, major
    b[3] = kind;
    b.writeUInt32BE(head.length, 4);
    b.writeBigUInt64BE(BigInt(payload.length), 8);
  });
  return Buffer.concat([prelude, head, payload]);
}

const width = 64, height = 48;
const pixels = Buffer.alloc(width * height * 3);
for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) pixels.set([x * 4, y * 5, 128], 3 * (y * width + x));

const socket = net.connect(socketPath);
let received = Buffer.alloc(0);
socket.write(frame(HELLO, {
  version: [1, 0], client: randomBytes(8).toString("hex"), run_dir: runDir, rank: 0, host: os.hostname(),
  pid: process.pid, resume: 0, again: false,
}));
socket.on("data", (data) => {
  received = Buffer.concat([received, data]);
  while (received.length >= 16 && received.length >= 16 + received.readUInt32BE(4)) {
    const kind = received[3], end = 16 + received.readUInt32BE(4), body = received.subarray(16, end).toString("latin1");
    received = received.subarray(end);
    if (kind === WELCOME) {
      const data = { kind: "array", buffer: 0, dtype: "|u1", shape: [height, width, 3], layout: "HWC", origin: "node" };
      socket.write(frame(LOG, {
        seq: 0, key: "from/node", step: 0, time: new Number(Date.now() / 1000), items: [{ data, caption: "hello" }],
        buffers: [[0, pixels.length]],
      }, pixels));
    } else {
      console.log(kind === ACK && body.includes("saved") ? "saved" : `kind ${kind}: ${body}`);
      socket.end();
    }
  }
});
