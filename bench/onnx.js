// Writes ONNX models (https://onnx.ai, onnx.proto3), as far as peer_onnxruntime.js needs them: protocol
// buffers are fields of a number, a kind, and a value or a length and bytes.
'use strict';

function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);

function bytes(field, value) {
  const data = Buffer.isBuffer(value) ? value : Buffer.from(value);
  return Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);
}

function float(field, value) {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), data]);
}

const FLOAT = 1, INT64 = 7; // element types

// { data: Float32Array or BigInt64Array, dims } as a TensorProto
function tensor(name, { data, dims }) {
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat([
    ...dims.map((d) => number(1, d)),
    number(2, data instanceof Float32Array ? FLOAT : INT64), bytes(8, name), bytes(9, raw)]);
}

// A list is INTS, an integer INT; { float } FLOAT; a string STRING.
function attribute(name, value) {
  const start = bytes(1, name);
  if (Array.isArray(value)) return Buffer.concat([start, ...value.map((v) => number(8, v)), number(20, 7)]);
  if (typeof value === 'string') return Buffer.concat([start, bytes(4, value), number(20, 3)]);
  if (typeof value === 'object') return Buffer.concat([start, float(2, value.float), number(20, 1)]);
  return Buffer.concat([start, number(3, value), number(20, 2)]);
}

function node({ op, inputs, output, attributes }) {
  return Buffer.concat([
    ...inputs.map((i) => bytes(1, i)), bytes(2, output), bytes(4, op),
    ...Object.entries(attributes || {}).map(([name, value]) => bytes(5, attribute(name, value)))]);
}

function value(name, dims) {
  const shape = Buffer.concat(dims.map((d) => bytes(1, number(1, d))));
  return Buffer.concat([bytes(1, name), bytes(2, bytes(1, Buffer.concat([number(1, FLOAT), bytes(2, shape)])))]);
}

// graph: { nodes, weights: { NAME: { data, dims } }, inputs: { NAME: dims }, outputs: { NAME: dims } }
function model(graph) {
  const parts = [
    ...graph.nodes.map((n) => bytes(1, node(n))), bytes(2, 'bench'),
    ...Object.entries(graph.weights).map(([name, t]) => bytes(5, tensor(name, t))),
    ...Object.entries(graph.inputs).map(([name, dims]) => bytes(11, value(name, dims))),
    ...Object.entries(graph.outputs).map(([name, dims]) => bytes(12, value(name, dims)))];
  const opset = Buffer.concat([bytes(1, ''), number(2, 13)]);
  return Buffer.concat([number(1, 7), bytes(7, Buffer.concat(parts)), bytes(8, opset)]);
}

module.exports = { model };
