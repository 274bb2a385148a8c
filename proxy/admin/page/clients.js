// Who may call, when each did last, and how often.

import { byId, cell, el, pill, reconcile, setAttribute, setText, showEmptyRow } from './dom.js';
import { ago, count, localTime, until } from './format.js';

const SOON_MS = 7 * 86400 * 1000;
const order = { by: 'name', isDescending: false };
let latest = [];
let now = '';

const listOf = (items) => (items.length > 0 ? items.join(', ') : '–');

function makeRow(client) {
  return el('tr', { role: 'row' },
    cell('Client', { class: 'name' }, el('bdi', { title: client.name }, client.name), ' ', el('span', { class: 'badges' })),
    cell('Identity'), cell('May', { class: 'policy' }, el('bdi'), el('bdi', { class: 'deny' })),
    cell('Teams', { class: 'policy' }, el('bdi')), cell('Key', {}, el('bdi')), cell('Rate'), cell('Expires'),
    cell('Last seen'), cell('Requests', { class: 'number' }), cell('Refused', { class: 'number' }));
}

function showPolicy(node, text) {
  setText(node, text);
  setAttribute(node, 'title', text.length > 30 ? text : null);
}

function showExpiry(node, client) {
  const left = client.expires === null ? Infinity : Date.parse(client.expires) - Date.parse(now);
  setText(node, client.expires === null ? 'never' : until(client.expires, now));
  setAttribute(node, 'title', client.expires && localTime(client.expires));
  setAttribute(node, 'data-tone', left <= 0 ? 'bad' : left < SOON_MS ? 'warn' : null);
}

function updateRow(row, client) {
  const [name, identity, may, teams, key, rate, expires, seen, requests, refused] = row.children;
  const badges = name.querySelector('.badges');
  if (client.admin !== (badges.childElementCount > 0)) {
    badges.replaceChildren(...(client.admin ? [pill('admin', 'accent')] : []));
  }
  setText(identity, listOf(client.identities));
  showPolicy(may.children[0], listOf(client.allow));
  showPolicy(may.children[1], client.deny.length > 0 ? ` but not ${listOf(client.deny)}` : '');
  showPolicy(teams.firstChild, listOf(client.teams));
  setText(key.firstChild, client.credential);
  setText(rate, client.rate ?? 'no limit');
  showExpiry(expires, client);
  setText(seen, ago(client.last_seen, now));
  setAttribute(seen, 'title', client.last_seen && localTime(client.last_seen));
  setText(requests, count(client.requests));
  setText(refused, count(client.refused));
  setAttribute(refused, 'data-tone', client.refused > 0 ? 'warn' : null);
}

// What was never (no time) comes last in either direction.
function compare(a, b) {
  const [left, right] = [a[order.by], b[order.by]];
  if (left === null || right === null) {
    return (left === null) - (right === null);
  }
  const result = typeof left === 'number' ? left - right : left < right ? -1 : Number(left > right);
  return order.isDescending ? -result : result;
}

function show() {
  const body = byId('client-rows');
  setText(byId('client-count'), latest.length === 1 ? '1 client' : `${count(latest.length)} clients`);
  if (latest.length === 0) {
    showEmptyRow(body, 10, 'No clients yet: psgate token create makes one.');
    return;
  }
  const byName = [...latest].sort((a, b) => (a.name < b.name ? -1 : 1));
  reconcile(body, byName.sort(compare), (client) => client.name, makeRow, updateRow);
}

function sortBy(header) {
  const by = header.dataset.sort;
  order.isDescending = order.by === by ? !order.isDescending : by !== 'name' && by !== 'expires';
  order.by = by;
  for (const other of header.parentElement.children) {
    setAttribute(other, 'aria-sort', other === header ? (order.isDescending ? 'descending' : 'ascending') : null);
  }
  show();
}

// Gives what is to be called with the clients and the gateway's time.
export function startClients() {
  for (const header of byId('clients').querySelectorAll('th[data-sort]')) {
    header.firstElementChild.addEventListener('click', () => sortBy(header));
  }
  return (clients, time) => {
    latest = clients;
    now = time;
    show();
  };
}
