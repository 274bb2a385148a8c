// The poller by itself, with a clock that the test moves.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, test } from 'node:test';

const source = await readFile(new URL('../../proxy/admin/page/api.js', import.meta.url), 'utf8');
const { Poller } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const real = { setTimeout, clearTimeout };

let waiting = null; // the timer that is set: { call, wait }

beforeEach(() => {
  waiting = null;
  globalThis.setTimeout = (call, wait) => {
    waiting = { call, wait };
    return waiting;
  };
  globalThis.clearTimeout = (timer) => {
    waiting = timer === waiting ? null : waiting;
  };
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
});

afterEach(() => {
  Object.assign(globalThis, real);
  delete globalThis.document;
});

const settle = () => new Promise((resolve) => setImmediate(resolve));

// The time of the timer that is set comes; gives how long that was.
async function pass() {
  const { call, wait } = waiting;
  waiting = null;
  call();
  await settle();
  return wait;
}

test('after failures it waits twice as long each time, 30 seconds at most, and is told', async () => {
  let isWell = false;
  const told = [];
  const poller = new Poller(2000, async () => {
    if (!isWell) {
      throw new Error('it is not well');
    }
  }, (error, wait) => told.push(wait));
  poller.start();
  await settle();
  const waits = [await pass(), await pass(), await pass(), await pass(), await pass()];
  assert.deepEqual(waits, [4000, 8000, 16000, 30000, 30000]);
  assert.deepEqual(told, [...waits, 30000]);
  isWell = true;
  await pass();
  assert.equal(waiting.wait, 2000);
});

test('hidden it does not ask, and seen again it asks at once', async () => {
  let turns = 0;
  const poller = new Poller(1000, async () => { turns += 1; }, assert.fail);
  poller.start();
  await settle();
  document.visibilityState = 'hidden';
  await pass();
  assert.deepEqual([turns, waiting], [1, null]);
  document.visibilityState = 'visible';
  document.dispatchEvent(new Event('visibilitychange'));
  await settle();
  assert.deepEqual([turns, waiting.wait], [2, 1000]);
});

test('it asks one thing at a time, and stops when it is told to', async () => {
  let turns = 0;
  let finish = null;
  const poller = new Poller(1000, () => new Promise((resolve) => {
    turns += 1;
    finish = resolve;
  }), assert.fail);
  poller.start();
  poller.now();
  await settle();
  assert.equal(turns, 1);
  poller.stop();
  finish();
  await settle();
  assert.equal(waiting, null);
});
