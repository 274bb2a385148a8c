// The trail: filters, pages, following, unfolding, and names that mean harm.

import assert from 'node:assert/strict';

import { makeData, makeMutation, secondsAgo } from './support/data.js';
import { MUTATION, afterPolls, assertNoOverflow, eventually, isLive, pageTest, runPageTests, textOf, textsOf, waitForMutations,
  waitForText } from './support/stage.js';

const lastQuery = (mock) => mock.asked('/api/audit').at(-1).query;

const field = (page, label) => page.locator('#filters').getByLabel(label, { exact: true });

// Waits for a first page (following asks with "after") with these parameters.
const waitForQuery = (mock, wanted) => eventually(() => {
  const first = mock.asked('/api/audit').filter((request) => !request.query.after && !request.query.before).at(-1);
  assert.deepEqual({ ...first.query, ...wanted }, first.query);
  return first;
}, `a question with ${JSON.stringify(wanted)}`);

pageTest('at first it asks for the last 24 hours, newest first', {}, async ({ page, mock }) => {
  await waitForMutations(page, 25);
  assert.deepEqual(mock.asked('/api/audit')[0].query, { from: '24h', limit: '25' });
});

pageTest('each filter sends its parameter and shows what it lets through', {}, async ({ page, mock }) => {
  await waitForMutations(page, 25);
  await field(page, 'Operation').selectOption('removeTeamMember');
  await waitForQuery(mock, { operation: 'removeTeamMember', from: '24h' });
  await eventually(async () => assert.deepEqual([...new Set(await textsOf(page, `${MUTATION} .name`))], ['removeTeamMember']));
  await field(page, 'Operation').selectOption('');
  await field(page, 'Client').selectOption('terraform');
  await waitForQuery(mock, { client: 'terraform' });
  await eventually(async () => assert.deepEqual([...new Set(await textsOf(page, `${MUTATION} .client`))], ['terraform']));
  await field(page, 'Outcome').selectOption('failure');
  await waitForQuery(mock, { client: 'terraform', outcome: 'failure' });
  await eventually(async () => assert.deepEqual([...new Set(await textsOf(page, `${MUTATION} .outcome`))], ['Failure']));
  await field(page, 'Time').selectOption('7d');
  await waitForQuery(mock, { client: 'terraform', outcome: 'failure', from: '7d' });
  await page.getByRole('button', { name: 'Clear' }).click();
  const { query } = await waitForQuery(mock, { from: '24h' });
  assert.deepEqual(query, { from: '24h', limit: '25' });
  await waitForMutations(page, 25);
});

pageTest('the text of a resource arrives as it was typed, once typing pauses', {}, async ({ page, mock }) => {
  await waitForMutations(page, 25);
  const text = 'a b&c=d+é%20/?#';
  await field(page, 'Resource').pressSequentially(text);
  const { target } = await waitForQuery(mock, { resource: text });
  assert.ok(target.includes('resource=a%20b%26c%3Dd%2B%C3%A9%2520%2F%3F%23'), target);
  await waitForText(page, '#audit-empty', /^No changes match\.$/);
  await field(page, 'Resource').fill('GHCR');
  await field(page, 'Resource').press('Enter');
  await waitForQuery(mock, { resource: 'GHCR' });
  await eventually(async () => assert.deepEqual([...new Set(await textsOf(page, `${MUTATION} .resource`))], ['secret GHCR_TOKEN']));
});

pageTest('a range of one’s own is in local time, and asked for in UTC', { zone: 'Asia/Kolkata' }, async ({ page, mock }) => {
  await waitForMutations(page, 25);
  assert.equal(await textOf(page, '#audit-zone'), 'Time (UTC+5:30)');
  assert.ok(!await field(page, 'From').isVisible());
  await field(page, 'Time').selectOption('custom');
  await field(page, 'From').fill('2026-03-01T10:00:07');
  await field(page, 'To').fill('2026-03-01T10:30:05');
  await waitForQuery(mock, { from: '2026-03-01T04:30:07.000Z', to: '2026-03-01T05:00:05.000Z' });
});

pageTest('an answer to filters that have changed since is not shown', {}, async ({ page, mock }) => {
  await waitForMutations(page, 25);
  let release = null;
  mock.hold = ({ query }) => query.operation === 'updateTeamMember' && new Promise((resolve) => {
    release = resolve;
  });
  await field(page, 'Operation').selectOption('updateTeamMember');
  await eventually(() => release, 'the question that is held');
  await field(page, 'Operation').selectOption('removeTeamMember');
  await eventually(async () => assert.deepEqual([...new Set(await textsOf(page, `${MUTATION} .name`))], ['removeTeamMember']));
  const answered = page.waitForResponse((response) => response.url().includes('operation=updateTeamMember'));
  release();
  await (await answered).finished();
  await afterPolls(mock, '/api/audit', 1);
  assert.deepEqual([...new Set(await textsOf(page, `${MUTATION} .name`))], ['removeTeamMember']);
});

