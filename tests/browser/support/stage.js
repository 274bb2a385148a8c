// A page in Chromium before a mock, watched for anything that a page must not do.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, describe, test } from 'node:test';

import { chromium } from 'playwright-core';

import { makeData } from './data.js';
import { Mock } from './mock.js';

export const DEADLINE_MS = 20000;
const CHROMIUM = '/usr/bin/chromium';

let browser = null;

// One for all tests of a file. As root it has no sandbox of its own to use.
function theBrowser() {
  assert.ok(existsSync(CHROMIUM), `${CHROMIUM} is missing: apt-get install chromium`);
  browser ??= chromium.launch({ executablePath: CHROMIUM, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
  return browser;
}

after(async () => (await browser)?.close());

/*
 * Waits until check() gives something true, or nothing at all without throwing, and gives
 * it; the last error is the reason when it never does.
 */
export async function eventually(check, what = 'it') {
  const end = Date.now() + DEADLINE_MS;
  let reason = null;
  while (Date.now() < end) {
    try {
      const result = await check();
      if (result !== false && result !== null) {
        return result;
      }
      reason = null;
    } catch (error) {
      reason = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  throw new Error(`waited in vain for ${what}${reason ? `: ${reason.message}` : ''}`, { cause: reason });
}

// Messages, errors, violations and requests to elsewhere, as they come.
export function watch(page, origin) {
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning', 'assert'].includes(message.type())) {
      complaints.push(`console ${message.type()}: ${message.text()}`);
    }
  });
  page.on('pageerror', (error) => complaints.push(`error: ${error.stack}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(origin)) {
      complaints.push(`request to ${request.url()}`);
    }
  });
  return complaints;
}

const VIOLATIONS = `document.addEventListener('securitypolicyviolation',
  (event) => console.error('violates ' + event.violatedDirective + ': ' + event.blockedURI));`;

export async function openContext({ width = 1440, height = 900, scheme = 'light', zone = 'UTC', scale = 1 } = {}) {
  const context = await (await theBrowser()).newContext({
    viewport: { width, height }, colorScheme: scheme, timezoneId: zone, reducedMotion: 'reduce', deviceScaleFactor: scale });
  context.setDefaultTimeout(DEADLINE_MS);
  await context.addInitScript(VIOLATIONS);
  return context;
}

const SIDE_BY_SIDE = 4; // they wait most of the time
const collected = [];

/*
 * pageTest(NAME, OPTIONS, async ({ page, mock, data, context, complaints }) => …) opens the
 * page and runs the body; afterwards the page must have complained of nothing. Options: data;
 * tokens for the mock; prepare(mock) and beforeOpening(page); those of openContext; expected,
 * a pattern of what the browser itself writes to the console about answers such as 401.
 */
export function pageTest(name, options, body) {
  collected.push([name, (t) => runPageTest(t, options, body)]);
}

// At a file's end: runs what pageTest has collected.
export function runPageTests(title) {
  describe(title, { concurrency: SIDE_BY_SIDE }, () => {
    collected.forEach(([name, run]) => test(name, { timeout: 3 * DEADLINE_MS }, run));
  });
}

async function runPageTest(t, options, body) {
  const { data = makeData(), tokens = null, expected = null } = options;
  const mock = new Mock(data);
  mock.tokens = tokens;
  options.prepare?.(mock);
  await mock.open();
  const context = await openContext(options);
  t.after(async () => {
    await context.close();
    await mock.close();
  });
  const page = await context.newPage();
  const complaints = watch(page, mock.url);
  await options.beforeOpening?.(page);
  await page.goto(mock.url);
  await body({ page, mock, data, context, complaints });
  assert.deepEqual(complaints.filter((one) => !expected?.test(one)), []);
}

// What a person sees of an element: its text, with plain spaces.
export async function textOf(page, selector) {
  return (await page.locator(selector).innerText()).replace(/[\s\u202f]+/g, ' ').trim();
}

export const textsOf = async (page, selector) =>
  (await page.locator(selector).allInnerTexts()).map((text) => text.replace(/[\s\u202f]+/g, ' ').trim());

export async function waitForText(page, selector, pattern) {
  await eventually(async () => assert.match(await textOf(page, selector), pattern), `${pattern} in ${selector}`);
}

export const isLive = (page) => waitForText(page, '#link', /^Live$/);

// The rows of the trail that are shown, without what they unfold to.
export const MUTATION = '#mutations .mutation';

export async function waitForMutations(page, count) {
  await eventually(async () => assert.equal(await page.locator(MUTATION).count(), count), `${count} mutations`);
}

export async function assertNoOverflow(page) {
  const wide = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.scrollingElement;
    const over = [...document.querySelectorAll('.panel, .card, .banner, .bar, dialog, .records section, td, dd, button')]
      .filter((node) => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1
        && getComputedStyle(node).overflowX === 'visible' && getComputedStyle(node).display !== 'inline')
      .map((node) => `${node.tagName} ${node.className} ${node.id}: ${node.scrollWidth} > ${node.clientWidth}`);
    return scrollWidth > clientWidth ? [`the page: ${scrollWidth} > ${clientWidth}`, ...over] : over;
  });
  assert.deepEqual(wide, []);
}

// Asked for as often as the page does, so that what did not happen can be asserted.
export async function afterPolls(mock, path, count) {
  const before = mock.asked(path).length;
  await eventually(() => mock.asked(path).length >= before + count, `${count} requests for ${path}`);
}
