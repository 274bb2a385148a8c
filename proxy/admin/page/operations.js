// What each operation did, how well its cache serves, and the purge.

import { Failure, ask } from './api.js';
import { announce, byId, cell, el, reconcile, setAttribute, setText } from './dom.js';
import { count, percent } from './format.js';
import { ratioOf } from './overview.js';

let showsIdle = false;
let latest = null;

function makeRow(operation) {
  const meter = el('span', { class: 'meter', 'aria-hidden': 'true' }, el('i', { class: 'active' }));
  return el('tr', { role: 'row' },
    cell('Operation', { class: 'name' }, el('bdi', { title: operation.id }, operation.id)),
    cell('Requests', { class: 'number' }), cell('Errors', { class: 'number' }), cell('Refused', { class: 'number' }),
    cell('Hit ratio', { class: 'ratio' }, el('span', { class: 'share' }), meter),
    cell('Hits', { class: 'number cached' }), cell('Collapsed', { class: 'number cached' }),
    cell('Stale', { class: 'number cached' }), cell('Misses', { class: 'number cached' }),
    cell('Scope', { class: 'scope' }, operation.cached && el('div', {}, el('bdi', {}, operation.scope), purgeButton(operation.scope))));
}

function purgeButton(scope) {
  const button = el('button', { type: 'button', class: 'danger small', 'aria-label': `Purge scope ${scope}` }, 'Purge…');
  button.addEventListener('click', () => openPurge(scope));
  return button;
}

function updateRow(row, operation) {
  const [, requests, errors, refused, ratio, hits, collapsed, stale, misses] = row.children;
  setText(requests, count(operation.requests));
  setText(errors, count(operation.errors));
  setAttribute(errors, 'data-tone', operation.errors > 0 ? 'bad' : null);
  setText(refused, count(operation.refused));
  setAttribute(row, 'data-cached', String(operation.cached));
  const [served, asked] = ratioOf([operation]);
  const share = operation.cached ? (asked ? percent(served, asked) : 'no lookups') : 'not cached';
  setText(ratio.querySelector('.share'), share);
  setAttribute(ratio, 'data-has', String(operation.cached && asked > 0));
  ratio.querySelector('.meter i').style.width = `${asked ? (100 * served) / asked : 0}%`;
  for (const [node, key] of [[hits, 'hits'], [collapsed, 'collapsed'], [stale, 'stale'], [misses, 'misses']]) {
    setText(node, operation.cached ? count(operation[key]) : '');
  }
}

// Cached ones first, else as the operation table has them: rows keep their places.
function show() {
  const isBusy = (operation) => operation.cached || operation.requests > 0;
  const busy = latest.operations.filter(isBusy);
  const idle = latest.operations.filter((operation) => !isBusy(operation));
  const listed = [...busy.filter((one) => one.cached), ...busy.filter((one) => !one.cached), ...(showsIdle ? idle : [])];
  reconcile(byId('operation-rows'), listed, (operation) => operation.id, makeRow, updateRow);
  const toggle = byId('idle-toggle');
  toggle.hidden = idle.length === 0;
  setText(toggle, showsIdle ? 'Hide what was never asked for' : `Show ${idle.length} that were never asked for`);
  setAttribute(toggle, 'aria-expanded', String(showsIdle));
}

let scopeToPurge = '';

function openPurge(scope) {
  scopeToPurge = scope;
  const isAll = scope === '*';
  setText(byId('purge-title'), isAll ? 'Purge all scopes?' : `Purge scope “${scope}”?`);
  setText(byId('purge-text'), isAll
    ? `Every stored answer (${count(latest.cache.entries)}) is dropped; the next lookups go upstream.`
    : 'Its stored answers are dropped, for all credentials; the next lookups go upstream.');
  setText(byId('purge-problem'), '');
  byId('purge').showModal();
}

async function purge(locked) {
  const button = byId('purge-confirm');
  button.disabled = true;
  try {
    await ask('cache/purge', { method: 'POST', query: { scope: scopeToPurge } });
    byId('purge').close();
    announce(scopeToPurge === '*' ? 'All scopes are purged.' : `Scope “${scopeToPurge}” is purged.`);
  } catch (error) {
    if (error instanceof Failure && error.isLocked) {
      byId('purge').close();
      locked(error);
    } else {
      setText(byId('purge-problem'), `Not purged: ${error.message}.`);
    }
  } finally {
    button.disabled = false;
  }
}

// locked(error) hears when the token does not do for a purge.
export function startOperations(locked) {
  byId('purge-all').addEventListener('click', () => openPurge('*'));
  byId('purge-cancel').addEventListener('click', () => byId('purge').close());
  byId('purge-confirm').addEventListener('click', () => purge(locked));
  byId('idle-toggle').addEventListener('click', () => {
    showsIdle = !showsIdle;
    show();
  });
  return (status) => {
    latest = status;
    show();
  };
}
