// The page as the real gateway serves it: what goes through the gateway shows up on it.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Gateway } from './support/gateway.js';
import { MUTATION, assertNoOverflow, eventually, isLive, openContext, textOf, textsOf, waitForText, watch } from './support/stage.js';

const BINARY = process.env.PSGATE_BINARY ?? fileURLToPath(new URL('../../build/dev/psgate', import.meta.url));
const skip = existsSync(BINARY) ? false : `${BINARY} is missing: build it, or name it in PSGATE_BINARY`;
const SECRET = 'the-value-that-nobody-may-see';
const SECRETS = '/v1/teams/sandbox/secrets';
// Chromium writes one for each 401 and 403, whatever a page does.
const REFUSED = /Failed to load resource: the server responded with a status of (401|403)/;

let gateway = null;

before(async () => {
  gateway = skip ? null : await new Gateway(BINARY).start();
});

after(() => gateway?.stop());

function realTest(name, body, options = {}) {
  test(name, { skip, timeout: 60000 }, async (t) => {
    const context = await openContext(options);
    t.after(() => context.close());
    const page = await context.newPage();
    const complaints = watch(page, gateway.adminUrl);
    await page.goto(gateway.adminUrl);
    await body(page);
    assert.deepEqual(complaints.filter((one) => !REFUSED.test(one)), []);
  });
}

async function enter(page, client) {
  await page.locator('#token').fill(gateway.tokens[client]);
  await page.locator('#token').press('Enter');
}

async function unlock(page) {
  await enter(page, 'maria');
  await isLive(page);
}

const numberIn = async (page, selector) => Number((await textOf(page, selector)).replaceAll(',', ''));
const rowOf = (table, name) => `#${table} tr:has(td.name bdi:text-is("${name}"))`;
const create = (name) => gateway.ask(SECRETS, { method: 'POST', body: { name, value: SECRET } });
const waitForNewest = (page, pattern) => waitForText(page, `${MUTATION} >> nth=0`, pattern);

realTest('the data is an admin’s: no token, an unknown one, one of another client, the right one', async (page) => {
  await page.locator('#token').waitFor();
  assert.ok(!await page.locator('#content').isVisible());
  await page.locator('#token').fill('psgate_unknown');
  await page.locator('#token').press('Enter');
  await waitForText(page, '#token-problem', /does not know that token/);
  await enter(page, 'ci');
  await waitForText(page, '#token-problem', /is not an admin/);
  await unlock(page);
  assert.match(await textOf(page, 'h1'), /^psgate \d+\.\d+\.\d+$/);
  assert.equal(await textOf(page, '#ready'), 'Ready');
  const { headers } = await page.evaluate(async () => ({ headers: Object.fromEntries((await fetch('page.js')).headers) }));
  assert.match(headers['content-security-policy'], /^default-src 'none'; script-src 'self'; style-src 'self';/);
  assert.equal(headers['x-content-type-options'], 'nosniff');
});

realTest('requests show up: operations, hits, clients, upstream and key', async (page) => {
  await unlock(page);
  const requests = `${rowOf('operation-rows', 'getSession')} > td:nth-child(2)`;
  const before = await numberIn(page, requests);
  for (let i = 0; i < 3; i += 1) {
    assert.equal((await gateway.ask('/v1/auth/session')).status, 200);
  }
  await eventually(async () => await numberIn(page, requests) === before + 3, 'three requests');
  assert.ok(await numberIn(page, `${rowOf('operation-rows', 'getSession')} > td:nth-child(6)`) >= 2);
  await waitForText(page, '#upstream-state', /^Up$/);
  assert.match(await textOf(page, '#keys'), /^default Accepted in use: api_key_(file|env)/);
  await eventually(async () => await numberIn(page, `${rowOf('client-rows', 'ci')} > td:nth-child(9)`) >= 3, 'the client');
  assert.match(await textOf(page, `${rowOf('client-rows', 'ci')} > td:nth-child(8)`), /^(just now|\d+ s ago)$/);
  assert.equal(await textOf(page, `${rowOf('client-rows', 'maria')} .badges`), 'admin');
});

realTest('a purge makes the next lookup go upstream', async (page) => {
  await unlock(page);
  await gateway.ask('/v1/auth/session');
  assert.match((await gateway.ask('/v1/auth/session')).headers.get('cache-status'), /; hit/);
  await page.getByRole('button', { name: 'Purge scope session' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Purge' }).click();
  await waitForText(page, '#announcement', /^Scope “session” is purged\.$/);
  assert.match((await gateway.ask('/v1/auth/session')).headers.get('cache-status'), /fwd=miss/);
});

realTest('a change appears while one looks, unfolds to its records, and shows no value', async (page) => {
  await unlock(page);
  assert.equal((await create('FOLLOWED')).status, 201);
  await waitForNewest(page, /Success createTeamSecret secret FOLLOWED ci 127\.0\.0\.1 201/);
  await page.locator('.unfold >> nth=0').click();
  await eventually(async () => assert.deepEqual((await textsOf(page, '.records h3')).map((text) => text.replace(/ .*/, '')),
    ['intent', 'result']));
  await gateway.ask(`${SECRETS}/FOLLOWED`, { method: 'DELETE' });
  await waitForNewest(page, /Success deleteTeamSecret secret FOLLOWED ci 127\.0\.0\.1 204/);
  assert.equal(await page.locator('.unfold >> nth=1').getAttribute('aria-expanded'), 'true');
  const content = await page.content();
  assert.ok([SECRET, ...Object.values(gateway.tokens)].every((one) => !content.includes(one)));
  await waitForText(page, '#chain', /^Chain intact$/);
  await page.setViewportSize({ width: 390, height: 844 });
  await assertNoOverflow(page);
});

realTest('filters leave what they are to leave', async (page) => {
  assert.equal((await create('FIRST one&only')).status, 201);
  assert.equal((await create('SECOND')).status, 201);
  await gateway.ask(`${SECRETS}/SECOND`, { method: 'DELETE' });
  assert.equal((await gateway.ask(`${SECRETS}/SECOND`, { method: 'DELETE', client: 'reader' })).status, 403);
  await unlock(page);
  await waitForNewest(page, /Refused deleteTeamSecret secret SECOND reader 127\.0\.0\.1 403/);
  const field = (label) => page.locator('#filters').getByLabel(label, { exact: true });
  const shown = async (column) => [...new Set(await textsOf(page, `${MUTATION} .${column}`))];
  const shows = (column, ...wanted) => eventually(async () => assert.deepEqual(await shown(column), wanted), `only ${wanted}`);
  await field('Outcome').selectOption('refused');
  await shows('outcome', 'Refused');
  await shows('client', 'reader');
  await field('Outcome').selectOption('');
  await field('Client').selectOption('ci');
  await field('Operation').selectOption('deleteTeamSecret');
  await shows('name', 'deleteTeamSecret');
  await shows('client', 'ci');
  await page.locator('#filter-reset').click();
  await field('Resource').fill('one&only');
  await shows('resource', 'secret FIRST one&only');
  await field('Resource').fill('nothing has this name');
  await waitForText(page, '#audit-empty', /^No changes match\.$/);
  await field('Resource').fill('');
  await field('Time').selectOption('custom');
  await field('From').fill('2020-01-01T00:00:01');
  await field('To').fill('2020-01-01T00:00:02');
  await waitForText(page, '#audit-empty', /^No changes match\.$/);
});
