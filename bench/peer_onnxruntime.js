// ONNX Runtime, for bench/compare.py: peer_onnxruntime.js FOLDER THREADS, where FOLDER/node_modules has
// onnxruntime-node. README.md tells the requests. It has no gradients: the one with respect to an
// operation's input is the forward pass of the adjoint operation.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');
const { model } = require('./onnx');
const { read, images, arrays, kernel } = require('./onnx_arrays');
const network = require('./onnx_network');

const [, , folder, threads] = process.argv;
const installed = path.resolve(folder, 'node_modules');
const ort = require(path.join(installed, 'onnxruntime-node'));
const MOST_TIMES = 1000;

let current = null; // { session, feeds, fetches, name, dims }

async function load(graph, input, output) {
  const session = await ort.InferenceSession.create(model(graph), {
    intraOpNumThreads: Number(threads), interOpNumThreads: 1, executionMode: 'sequential',
    graphOptimizationLevel: 'all', logSeverityLevel: 3 });
  const name = Object.keys(graph.outputs)[0];
  const size = output.reduce((a, b) => a * b, 1);
  current = {
    session, name, dims: output, feeds: { x: new ort.Tensor('float32', input.data, input.dims) },
    fetches: { [name]: new ort.Tensor('float32', new Float32Array(size), output) } };
  return 'channels-first';
}

function prepareOperation([pass, op, ...words]) {
  const from = words.pop();
  let [n, ic, h, w, oc, kh, kw, sh, sw, beforeH, beforeW, oh, ow, groups] = words.map(Number);
  let transposedOp = op === 'convT';
  if (pass === 'bwd_w') throw new Error('ONNX Runtime has no kernel gradient');
  if (pass === 'bwd_d') {
    transposedOp = !transposedOp;
    [ic, oc, h, oh, w, ow] = [oc, ic, oh, h, ow, w];
  }
  const after = (small, large, size, stride, before) => (small - 1) * stride + size - large - before;
  const afterH = transposedOp ? after(h, oh, kh, sh, beforeH) : after(oh, h, kh, sh, beforeH);
  const afterW = transposedOp ? after(w, ow, kw, sw, beforeW) : after(ow, w, kw, sw, beforeW);
  const atLeast0 = (v) => Math.max(v, 0);
  const attributes = {
    kernel_shape: [kh, kw], strides: [sh, sw], group: groups,
    pads: [beforeH, beforeW, atLeast0(afterH), atLeast0(afterW)] };
  if (transposedOp) attributes.output_padding = [atLeast0(-afterH), atLeast0(-afterW)];
  const dims = transposedOp ? [kh, kw, oc / groups, ic] : [kh, kw, ic / groups, oc];
  const input = images(read(from, pass === 'bwd_d' ? 'g' : 'x', [n, h, w, ic]));
  const graph = {
    nodes: [{ op: transposedOp ? 'ConvTranspose' : 'Conv', inputs: ['x', 'kernel'], output: 'y', attributes }],
    weights: { kernel: kernel(read(from, 'kernel', dims)) },
    inputs: { x: input.dims }, outputs: { y: [n, oc, oh, ow] } };
  return load(graph, input, [n, oc, oh, ow]);
}

function prepareNetwork([file, name, batch, loss, from]) {
  if (loss !== 'predict') throw new Error('ONNX Runtime does not train');
  const { graph, input, output } = network.build(file, name, Number(batch), from);
  return load(graph, images(read(from, 'x', input)), output);
}

const run = () => current.session.run(current.feeds, current.fetches);

async function values(file) {
  const result = (await run())[current.name];
  const { data } = arrays({ data: result.data, dims: current.dims });
  fs.writeFileSync(file, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  return '';
}

// One run that does not count, then as many as the time allows.
async function timed(milliseconds) {
  const times = [];
  await run();
  const begin = performance.now();
  while (times.length < 1 || (times.length < MOST_TIMES && performance.now() - begin < milliseconds)) {
    const before = performance.now();
    await run();
    times.push((performance.now() - before).toFixed(5));
  }
  return times.join(' ');
}

async function prepare(make, words) {
  if (current) await current.session.release();
  current = null;
  return make(words);
}

async function answer([word, ...rest]) {
  if (word === 'op') return prepare(prepareOperation, rest);
  if (word === 'net') return prepare(prepareNetwork, rest);
  if (word === 'values') return values(rest[1]);
  if (word === 'time') return timed(Number(rest[1]));
  throw new Error(`does not know '${word}'`);
}

async function main() {
  const { version } = JSON.parse(fs.readFileSync(path.join(installed, 'onnxruntime-node/package.json')));
  console.log(`ok ONNX Runtime ${version}`);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      console.log(`ok ${await answer(line.trim().split(/\s+/))}`);
    } catch (error) { // whatever it is, the next request may go well
      console.log(`no ${String(error.message).replace(/\s+/g, ' ').slice(0, 400)}`);
    }
  }
}

main();
