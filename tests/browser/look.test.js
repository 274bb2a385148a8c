// Both themes, both widths, the keyboard, and what assistive technology is told.

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';

import { makeData } from './support/data.js';
import { MUTATION, assertNoOverflow, eventually, isLive, pageTest, runPageTests, textOf, waitForMutations, waitForText }
  from './support/stage.js';

const PAGE = new URL('../../proxy/admin/page/', import.meta.url);
const FAILED = /Failed to load resource/;

/*
 * In the page: the text of every element that shows some, whose contrast with what is behind
 * it is less than 4.5 (WCAG 1.4.3), and every line of a legend with less than 3 (1.4.11).
 */
function findPoorContrast() {
  const parse = (colour) => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => top.map((value, i) => (i === 3 ? 1 : value * top[3] + below[i] * (1 - top[3])));
  const light = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    const own = parse(getComputedStyle(node).backgroundColor);
    return own[3] === 1 || !node.parentElement ? own : over(own, ground(node.parentElement));
  };
  const contrast = (colour, node) => {
    const behind = ground(node);
    const [a, b] = [light(over(parse(colour), behind)), light(behind)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const poor = [];
  const judge = (colour, node, least, what) => {
    const ratio = contrast(colour, node);
    if (ratio < least) {
      poor.push(`${ratio.toFixed(2)} ${node.tagName}.${node.className} ${what}`);
    }
  };
  for (const node of document.querySelectorAll('body *')) {
    if (!node.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) {
      continue;
    }
    const style = getComputedStyle(node);
    if ([...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.textContent.trim() !== '')) {
      judge(style.color, node, 4.5, node.textContent.slice(0, 30));
    }
    if (node.matches('input')) {
      judge(getComputedStyle(node, '::placeholder').color, node, 4.5, 'placeholder');
    }
    if (node.matches('.swatch')) {
      judge(style.color, node, 3, node.parentElement.textContent);
    }
  }
  return poor;
}

// In the page: whether each chart that is shown is drawn as wide as its place.
const chartsFit = () => [...document.querySelectorAll('.canvas')]
  .every((place) => !place.checkVisibility() || place.querySelector('canvas')?.clientWidth === place.clientWidth);

const backgroundOf = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

// Every state that looks different, on one page after the other.
const STATES = {
  live: async (page) => {
    await waitForMutations(page, 25);
    await page.locator('.unfold >> nth=3').click();
    await page.locator('#idle-toggle').click();
  },
  dialog: async (page) => {
    await isLive(page);
    await page.locator('#purge-all').click();
  },
  token: async (page, mock) => {
    mock.tokens = {};
    await page.locator('#token').waitFor();
    await page.locator('#token').fill('two words');
    await page.locator('#token').press('Enter');
  },
  gone: async (page, mock) => {
    await isLive(page);
    mock.failing['/api/status'] = [500, 'out of order'];
    await page.locator('#banner').waitFor();
  },
  trouble: async (page, mock) => {
    const { status } = mock.data;
    mock.data.chain = { state: 'broken', records: 3, checked: null, problem: 'audit.jsonl line 7: the hash is another', last_checkpoint: null };
    mock.data.status = () => ({ ...status(), ready: false, reasons: ['upstream is down', 'the trail cannot be written'],
      upstream: { ...status().upstream, state: 'down', circuit: 'open' }, audit: { ...status().audit, writable: false },
      credentials: status().credentials.map((one) => ({ ...one, state: 'refused' })) });
    await waitForText(page, '#ready', /Not ready/);
    await waitForText(page, '#chain', /broken/);
    await page.locator('#filter-range').selectOption('custom');
  },
};

for (const [state, reach] of Object.entries(STATES)) {
  for (const scheme of ['light', 'dark']) {
    pageTest(`${state}, ${scheme}: nothing overflows at 390 and 1440 pixels, and all text can be read`, { scheme, expected: FAILED },
      async ({ page, mock }) => {
        await reach(page, mock);
        for (const width of [1440, 800, 390, 320]) {
          await page.setViewportSize({ width, height: 900 });
          await eventually(() => page.evaluate((wanted) => window.innerWidth === wanted, width));
          await assertNoOverflow(page);
          await eventually(() => page.evaluate(chartsFit), `charts as wide as their panels at ${width}`);
        }
        assert.deepEqual(await page.evaluate(findPoorContrast), []);
      });
  }
}

pageTest('the contrast check finds what cannot be read', {}, async ({ page }) => {
  await isLive(page);
  await page.evaluate(() => {
    document.querySelector('#card-rate').style.color = 'rgb(160, 160, 160)';
  });
  assert.match((await page.evaluate(findPoorContrast)).join(), /^2\.\d+ P\.figure/);
});

// Some pixels of a chart's canvas, as colours.
const inkOf = (page, chart) => page.evaluate((id) => {
  const canvas = document.querySelector(`#${id} canvas`);
  const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height });
  const pen = copy.getContext('2d', { willReadFrequently: true });
  pen.drawImage(canvas, 0, 0);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const seen = {};
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 150) {
      const key = `${data[i] >> 3},${data[i + 1] >> 3},${data[i + 2] >> 3}`;
      seen[key] = (seen[key] ?? 0) + 1;
    }
  }
  return Object.entries(seen).sort((a, b) => b[1] - a[1]).slice(0, 3).map(([key]) => key).join(' ');
}, `${chart}-chart`);

