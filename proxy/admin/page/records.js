// One mutation of the trail: its row, and its records unfolded below it.

import { cell, el, pill, setAttribute, setPill, setText } from './dom.js';
import { count, duration, localTime } from './format.js';

const COLUMNS = 8;
const OUTCOMES = {
  success: ['Success', 'good'], failure: ['Failure', 'bad'], unknown: ['Unknown', 'warn'],
  refused: ['Refused', 'warn'], open: ['In progress', 'accent'],
};
let serial = 0;

function makeRow(mutation, detailId) {
  const unfold = el('button', { type: 'button', class: 'unfold', 'aria-expanded': 'false', 'aria-controls': detailId },
    el('time', { datetime: mutation.time, title: mutation.time }, localTime(mutation.time)));
  return el('tr', { role: 'row', class: 'mutation' },
    cell('Time', { class: 'time' }, unfold), cell('Outcome', { class: 'outcome' }, pill('', 'idle')),
    cell('Operation', { class: 'name' }, el('bdi')), cell('Resource', { class: 'resource' }, el('div', {}, el('span'), el('bdi'))),
    cell('Client', { class: 'client' }, el('bdi')), cell('Source', { class: 'source' }, el('bdi')),
    cell('Status', { class: 'number' }), cell('Took', { class: 'number' }));
}

// A tbody of two rows: the mutation, and what it unfolds to.
export function makeMutation(mutation) {
  serial += 1;
  const detailId = `records-${serial}`;
  const row = makeRow(mutation, detailId);
  const detail = el('tr', { role: 'row', class: 'detail', id: detailId, hidden: true },
    el('td', { role: 'cell', colspan: COLUMNS }, el('div', { class: 'records' })));
  const body = el('tbody', { role: 'rowgroup' }, row, detail);
  row.addEventListener('click', () => {
    if (document.getSelection().isCollapsed) {
      toggle(body);
    }
  });
  return body;
}

function toggle(body) {
  const [row, detail] = body.children;
  detail.hidden = !detail.hidden;
  setAttribute(row.querySelector('.unfold'), 'aria-expanded', String(!detail.hidden));
  if (!detail.hidden) {
    showRecords(body);
  }
}

// What was changed: the resource, else the user it was done to.
function targetOf(mutation) {
  if (mutation.resource) {
    return [mutation.resource.type ?? '', mutation.resource.name ?? ''];
  }
  return mutation.user_target ? ['user', mutation.user_target] : ['', '–'];
}

function setName(node, text) {
  setText(node, text);
  setAttribute(node, 'title', text.length > 24 ? text : null);
}

export function updateMutation(body, mutation) {
  const [, outcome, operation, resource, client, source, status, took] = body.firstChild.children;
  const [text, tone] = OUTCOMES[mutation.outcome] ?? [mutation.outcome, 'idle'];
  setPill(outcome.firstChild, text, tone, mutation.reason);
  setName(operation.firstChild, mutation.operation ?? '–');
  const [type, name] = targetOf(mutation);
  setText(resource.firstChild.firstChild, type);
  setName(resource.firstChild.lastChild, name);
  setName(client.firstChild, mutation.client ?? '–');
  setName(source.firstChild, mutation.source ?? '–');
  setText(status, mutation.status === null ? '–' : String(mutation.status));
  setText(took, duration(mutation.duration));
  setAttribute(body.querySelector('.unfold'), 'aria-label',
    `${localTime(mutation.time)}, ${mutation.operation ?? 'unknown operation'}, ${text}: records`);
  body.mutation = mutation;
  if (!body.lastChild.hidden) {
    showRecords(body);
  }
}

const valueOf = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

// What a record has in common with the one before it steps back.
function makeRecord(record, index, records) {
  const phase = record['proxy.phase'] ?? record['event.action'] ?? 'record';
  const before = records[index - 1] ?? {};
  const list = el('dl', {});
  for (const [key, value] of Object.entries(record)) {
    const isSame = key in before && valueOf(before[key]) === valueOf(value);
    list.append(el('div', { class: isSame && 'same' }, el('dt', {}, key), el('dd', { dir: 'auto' }, valueOf(value))));
  }
  return el('section', { 'aria-label': `${phase} record` },
    el('h3', {}, phase, el('span', { class: 'note' }, ` #${count(record['event.sequence'])}`)), list);
}

// Made once for so many records: a reader's selection in them stays while the page polls.
function showRecords(body) {
  const { records, reason } = body.mutation;
  const place = body.querySelector('.records');
  if (place.childElementCount !== records.length + (reason ? 1 : 0)) {
    place.replaceChildren(...(reason ? [el('p', { class: 'reason' }, 'Reason: ', el('code', {}, reason))] : []),
      ...records.map(makeRecord));
  }
}
