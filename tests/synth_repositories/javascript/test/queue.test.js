'use strict';

const test = require('node:test');
const assert = require('node:assert');
const { Queue, Ordered, failures } = require('../src/queue.js');

function filled(queue, items) {
  items.forEach((item) => queue.push(item));
  return queue;
}

test('queue keeps the order', () => {
  const queue = filled(new Queue(9), [3, 1, 2]);
  assert.deepStrictEqual([queue.pop(), queue.pop(), queue.pop()], [3, 1, 2]);
});
test('queue is empty at last', () => assert.strictEqual(new Queue(1).pop(), null));
test('queue refuses what exceeds it', () => {
  const queue = filled(new Queue(2), [1, 2]);
  assert.strictEqual(queue.push(3), false);
  assert.strictEqual(queue.refused, 1);
});
test('queue tells its size', () => assert.strictEqual(filled(new Queue(5), [1, 2]).size, 2));
test('ordered gives the smallest', () => {
  const queue = filled(new Ordered(9), [3, 1, 2]);
  assert.deepStrictEqual([queue.pop(), queue.pop(), queue.pop(), queue.pop()], [1, 2, 3, null]);
});
test('ordered is bounded too', () => assert.strictEqual(filled(new Ordered(1), [4, 5]).size, 1));
test('failures are counted', () => {
  const bad = () => { throw new Error('no'); };
  assert.strictEqual(failures([bad, () => 1, bad]), 2);
});