pageTest('older ones are added below, as long as there are any', {}, async ({ page, mock }) => {
  await waitForMutations(page, 25);
  const first = await textOf(page, MUTATION + ' >> nth=0');
  assert.equal(await textOf(page, '#audit-count'), '25 changes, newest first; there are older ones');
  await page.locator('#follow').click();
  await page.getByRole('button', { name: 'Load older' }).click();
  await waitForMutations(page, 50);
  assert.deepEqual(lastQuery(mock), { from: '24h', limit: '25', before: String(18441 - 48) });
  assert.equal(await textOf(page, MUTATION + ' >> nth=0'), first);
  await page.getByRole('button', { name: 'Load older' }).click();
  await waitForMutations(page, 64);
  await page.locator('#older').waitFor({ state: 'hidden' });
  assert.equal(await textOf(page, '#audit-count'), '64 changes, newest first');
});

pageTest('following adds rows live and leaves open rows and the focus alone', {}, async ({ page, mock, data }) => {
  await waitForMutations(page, 25);
  const open = page.locator('#mutations tbody:nth-of-type(2)');
  await open.locator('.unfold').click();
  await open.locator('.unfold').focus();
  await page.evaluate(() => {
    window.kept = document.querySelector('#mutations tbody:nth-of-type(2)');
  });
  data.mutations.unshift(makeMutation(19000, { outcome: 'open', resource: { type: 'secret', name: 'FRESH' } }));
  await waitForText(page, MUTATION + ' >> nth=0', /In progress createTeamSecret secret FRESH ci/);
  assert.equal(mock.asked('/api/audit').findLast((request) => request.query.after).query.limit, '200');
  const [id, time] = [data.mutations[0].id, data.mutations[0].time];
  data.mutations[0] = makeMutation(19000, { id, time, resource: { type: 'secret', name: 'FRESH' } });
  await waitForText(page, MUTATION + ' >> nth=0', /Success createTeamSecret secret FRESH ci .* 201/);
  await waitForMutations(page, 26);
  assert.deepEqual(await page.evaluate(() => [
    document.querySelector('#mutations tbody:nth-of-type(3)') === window.kept, window.kept.contains(document.activeElement),
    window.kept.querySelectorAll('.records section').length, window.kept.lastChild.hidden]), [true, true, 2, false]);
  await waitForText(page, '#audit-count', /^26 changes/);
});

pageTest('an open row gets its result’s record when it comes', { data: makeData(3) }, async ({ page, data }) => {
  await waitForMutations(page, 3);
  data.mutations.unshift(makeMutation(19000, { outcome: 'open' }));
  await waitForMutations(page, 4);
  await page.locator('.unfold >> nth=0').click();
  assert.deepEqual(await textsOf(page, '.records h3'), ['intent #19,000']);
  const [id, time] = [data.mutations[0].id, data.mutations[0].time];
  data.mutations[0] = makeMutation(19000, { id, time, outcome: 'failure' });
  await eventually(async () => assert.deepEqual(await textsOf(page, '.records h3'), ['intent #19,000', 'result #19,001']));
  assert.equal(await textOf(page, '.reason'), 'Reason: upstream_status');
});

pageTest('following goes on from the newest record, and stops when it is told to', {}, async ({ page, mock, data }) => {
  await waitForMutations(page, 25);
  await eventually(() => lastQuery(mock).after === '18442', 'a question for what is newer');
  const follow = page.getByRole('button', { name: 'Follow' });
  assert.equal(await follow.getAttribute('aria-pressed'), 'true');
  await follow.click();
  assert.equal(await follow.getAttribute('aria-pressed'), 'false');
  await page.waitForTimeout(200); // what is under way
  const before = mock.asked('/api/audit').length;
  data.mutations.unshift(makeMutation(19000));
  await afterPolls(mock, '/api/status', 2);
  assert.equal(mock.asked('/api/audit').length, before);
  await follow.click();
  await waitForMutations(page, 26);
});