pageTest('charts are drawn, and follow the theme as everything does', {}, async ({ page }) => {
  await isLive(page);
  const [light, lightInk] = [await backgroundOf(page), [await inkOf(page, 'requests'), await inkOf(page, 'latency')]];
  assert.ok(lightInk.every(Boolean), lightInk);
  await page.emulateMedia({ colorScheme: 'dark' });
  await eventually(async () => assert.notEqual(await inkOf(page, 'requests'), lightInk[0]), 'the other colours');
  assert.notEqual(await inkOf(page, 'latency'), lightInk[1]);
  assert.notEqual(await backgroundOf(page), light);
});

pageTest('a chart is read by keyboard, and the other one follows', {}, async ({ page, data }) => {
  await isLive(page);
  const at = (chart) => textOf(page, `#${chart}-when`);
  const newest = await at('requests');
  assert.match(newest, /^\d\d:\d\d:\d\d, newest$/);
  await page.locator('#requests-chart').focus();
  await page.keyboard.press('ArrowLeft');
  assert.notEqual(await at('requests'), newest);
  await page.keyboard.press('Home');
  const { history } = data.status();
  const first = await at('requests');
  assert.equal(await at('latency'), first);
  assert.equal(await textOf(page, '#latency-legend li:nth-child(3) b'), `${Math.round(history.points[0].p99 * 1000)} ms`);
  assert.equal(await textOf(page, '#requests-legend li:nth-child(4) b'), (history.points[0].hits / 10).toFixed(1));
  assert.match(await page.locator('#requests-chart').getAttribute('aria-label'),
    new RegExp(`^Requests a second, the last hour\\. ${first}: errors .* from cache `));
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  assert.match(await at('requests'), /newest$/);
});

pageTest('everything is reached by Tab, in the order of the page, and shows it', { data: makeData(2) }, async ({ page }) => {
  await waitForMutations(page, 2);
  await eventually(async () => await page.locator('#client-rows tr').count() === 7, 'the clients');
  const wanted = await page.evaluate(() => [...document.querySelectorAll('a, button, input, select, [tabindex="0"]')]
    .filter((node) => node.checkVisibility()).map((node) => {
      node.dataset.place = String(Math.random());
      return node.dataset.place;
    }));
  const reached = [];
  while (reached.length < wanted.length) {
    await page.keyboard.press('Tab');
    const [place, outline] = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return [document.activeElement.dataset.place, `${style.outlineStyle} ${style.outlineWidth}`];
    });
    reached.push(place);
    assert.match(outline, /^(solid|auto) [1-9]/, place);
  }
  assert.deepEqual(reached, wanted);
  assert.ok(wanted.length > 20);
});

pageTest('rows unfold with Enter and Space, and the dialog closes with Escape', { data: makeData(2) }, async ({ page, mock }) => {
  await waitForMutations(page, 2);
  const unfold = page.locator(`${MUTATION} .unfold >> nth=0`);
  await unfold.focus();
  await page.keyboard.press('Enter');
  assert.equal(await unfold.getAttribute('aria-expanded'), 'true');
  await page.keyboard.press('Space');
  assert.equal(await unfold.getAttribute('aria-expanded'), 'false');
  await page.getByRole('button', { name: 'Purge scope members' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.equal(await page.evaluate(() => document.activeElement.ariaLabel), 'Purge scope members');
  await page.keyboard.press('Space');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await eventually(() => mock.purged.length === 1, 'the purge');
  await page.locator('#filter-operation').focus();
  await page.keyboard.press('ArrowDown');
  await eventually(() => mock.asked('/api/audit').at(-1).query.operation === 'createContainerRegistry', 'the filter');
});

const NAMED = new Set(['button', 'link', 'textbox', 'searchbox', 'combobox', 'table', 'img', 'image', 'dialog', 'form', 'region', 'DateTime']);

pageTest('every control, table and region has a name', {}, async ({ page, context }) => {
  await waitForMutations(page, 25);
  await page.locator('#filter-range').selectOption('custom');
  await page.locator('.unfold >> nth=0').click();
  const session = await context.newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  const shown = nodes.filter((node) => !node.ignored && NAMED.has(node.role?.value));
  assert.deepEqual(shown.filter((node) => !node.name?.value).map((node) => `${node.role.value} ${node.nodeId}`), []);
  const roles = new Set(shown.map((node) => node.role.value));
  assert.ok(['button', 'combobox', 'searchbox', 'table', 'region'].every((role) => roles.has(role)), [...roles].join());
  const labels = await page.locator('.unfold').evaluateAll((all) => all.map((node) => node.ariaLabel));
  assert.match(labels[0], /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, createTeamSecret, Success: records$/);
});

for (const width of [390, 1440]) {
  pageTest(`tables are tables at ${width} pixels`, { width }, async ({ page, context }) => {
    await waitForMutations(page, 25);
    await eventually(async () => await page.locator('#client-rows tr').count() === 7, 'the clients');
    const session = await context.newCDPSession(page);
    const { nodes } = await session.send('Accessibility.getFullAXTree');
    const count = (role) => nodes.filter((node) => !node.ignored && node.role?.value === role).length;
    assert.equal(count('table'), 3);
    assert.ok(count('row') >= 25 + 7 + 10, count('row'));
    assert.ok(count('cell') >= 25 * 8 + 7 * 10, count('cell'));
  });
}

test('the page’s sources hold no inline code or style and write no HTML', async () => {
  const names = await readdir(PAGE);
  const read = (name) => readFile(new URL(name, PAGE), 'utf8');
  const html = await read('index.html');
  assert.doesNotMatch(html, /\son[a-z]+=|\sstyle=|javascript:|<style|<script(?![^>]*\ssrc=)/i);
  assert.doesNotMatch(html, /\b(src|href)="(https?:)?\/\//);
  for (const name of names.filter((one) => one.endsWith('.js'))) {
    assert.doesNotMatch(await read(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\('style'/, name);
  }
});

runPageTests('look');
