// Header, key numbers, upstream and keys: plain values, each written in its place.

import { byId, el, pill, reconcile, setAttribute, setPill, setText } from './dom.js';
import { ago, bytes, count, duration, localTime, percent, rate, span } from './format.js';
import { finishedPoints } from './charts.js';

const sum = (items, key) => items.reduce((total, item) => total + (item[key] ?? 0), 0);

export function ratioOf(operations) {
  const served = sum(operations, 'hits') + sum(operations, 'stale') + sum(operations, 'collapsed');
  return [served, served + sum(operations, 'misses')];
}

function setFigure(name, text, note, tone = null) {
  setText(byId(`card-${name}`), text);
  setText(byId(`card-${name}-note`), note || '\u00a0');
  setAttribute(byId(`card-${name}`), 'data-tone', tone);
}

function showHeader(status) {
  setText(byId('version'), status.version);
  setPill(byId('ready'), status.ready ? 'Ready' : 'Not ready', status.ready ? 'good' : 'warn');
  setText(byId('uptime'), span((Date.parse(status.now) - Date.parse(status.started)) / 1000));
  setAttribute(byId('uptime'), 'title', `since ${localTime(status.started)}`);
  setText(byId('workers'), count(status.workers));
  setText(byId('generation'), `#${status.config_generation}`);
  const reasons = status.ready ? [] : status.reasons;
  byId('reasons').hidden = status.ready;
  reconcile(byId('reason-list'), reasons, (reason) => reason, (reason) => el('li', {}, reason), () => {});
  document.title = status.ready ? 'psgate' : 'not ready · psgate';
}

function showCards(status) {
  const points = finishedPoints(status.history, Date.parse(status.now));
  const minute = points.slice(-Math.max(1, Math.round(60 / status.history.step)));
  const seconds = minute.length * status.history.step;
  setFigure('rate', seconds ? `${rate(sum(minute, 'requests') / seconds)}/s` : '–',
    `${count(status.requests.total)} since the start`);
  const [errors, requests] = [sum(points, 'errors'), sum(points, 'requests')];
  setFigure('errors', percent(errors, requests),
    `${count(errors)} errors, ${count(sum(points, 'refused'))} refused`, errors > requests / 100 ? 'bad' : null);
  const cached = status.operations.filter((operation) => operation.cached);
  const [served, asked] = ratioOf(cached);
  setFigure('hits', percent(served, asked), `${count(served)} of ${count(asked)} lookups`);
  const timed = minute.filter((point) => typeof point.p99 === 'number');
  setFigure('p99', timed.length ? duration(Math.max(...timed.map((point) => point.p99))) : '–',
    timed.length ? `p50 ${duration(timed.at(-1).p50)}` : 'no requests');
  setFigure('flight', count(status.requests_in_flight), `on ${count(status.connections)} connections`);
  const { bytes: used, limit, entries } = status.cache;
  setFigure('cache', bytes(used), `of ${bytes(limit)} · ${count(entries)} answers`);
}

function setMoment(node, time, now, more = '') {
  setText(node, ago(time, now) + (more && time ? `: ${more}` : ''));
  setAttribute(node, 'title', time ? localTime(time) : null);
}

const UPSTREAM = { up: ['Up', 'good'], down: ['Down', 'bad'], unknown: ['Not asked yet', 'idle'] };

function showUpstream({ upstream, now }) {
  setPill(byId('upstream-state'), ...(UPSTREAM[upstream.state] ?? [upstream.state, 'idle']));
  setText(byId('upstream-url'), upstream.url);
  const isOpen = upstream.circuit === 'open';
  setText(byId('upstream-circuit'), isOpen ? 'Open: requests fail at once until it answers' : 'Closed');
  setAttribute(byId('upstream-circuit'), 'data-tone', isOpen ? 'bad' : null);
  const { active, idle, limit } = upstream.connections;
  setText(byId('upstream-pool'), `${count(active)} active, ${count(idle)} idle of ${count(limit)}`);
  const bar = byId('pool-bar');
  bar.querySelector('.active').style.width = `${(100 * active) / limit}%`;
  bar.querySelector('.idle').style.width = `${(100 * idle) / limit}%`;
  setAttribute(bar, 'aria-label', `${active + idle} of ${limit} connections`);
  setMoment(byId('upstream-success'), upstream.last_success, now);
  setMoment(byId('upstream-failure'), upstream.last_failure, now, upstream.last_error ?? '');
}

const KEY_STATES = { accepted: ['Accepted', 'good'], refused: ['Refused', 'bad'], unknown: ['Not tried yet', 'idle'] };

function makeKey() {
  return el('li', {},
    el('div', { class: 'line' }, el('strong', {}, el('bdi')), el('span', { class: 'space' }), pill('', 'idle')),
    el('p', { class: 'note' }, 'in use: ', el('code'), el('span')),
    el('p', { class: 'note moments' }, 'last accepted ', el('span'), el('span', { class: 'refused' }, ', refused ', el('span'))));
}

function updateKey(node, key, now) {
  setText(node.querySelector('bdi'), key.name);
  setPill(node.querySelector('.pill'), ...(KEY_STATES[key.state] ?? [key.state, 'idle']));
  setText(node.querySelector('.note span'), key.slot === 'next_api_key_file' ? ', the successor' : '');
  setText(node.querySelector('code'), key.slot);
  setMoment(node.querySelector('.moments > span'), key.last_success, now);
  const refused = node.querySelector('.refused');
  refused.hidden = !key.last_failure;
  setMoment(refused.querySelector('span'), key.last_failure, now);
}

export function showOverview(status) {
  showHeader(status);
  showCards(status);
  showUpstream(status);
  reconcile(byId('keys'), status.credentials, (key) => key.name, makeKey,
    (node, key) => updateKey(node, key, status.now));
}
