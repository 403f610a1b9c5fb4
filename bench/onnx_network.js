// The networks of networks.txt as ONNX graphs.
'use strict';

const fs = require('fs');
const { read, transposed, reshaped, images, kernel } = require('./onnx_arrays');

const ACTIVATIONS = { relu: 'Relu', tanh: 'Tanh', sigmoid: 'Sigmoid', softmax: 'Softmax' };

function linesOf(file, network) {
  const lines = [];
  let inside = false;
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[0] === '' || words[0].startsWith('#')) continue;
    if (words[0] === 'network' || words[0] === 'case') {
      if (inside) break;
      inside = words[0] === 'network' && words[1] === network;
    } else if (inside) lines.push(words);
  }
  if (lines.length === 0) throw new Error(`there is no network '${network}'`);
  return lines;
}

// Keras' same padding as ONNX' pads for two equal axes.
function same(extent, size, stride) {
  const needed = Math.max((Math.ceil(extent / stride) - 1) * stride + size - extent, 0);
  const before = Math.floor(needed / 2);
  return [before, before, needed - before, needed - before];
}

class Builder {
  constructor(folder, batch) {
    Object.assign(this, { folder, batch, nodes: [], weights: {}, kept: {}, at: 'x' });
  }

  node(op, inputs, attributes) {
    const output = `v${this.nodes.length}`;
    this.nodes.push({ op, inputs: [this.at, ...inputs], output, attributes });
    this.at = output;
  }

  weight(name, dims, convert = (t) => t) {
    const full = `${this.label}.${name}`;
    this.weights[full] = convert(read(this.folder, full, dims));
    return full;
  }

  activation(name) {
    if (name) this.node(ACTIVATIONS[name], [], name === 'softmax' ? { axis: 1 } : {});
  }

  conv(f, k, s, activation) {
    const [h, w, c] = this.shape;
    const inputs = [this.weight('kernel', [k, k, c, f], kernel), this.weight('bias', [f])];
    this.node('Conv', inputs, { kernel_shape: [k, k], strides: [s, s], pads: same(h, k, s) });
    this.shape = [Math.ceil(h / s), Math.ceil(w / s), f];
    this.activation(activation);
  }

  up(f, k, s, activation) {
    const [h, w, c] = this.shape;
    const before = Math.floor((k - s) / 2), after = k - s - before;
    const inputs = [this.weight('kernel', [k, k, f, c], kernel), this.weight('bias', [f])];
    this.node('ConvTranspose', inputs,
      { kernel_shape: [k, k], strides: [s, s], pads: [before, before, after, after] });
    this.shape = [h * s, w * s, f];
    this.activation(activation);
  }

  separable(f, k) {
    const [h, w, c] = this.shape;
    const depthwise = this.weight('depthwise_kernel', [k, k, c, 1], (t) => transposed(t, [2, 3, 0, 1]));
    this.node('Conv', [depthwise], { kernel_shape: [k, k], group: c, pads: same(h, k, 1) });
    this.node('Conv', [this.weight('pointwise_kernel', [1, 1, c, f], kernel)], { kernel_shape: [1, 1] });
    this.shape = [h, w, f];
  }

  // What was flattened, and what is reshaped next, is in ONNX' order.
  dense(m, activation) {
    const n = this.shape.reduce((a, b) => a * b, 1), next = this.next;
    const turn = (t) => {
      let weight = t;
      if (this.shape.length === 3) weight = reshaped(transposed(reshaped(t, [...this.shape, m]), [2, 0, 1, 3]), [n, m]);
      if (next[0] === 'reshape') weight = reshaped(images(reshaped(weight, [n, ...next.slice(1)])), [n, m]);
      return weight;
    };
    const turnBias = (t) => (next[0] === 'reshape' ? reshaped(images(reshaped(t, [1, ...next.slice(1)])), [m]) : t);
    this.node('Gemm', [this.weight('kernel', [n, m], turn), this.weight('bias', [m], turnBias)]);
    this.shape = [m];
    this.activation(activation);
  }

  reshape(h, w, c) {
    this.weights[this.label] = { data: BigInt64Array.from([this.batch, c, h, w].map(BigInt)), dims: [4] };
    this.node('Reshape', [this.label]);
    this.shape = [h, w, c];
  }

  flatten() { // this.shape is kept, for the kernel of the dense layer
    this.node('Flatten', [], { axis: 1 });
  }

  mean() {
    this.node('GlobalAveragePool', []);
    this.node('Flatten', [], { axis: 1 });
    this.shape = this.shape.slice(2);
  }

  max_pool(k, s) {
    const [h, w, c] = this.shape;
    this.node('MaxPool', [], { kernel_shape: [k, k], strides: [s, s], pads: same(h, k, s) });
    this.shape = [Math.ceil(h / s), Math.ceil(w / s), c];
  }

  prelu() {
    const c = this.shape[2];
    this.node('PRelu', [this.weight('alpha', [c], (t) => reshaped(t, [c, 1, 1]))]);
  }

  batch_norm() {
    const c = this.shape[this.shape.length - 1];
    const names = ['gamma', 'beta', 'moving_mean', 'moving_variance'];
    this.node('BatchNormalization', names.map((name) => this.weight(name, [c])), { epsilon: { float: 1e-3 } });
  }

  dropout() {} // does nothing in prediction

  input(...extents) {
    this.shape = extents;
  }

  save(name) {
    this.kept[name] = { at: this.at, shape: this.shape };
  }

  load(name) {
    Object.assign(this, this.kept[name]);
  }

  add(name) {
    this.node('Add', [this.kept[name].at]);
  }

  concat(name) {
    const { at, shape } = this.kept[name];
    this.node('Concat', [at], { axis: 1 });
    this.shape = [...this.shape.slice(0, 2), this.shape[2] + shape[2]];
  }
}

const withBatch = (n, [h, w, c]) => (w === undefined ? [n, h] : [n, c, h, w]);

// The graph (see onnx.js), and its one input and output: { graph, input, output }.
function build(file, network, batch, folder) {
  const b = new Builder(folder, batch);
  const lines = linesOf(file, network).map((words) => words.map((w) => (/^\d/.test(w) ? Number(w) : w)));
  let input;
  lines.forEach(([word, ...rest], i) => {
    b.label = `l${i + 1}`;
    b.next = lines[i + 1] || [''];
    if (ACTIVATIONS[word]) b.activation(word);
    else b[word](...rest);
    input = input || b.shape;
  });
  const output = withBatch(batch, b.shape);
  const graph = { nodes: b.nodes, weights: b.weights, inputs: { x: withBatch(batch, input) }, outputs: { [b.at]: output } };
  return { graph, input: [batch, ...input], output };
}

module.exports = { build };
