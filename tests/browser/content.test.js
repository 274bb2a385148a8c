// What each section says, and that it stays true without reloading.

import assert from 'node:assert/strict';

import { makeData, secondsAgo } from './support/data.js';
import { afterPolls, eventually, isLive, pageTest, runPageTests, textOf, textsOf, waitForMutations, waitForText } from './support/stage.js';

const cellsOf = (page, row) => textsOf(page, `${row} > td`);

pageTest('the header names version, state, uptime, workers and configuration', {}, async ({ page }) => {
  await isLive(page);
  assert.equal(await textOf(page, 'h1'), 'psgate 0.1.0');
  assert.equal(await textOf(page, '#ready'), 'Ready');
  assert.equal(await textOf(page, '.facts'), 'Up 3 d 4 h Workers 2 Configuration #4');
  assert.equal(await page.title(), 'psgate');
});

pageTest('the key numbers are those of the status', {}, async ({ page, data }) => {
  await isLive(page);
  const { points } = data.status().history;
  const minute = points.slice(-7, -1); // the last one is still growing
  const total = (items, key) => items.reduce((sum, one) => sum + one[key], 0);
  assert.equal(await textOf(page, '#card-rate'), `${(total(minute, 'requests') / 60).toFixed(1)}/s`);
  assert.equal(await textOf(page, '#card-rate-note'), '397,542 since the start');
  assert.equal(await textOf(page, '#card-errors'), '0.1 %');
  assert.equal(await textOf(page, '#card-errors-note'),
    `${total(points.slice(0, -1), 'errors')} errors, ${total(points.slice(0, -1), 'refused')} refused`);
  assert.equal(await textOf(page, '#card-hits'), '94.3 %');
  assert.equal(await textOf(page, '#card-hits-note'), '258,227 of 273,792 lookups');
  assert.equal(await textOf(page, '#card-p99'), `${Math.round(1000 * Math.max(...minute.map((one) => one.p99)))} ms`);
  assert.equal(await textOf(page, '#card-flight'), '5');
  assert.equal(await textOf(page, '#card-flight-note'), 'on 38 connections');
  assert.equal(await textOf(page, '#card-cache'), '12.4 MiB');
  assert.equal(await textOf(page, '#card-cache-note'), 'of 64 MiB · 23,114 answers');
});

pageTest('operations show their hit ratio, and the idle ones on request', {}, async ({ page }) => {
  await isLive(page);
  assert.deepEqual(await cellsOf(page, '#operation-rows tr:nth-child(1)'),
    ['getSession', '214,862', '3', '371', '95.8 %', '198,114', '1,927', '5,870', '8,951', 'session Purge…']);
  const bar = page.locator('#operation-rows tr:nth-child(2) .meter i');
  assert.match(await bar.getAttribute('style'), /width: 88\.7\d+%/);
  assert.deepEqual((await cellsOf(page, '#operation-rows tr:nth-child(3)')).slice(0, 5),
    ['updateTeamMember', '41', '0', '0', 'not cached']);
  assert.equal(await page.locator('#operation-rows tr').count(), 10);
  await page.getByRole('button', { name: 'Show 10 that were never asked for' }).click();
  assert.equal(await page.locator('#operation-rows tr').count(), 20);
  assert.equal(await page.locator('#idle-toggle').getAttribute('aria-expanded'), 'true');
});

pageTest('upstream shows its health, circuit and pool', {}, async ({ page, data }) => {
  await isLive(page);
  assert.equal(await textOf(page, '#upstream-state'), 'Up');
  assert.equal(await textOf(page, '#upstream-url'), 'https://api.paperspace.com');
  assert.equal(await textOf(page, '#upstream-circuit'), 'Closed');
  assert.equal(await textOf(page, '#upstream-pool'), '5 active, 27 idle of 256');
  assert.equal(await textOf(page, '#upstream-failure'), '22 min ago: connection timed out');
  const { status } = data;
  data.status = () => ({ ...status(), upstream: { ...status().upstream, state: 'down', circuit: 'open' } });
  await waitForText(page, '#upstream-state', /^Down$/);
  assert.match(await textOf(page, '#upstream-circuit'), /^Open/);
});

pageTest('keys show their slot and state', {}, async ({ page, data }) => {
  await isLive(page);
  assert.deepEqual(await textsOf(page, '#keys li'), [
    'default Accepted in use: api_key_file last accepted just now',
    'research Accepted in use: next_api_key_file, the successor last accepted 41 s ago, refused 2 h ago']);
  const { status } = data;
  data.status = () => ({ ...status(), credentials: [
    { name: 'default', slot: 'api_key_file', state: 'refused', last_success: null, last_failure: secondsAgo(0) }] });
  await eventually(async () => assert.deepEqual(await textsOf(page, '#keys li'),
    ['default Refused in use: api_key_file last accepted never, refused just now']), 'the refused key');
});

