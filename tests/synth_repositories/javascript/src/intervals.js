'use strict';

/** The intervals of `list`, sorted, those that touch or overlap as one. */
function merge(list) {
  const sorted = [...list].sort((a, b) => a[0] - b[0]);
  const merged = [];
  for (const [start, end] of sorted) {
    const last = merged[merged.length - 1];
    if (last && start <= last[1]) {
      last[1] = Math.max(last[1], end);
    } else {
      merged.push([start, end]);
    }
  }
  return merged;
}

/** How much of the line `list` covers. */
function covered(list) {
  let total = 0;
  for (const [start, end] of merge(list)) {
    total += end - start;
  }
  return total;
}

/** The first gap of at least `size` between the intervals of `list`. */
function gap(list, size) {
  const merged = merge(list);
  for (let i = 1; i < merged.length; i++) {
    const free = merged[i][0] - merged[i - 1][1];
    if (free < size) {
      continue;
    }
    return [merged[i - 1][1], merged[i][0]];
  }
  return null;
}

module.exports = { merge, covered, gap };