pageTest('more news than one answer holds: the list begins anew', {}, async ({ page, mock, data }) => {
  await waitForMutations(page, 25);
  data.mutations.unshift(...Array.from({ length: 230 }, (_, i) =>
    makeMutation(20000 - 2 * i, { resource: { type: 'secret', name: `MANY_${i}` } })));
  await waitForText(page, MUTATION + ' >> nth=0', /MANY_0/);
  await waitForMutations(page, 25);
  await eventually(() => lastQuery(mock).after === '20001', 'a question for what is newer');
});

pageTest('a row unfolds to its records, each key and value of them', { data: makeData(3) }, async ({ page, data }) => {
  await waitForMutations(page, 3);
  const row = page.locator('#mutations tbody:nth-of-type(1)');
  const unfold = row.locator('.unfold');
  assert.equal(await unfold.getAttribute('aria-expanded'), 'false');
  await row.locator('.resource').click(); // anywhere in the row
  assert.equal(await unfold.getAttribute('aria-expanded'), 'true');
  assert.ok(await page.locator(`#${await unfold.getAttribute('aria-controls')}`).isVisible());
  const shown = await row.locator('.records section').evaluateAll((sections) => sections.map((section) =>
    Object.fromEntries([...section.querySelectorAll('dl > div')].map((pair) => [...pair.children].map((node) => node.textContent)))));
  const wanted = data.mutations[0].records.map((record) => Object.fromEntries(Object.entries(record).map(([key, value]) =>
    [key, typeof value === 'string' ? value : JSON.stringify(value)])));
  assert.deepEqual(shown, wanted);
  assert.deepEqual(await textsOf(page, '.records section:nth-child(2) div:not(.same) > dt'),
    ['proxy.phase', 'event.outcome', 'event.duration', 'http.response.status_code', 'event.sequence', 'proxy.prev_hash']);
  await unfold.click();
  assert.equal(await unfold.getAttribute('aria-expanded'), 'false');
  assert.ok(!await row.locator('.records').isVisible());
});

const HOSTILE = '<img src=x onerror="document.title=\'pwned\'"><script>document.title="pwned"</script>';
const LONG = 'x'.repeat(3000);
const TURNED = '\u202Egnp.terces \u05E9\u05DC\u05D5\u05DD \uFFFD';

function hostileData() {
  const data = makeData(0);
  data.mutations = [
    makeMutation(9, { resource: { type: 'secret', name: HOSTILE }, client: HOSTILE, source: HOSTILE, operation: 'createTeamSecret',
                      reason: HOSTILE, time: secondsAgo(1) }),
    makeMutation(7, { resource: { type: LONG, name: LONG }, client: LONG, source: LONG, time: secondsAgo(2), reason: LONG }),
    makeMutation(5, { resource: { type: 'secret', name: TURNED }, client: TURNED, time: secondsAgo(3) }),
    makeMutation(3, { resource: { type: 'secret', name: '' }, client: null, source: null, team: null, time: secondsAgo(4) }),
  ];
  data.mutations[1].records[0][LONG] = LONG;
  data.chain = { ...data.chain, state: 'broken', problem: HOSTILE + LONG };
  data.clients[0] = { ...data.clients[0], name: LONG, allow: [HOSTILE, LONG], deny: [LONG], teams: [LONG], credential: LONG };
  data.clients[1] = { ...data.clients[1], name: HOSTILE };
  const { status } = data;
  data.status = () => {
    const plain = status();
    return { ...plain, version: HOSTILE, ready: false, reasons: [HOSTILE, LONG],
             upstream: { ...plain.upstream, url: LONG, last_error: HOSTILE + LONG },
             operations: [{ ...plain.operations[0], id: LONG, scope: LONG }, { ...plain.operations[1], scope: HOSTILE }, ...plain.operations.slice(2)],
             credentials: [{ ...plain.credentials[0], name: LONG }] };
  };
  return data;
}

for (const width of [390, 1440]) {
  pageTest(`text that means harm stays text, and in its place, at ${width} pixels`, { data: hostileData(), width }, async ({ page }) => {
    await isLive(page);
    await waitForMutations(page, 4);
    for (const unfold of await page.locator('.unfold').all()) {
      await unfold.click();
    }
    assert.equal(await page.locator(`${MUTATION} .resource bdi >> nth=0`).textContent(), HOSTILE);
    assert.equal(await page.locator(`${MUTATION} .resource bdi >> nth=2`).textContent(), TURNED);
    assert.equal(await page.locator('body img').count(), 1); // the page's own
    assert.equal(await page.locator('body script').count(), 0);
    assert.equal(await page.title(), 'not ready · psgate');
    await assertNoOverflow(page);
    await page.locator('.scope button >> nth=0').click();
    await assertNoOverflow(page);
  });
}

runPageTests('audit trail');
