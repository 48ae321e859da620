'use strict';

const test = require('node:test');
const assert = require('node:assert');
const { merge, covered, gap } = require('../src/intervals.js');

test('merge sorts', () => assert.deepStrictEqual(merge([[5, 6], [1, 2]]), [[1, 2], [5, 6]]));
test('merge joins what overlaps', () => assert.deepStrictEqual(merge([[1, 4], [2, 3], [3, 6]]), [[1, 6]]));
test('merge joins what touches', () => assert.deepStrictEqual(merge([[1, 2], [2, 3]]), [[1, 3]]));
test('merge leaves its list alone', () => {
  const list = [[3, 4], [1, 2]];
  merge(list);
  assert.deepStrictEqual(list, [[3, 4], [1, 2]]);
});
test('covered counts once', () => assert.strictEqual(covered([[0, 4], [2, 6], [10, 11]]), 7));
test('covered of nothing', () => assert.strictEqual(covered([]), 0));
test('gap finds the first that is large enough', () => {
  assert.deepStrictEqual(gap([[0, 1], [2, 3], [6, 7], [20, 21]], 3), [3, 6]);
});
test('gap of exactly the size', () => assert.deepStrictEqual(gap([[0, 1], [3, 4]], 2), [1, 3]));
test('gap that is not there', () => assert.strictEqual(gap([[0, 1], [2, 3]], 5), null));
