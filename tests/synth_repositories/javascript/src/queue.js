'use strict';

/** Things that come out in the order in which they went in. */
class Queue {
  constructor(limit) {
    this.limit = limit;
    this.items = [];
    this.refused = 0;
  }

  push(item) {
    if (this.items.length >= this.limit) {
      this.refused += 1;
      return false;
    }
    this.items.push(item);
    return true;
  }

  pop() {
    return this.items.length === 0 ? null : this.items.shift();
  }

  get size() {
    return this.items.length;
  }
}

/** A queue whose smallest thing comes out first. */
class Ordered extends Queue {
  pop() {
    let best = -1;
    for (let i = 0; i < this.items.length; i++) {
      if (best < 0 || this.items[i] < this.items[best]) {
        best = i;
      }
    }
    return best < 0 ? null : this.items.splice(best, 1)[0];
  }
}

/** Runs each job, and counts those that throw. */
function failures(jobs) {
  let failed = 0;
  for (const job of jobs) {
    try {
      job();
    } catch (error) {
      failed += 1;
    }
  }
  return failed;
}

module.exports = { Queue, Ordered, failures };