pageTest('clients show what they may, when they were last seen, and can be sorted', {}, async ({ page }) => {
  await eventually(async () => assert.deepEqual(await textsOf(page, '#client-rows .name'),
    ['ci', 'deploy-bot', 'grafana', 'local-tools', 'maria admin', 'notebooks', 'terraform']), 'the clients');
  assert.equal(await textOf(page, '#client-count'), '7 clients');
  assert.deepEqual((await cellsOf(page, '#client-rows tr:nth-child(1)')).filter((text, i) => i !== 7),
    ['ci', 'token', 'list*, getSession, createTeamSecret', 'tq4bhs5wr', 'default', '20/s', 'in 60 d', '241,880', '388']);
  assert.deepEqual((await cellsOf(page, '#client-rows tr:nth-child(2)')).slice(1, 4), ['certificate', '* but not *Member', 'tq4bhs5wr']);
  assert.equal((await cellsOf(page, '#client-rows tr:nth-child(6)'))[6], 'expired');
  assert.equal((await cellsOf(page, '#client-rows tr:nth-child(7)'))[7], 'never');
  await page.getByRole('button', { name: 'Last seen' }).click();
  assert.equal((await textsOf(page, '#client-rows .name')).join(' '),
    'ci grafana deploy-bot maria admin local-tools notebooks terraform');
  assert.equal(await page.locator('th[data-sort="last_seen"]').getAttribute('aria-sort'), 'descending');
  assert.equal(await page.locator('th[data-sort="name"]').getAttribute('aria-sort'), null);
});

pageTest('the trail shows its chain, its checkpoint and a row a mutation', {}, async ({ page }) => {
  await waitForMutations(page, 25);
  assert.equal(await textOf(page, '#chain'), 'Chain intact');
  await waitForText(page, '#chain-note', /^18,442 records · checked \d min ago · last checkpoint #18,440, \d+ (s|min) ago$/);
  const [time, ...rest] = await cellsOf(page, '#mutations tbody:nth-of-type(2) .mutation');
  assert.match(time, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  assert.deepEqual([...rest.slice(0, 5), rest[5]],
    ['Success', 'updateTeamMember', 'user u3k9wq1', 'maria', '10.20.1.5', '200']);
  assert.match(rest[6], /^\d+(\.\d+)? ms$/);
  assert.deepEqual(await textsOf(page, '#mutations tbody:nth-of-type(-n+8) .outcome'),
    ['Success', 'Success', 'Success', 'Refused', 'Failure', 'Success', 'Success', 'Unknown']);
});

pageTest('numbers change in place, without reloading, moving anything or taking the focus', {}, async ({ page, mock, data }) => {
  await isLive(page);
  await waitForMutations(page, 25);
  await page.locator('#purge-all').focus();
  await page.evaluate(() => {
    window.isSamePage = true;
    window.shifts = [];
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((entry) =>
      `${entry.value} ${entry.sources.map((source) => source.node?.outerHTML?.slice(0, 80))}`)))
      .observe({ type: 'layout-shift' });
  });
  const { status } = data;
  data.status = () => ({ ...status(), requests_in_flight: 4711, connections: 12345 });
  data.clients[0].requests = 9999999;
  await waitForText(page, '#card-flight', /^4,711$/);
  await waitForText(page, '#client-rows tr:nth-child(1) td:nth-child(9)', /^9,999,999$/);
  await afterPolls(mock, '/api/status', 2);
  assert.equal(await page.evaluate(() => window.isSamePage && document.activeElement.id), 'purge-all');
  assert.deepEqual(await page.evaluate(() => window.shifts), []);
});

pageTest('it asks nothing while nobody looks, and at once when somebody does', {
  beforeOpening: (page) => page.addInitScript(() => {
    window.shown = 'visible';
    Object.defineProperty(document, 'visibilityState', { get: () => window.shown });
    window.setShown = (value) => {
      window.shown = value;
      document.dispatchEvent(new Event('visibilitychange'));
    };
  }),
}, async ({ page, mock }) => {
  await isLive(page);
  await afterPolls(mock, '/api/audit', 2);
  await page.evaluate(() => window.setShown('hidden'));
  await page.waitForTimeout(200); // what is under way
  const before = mock.requests.length;
  await page.waitForTimeout(2500);
  assert.equal(mock.requests.length, before);
  await page.evaluate(() => window.setShown('visible'));
  await afterPolls(mock, '/api/status', 1);
});

const quiet = makeData(0);
const { status: busy } = quiet;
quiet.status = () => ({ ...busy(), requests: { total: 0, errors: 0, refused: 0 },
  history: { step: 10, from: new Date().toISOString(), points: [] },
  operations: busy().operations.map((one) => ({ ...one, requests: 0, errors: 0, hits: 0, misses: 0, stale: 0, collapsed: 0 })) });
quiet.clients = [];

pageTest('a gateway that nobody has asked yet says so everywhere', { data: quiet }, async ({ page }) => {
  await isLive(page);
  await waitForText(page, '#audit-empty', /^No changes match\.$/);
  assert.equal(await textOf(page, '#client-rows'), 'No clients yet: psgate token create makes one.');
  assert.deepEqual(await textsOf(page, '.figure'), ['–', '–', '–', '–', '5', '12.4 MiB']);
  assert.deepEqual(await textsOf(page, '.plot .empty'), ['No requests in the last hour', 'No requests in the last hour']);
  assert.deepEqual(await textsOf(page, '#operation-rows .share'), ['no lookups', 'no lookups']);
  await page.locator('#filter-range').selectOption('');
  await waitForText(page, '#audit-empty', /^No changes yet\.$/);
});

runPageTests('content');
