// Files of float32 numbers, and arrays with their axes in another order.
'use strict';

const fs = require('fs');
const path = require('path');

const count = (dims) => dims.reduce((a, b) => a * b, 1);

function read(folder, name, dims) {
  const raw = fs.readFileSync(path.join(folder, `${name}.bin`));
  if (raw.length !== 4 * count(dims)) throw new Error(`${name}.bin has ${raw.length} bytes`);
  return { data: new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length)), dims };
}

// Axis i of the result is axis order[i] of the array.
function transposed({ data, dims }, order) {
  const strides = dims.map((_, i) => count(dims.slice(i + 1)));
  const to = order.map((axis) => dims[axis]), steps = order.map((axis) => strides[axis]);
  const result = new Float32Array(data.length), at = to.map(() => 0);
  let from = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = data[from];
    for (let axis = to.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++at[axis] < to[axis]) break;
      from -= steps[axis] * to[axis];
      at[axis] = 0;
    }
  }
  return { data: result, dims: to };
}

const reshaped = ({ data }, dims) => ({ data, dims });

// (n, rows, columns, channels) to (n, channels, rows, columns) and back; vectors stay.
const images = (t) => (t.dims.length === 4 ? transposed(t, [0, 3, 1, 2]) : t);
const arrays = (t) => (t.dims.length === 4 ? transposed(t, [0, 2, 3, 1]) : t);

// (rows, columns, a, b) to (b, a, rows, columns): the kernels of convolutions and transposed ones
const kernel = (t) => transposed(t, [3, 2, 0, 1]);

module.exports = { read, transposed, reshaped, images, arrays, kernel };
