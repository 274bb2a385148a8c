// The token, the purge, and what the page says when things are not well.

import assert from 'node:assert/strict';

import { makeData, secondsAgo } from './support/data.js';
import { DEADLINE_MS, afterPolls, assertNoOverflow, eventually, isLive, pageTest, runPageTests, textOf, waitForMutations,
  waitForText } from './support/stage.js';

const ADMIN = 'psgate_the-admins-token';
const OTHER = 'psgate_one-that-is-no-admins';
const TOKENS = { [ADMIN]: true, [OTHER]: false };
// What Chromium itself writes for every such answer; nothing can be done about it.
const REFUSED = /Failed to load resource: the server responded with a status of (401|403)/;
const GONE = /Failed to load resource: net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)/;
const FAILED = /Failed to load resource: the server responded with a status of (400|404|500|503)/;

const tokenField = (page) => page.getByLabel('Token of a client with');
const enter = async (page, value) => {
  await tokenField(page).fill(value);
  await tokenField(page).press('Enter');
};

pageTest('over TCP it asks for a token, and says what is wrong with one', { tokens: TOKENS, expected: REFUSED }, async ({ page, mock }) => {
  await tokenField(page).waitFor();
  assert.ok(!await page.locator('#content').isVisible());
  assert.equal(await textOf(page, '#token-problem'), '');
  await eventually(() => page.evaluate(() => document.activeElement.id === 'token'), 'the focus');
  await enter(page, 'two words');
  await waitForText(page, '#token-problem', /^That is not a token/);
  await enter(page, 'psgate_unknown');
  await waitForText(page, '#token-problem', /^The gateway does not know that token, or it has expired\.$/);
  await enter(page, OTHER);
  await waitForText(page, '#token-problem', /^That token’s client is not an admin/);
  assert.equal(await textOf(page, '#link'), 'Locked');
  await enter(page, ADMIN);
  await isLive(page);
  await waitForMutations(page, 25);
  assert.ok(!await page.locator('#locked').isVisible());
  assert.equal(mock.requests.at(-1).authorization, `Bearer ${ADMIN}`);
});

pageTest('a token is kept for the tab only, and nowhere in an address', { tokens: TOKENS, expected: REFUSED }, async ({ page, mock, context }) => {
  const addresses = [];
  page.on('request', (request) => addresses.push(request.url()));
  await enter(page, ADMIN);
  await isLive(page);
  await page.reload();
  await isLive(page);
  assert.deepEqual(await page.evaluate(() => [Object.values(sessionStorage), Object.values(localStorage), document.cookie]),
    [[ADMIN], [], '']);
  assert.ok([...addresses, page.url(), ...mock.requests.map((request) => request.target)].every((one) => !one.includes(ADMIN)));
  assert.ok(!(await page.content()).includes(ADMIN));
  const another = await context.newPage();
  await another.goto(mock.url);
  await tokenField(another).waitFor();
});

pageTest('a forgotten token is gone, and with it all that it showed', { tokens: TOKENS, expected: REFUSED }, async ({ page }) => {
  await enter(page, ADMIN);
  await isLive(page);
  await page.getByRole('button', { name: 'Forget token' }).click();
  await tokenField(page).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.ok(!(await page.content()).includes('tq4bhs5wr'));
  assert.ok(!await page.getByRole('button', { name: 'Forget token' }).isVisible());
});

pageTest('a token that expires meanwhile is asked for again', { tokens: TOKENS, expected: REFUSED }, async ({ page, mock }) => {
  await enter(page, ADMIN);
  await isLive(page);
  mock.tokens = { other: true };
  await waitForText(page, '#token-problem', /has expired/);
  assert.ok(!await page.locator('#content').isVisible());
  const before = mock.requests.length;
  await page.waitForTimeout(2500);
  assert.equal(mock.requests.length, before);
});

pageTest('without need of one no token is asked for or offered to be forgotten', {}, async ({ page, mock }) => {
  await isLive(page);
  assert.ok(!await page.getByRole('button', { name: 'Forget token' }).isVisible());
  assert.ok(mock.requests.every((request) => request.authorization === null));
});

pageTest('a purge needs to be confirmed, names its scope, and its result is said', {}, async ({ page, mock }) => {
  await isLive(page);
  await page.getByRole('button', { name: 'Purge scope members' }).click();
  const dialog = page.getByRole('dialog', { name: 'Purge scope “members”?' });
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'hidden' });
  assert.deepEqual(mock.purged, []);
  await page.getByRole('button', { name: 'Purge scope members' }).click();
  await dialog.getByRole('button', { name: 'Purge' }).click();
  await waitForText(page, '#announcement', /^Scope “members” is purged\.$/);
  assert.equal(await page.locator('#announcement').getAttribute('role'), 'status');
  await dialog.waitFor({ state: 'hidden' });
  const { method, target } = mock.asked('/cache/purge').at(-1);
  assert.deepEqual([method, target, mock.purged], ['POST', '/cache/purge?scope=members', ['members']]);
});

pageTest('all scopes can be purged at once', {}, async ({ page, mock }) => {
  await isLive(page);
  await page.getByRole('button', { name: 'Purge all' }).click();
  await page.getByRole('dialog', { name: 'Purge all scopes?' }).getByRole('button', { name: 'Purge' }).click();
  await waitForText(page, '#announcement', /^All scopes are purged\.$/);
  assert.deepEqual(mock.purged, ['*']);
});

pageTest('a purge that failed says why, and leaves the dialog', { expected: FAILED }, async ({ page, mock }) => {
  await isLive(page);
  mock.failing['/cache/purge'] = [503, 'the cache is off'];
  await page.getByRole('button', { name: 'Purge scope session' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Purge' }).click();
  await waitForText(page, '#purge-problem', /^Not purged: the cache is off\.$/);
  mock.failing = {};
  await dialog.getByRole('button', { name: 'Purge' }).click();
  await waitForText(page, '#announcement', /is purged/);
  assert.deepEqual(mock.purged, ['session']);
});

pageTest('a gateway that is gone is said, tried again, and taken up where it was', { expected: GONE }, async ({ page, mock }) => {
  await isLive(page);
  await waitForMutations(page, 25);
  await page.locator('.unfold >> nth=1').click();
  await mock.close();
  await waitForText(page, '#banner', /^The gateway does not answer .* What is below is as it was\. Try now$/);
  assert.match(await textOf(page, '#link'), /^Trying again( in \d+ s)?$/);
  assert.equal(await textOf(page, '#ready'), 'Not answering');
  assert.equal(await textOf(page, '#card-flight'), '5');
  await assertNoOverflow(page);
  await mock.open();
  await page.getByRole('button', { name: 'Try now' }).click();
  await isLive(page);
  assert.ok(!await page.locator('#banner').isVisible());
  assert.equal(await page.locator('.unfold >> nth=1').getAttribute('aria-expanded'), 'true');
  await afterPolls(mock, '/api/audit', 2);
  await afterPolls(mock, '/api/clients', 1);
});

pageTest('it tries again by itself, and goes on when that went well', { expected: FAILED }, async ({ page, mock }) => {
  await isLive(page);
  mock.failing['/api/status'] = [500, 'it is not well'];
  await waitForText(page, '#banner', /cannot say how it is: it is not well\./);
  await waitForText(page, '#link', /^Trying again in \d s$/);
  mock.failing = {};
  await isLive(page);
  assert.equal(await textOf(page, '#ready'), 'Ready');
  await afterPolls(mock, '/api/status', 2);
});

const changed = (change) => {
  const data = makeData();
  const { status } = data;
  data.status = () => ({ ...status(), ...change });
  return data;
};

pageTest('a gateway that is not ready says why', {
  data: changed({ ready: false, reasons: ['the audit trail cannot be written: No space left on device', 'upstream: circuit open'] }),
}, async ({ page, data }) => {
  await waitForText(page, '#ready', /^Not ready$/);
  assert.deepEqual(await page.locator('#reason-list li').allInnerTexts(),
    ['the audit trail cannot be written: No space left on device', 'upstream: circuit open']);
  assert.equal(await page.title(), 'not ready · psgate');
  data.status = makeData().status;
  await waitForText(page, '#ready', /^Ready$/);
  assert.ok(!await page.locator('#reasons').isVisible());
});

pageTest('a broken chain and a trail that cannot be written are said', {
  data: { ...changed({ audit: { writable: false, chain_id: 'c', records: 9, sequence: 9, waiting: 3, last_checkpoint: null } }),
          chain: { state: 'broken', records: null, checked: secondsAgo(5), problem: 'audit.jsonl line 7: the hash is another',
                   last_checkpoint: null } },
}, async ({ page }) => {
  await waitForText(page, '#chain', /^Chain broken$/);
  assert.equal(await textOf(page, '#chain-problem'), 'The chain is broken: audit.jsonl line 7: the hash is another');
  assert.match(await textOf(page, '#chain-note'), /^checked \d+ s ago · no checkpoint yet$/);
  assert.equal(await textOf(page, '#writable'), 'Not writable: changes get 503');
});

pageTest('a gateway without a trail says so and is not asked for it', { data: changed({ audit: null }) }, async ({ page, mock }) => {
  await waitForText(page, '#chain', /^No trail$/);
  assert.equal(await textOf(page, '#audit-empty'), 'This gateway keeps no audit trail.');
  assert.ok(!await page.locator('#filters').isVisible());
  assert.deepEqual(mock.asked('/api/audit'), []);
});

pageTest('a trail that cannot be read is said, and read when it can be', {
  expected: FAILED, prepare: (mock) => {
    mock.failing['/api/audit'] = [500, 'cannot read audit.jsonl: Input/output error'];
  },
}, async ({ page, mock }) => {
  await waitForText(page, '#audit-problem', /^The trail could not be read: cannot read audit\.jsonl: Input\/output error\.$/);
  await isLive(page);
  mock.failing = {};
  await waitForMutations(page, 25);
  assert.equal(await textOf(page, '#audit-problem'), '');
});

pageTest('clients that cannot be read are said', {
  expected: FAILED, prepare: (mock) => {
    mock.failing['/api/clients'] = [503, 'not now'];
  },
}, async ({ page, mock }) => {
  await waitForText(page, '#client-problem', /^The clients could not be read: not now\.$/);
  mock.failing = {};
  await eventually(async () => await page.locator('#client-rows tr').count() === 7, 'the clients');
  assert.equal(await textOf(page, '#client-problem'), '');
});

pageTest('an answer that is cut short or means nothing to the page is a failure, not the end', {
  expected: /console error: TypeError/,
}, async ({ page, data }) => {
  await isLive(page);
  const { status } = data;
  data.status = () => ({});
  await waitForText(page, '#banner', /cannot say how it is/);
  data.status = status;
  await page.locator('#retry').click({ timeout: DEADLINE_MS });
  await isLive(page);
});

runPageTests('states');
