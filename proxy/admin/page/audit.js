// The audit trail: filters, pages, following live, and the chain's state.

import { ask } from './api.js';
import { byId, el, reconcile, setAttribute, setPill, setText } from './dom.js';
import { ago, count, zone } from './format.js';
import { makeMutation, updateMutation } from './records.js';

const PAGE = 25;
const MOST_FOLLOWED = 200; // the contract's limit for one answer
const MOST_SHOWN = 1000;
const TYPING_MS = 300;

const state = { mutations: [], sequence: 0, hasMore: false, isLoaded: false, turn: 0, isFollowing: true, now: null };
let locked = () => {};

const hasCustomRange = () => byId('filter-range').value === 'custom';

// datetime-local is the viewer's own time; the gateway is asked in UTC.
function moment(id) {
  const date = new Date(byId(id).value);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

function filters() {
  const range = hasCustomRange() ? { from: moment('filter-from'), to: moment('filter-to') }
    : { from: byId('filter-range').value };
  return { ...range, operation: byId('filter-operation').value, client: byId('filter-client').value,
           resource: byId('filter-resource').value.trim(), outcome: byId('filter-outcome').value };
}

function setOptions(select, names) {
  const known = new Set([...select.options].map((option) => option.value));
  for (const name of names) {
    if (name && !known.has(name)) {
      known.add(name);
      const after = [...select.options].slice(1).find((option) => option.value > name);
      select.insertBefore(el('option', { value: name }, name), after ?? null);
    }
  }
}

const CHAIN = { intact: ['Chain intact', 'good'], broken: ['Chain broken', 'bad'],
                checking: ['Checking the chain', 'accent'], unknown: ['Chain not checked yet', 'idle'] };

function showChain(chain, now) {
  setPill(byId('chain'), ...(CHAIN[chain.state] ?? [chain.state, 'idle']));
  const said = [];
  if (chain.records !== null) {
    said.push(`${count(chain.records)} records`);
  }
  if (chain.checked) {
    said.push(`checked ${ago(chain.checked, now)}`);
  }
  const { last_checkpoint: checkpoint } = chain;
  said.push(checkpoint ? `last checkpoint #${count(checkpoint.sequence)}, ${ago(checkpoint.time, now)}` : 'no checkpoint yet');
  setText(byId('chain-note'), said.join(' · '));
  setText(byId('chain-problem'), chain.problem ? `${chain.state === 'broken' ? 'The chain is broken: ' : ''}${chain.problem}` : '');
}

function show() {
  reconcileRows();
  setOptions(byId('filter-operation'), state.mutations.map((mutation) => mutation.operation));
  setOptions(byId('filter-client'), state.mutations.map((mutation) => mutation.client));
  const many = state.mutations.length;
  const isFiltered = Object.values(filters()).some(Boolean);
  byId('mutations').hidden = many === 0;
  byId('audit-empty').hidden = many > 0 || !state.isLoaded;
  setText(byId('audit-empty'), isFiltered ? 'No changes match.' : 'No changes yet.');
  byId('older').hidden = !state.hasMore || many >= MOST_SHOWN;
  setText(byId('audit-count'), many === 0 ? '' : `${many === 1 ? '1 change' : `${count(many)} changes`}, newest first${
    state.hasMore ? '; there are older ones' : ''}`);
}

// Each mutation is a tbody; the table's head stays.
function reconcileRows() {
  const table = byId('mutations');
  const head = table.tHead;
  head.rowKey = head;
  reconcile(table, [head, ...state.mutations], (item) => (item === head ? head : item.id), makeMutation,
    (node, item) => item !== head && updateMutation(node, item));
}

function showProblem(error) {
  setText(byId('audit-problem'), error ? `The trail could not be read: ${error.message}.` : '');
}

// Runs one request; an answer to filters that have changed since is dropped.
async function read(query, take) {
  const turn = state.turn;
  const answer = await ask('api/audit', { query: { ...filters(), limit: PAGE, ...query } });
  if (turn !== state.turn) {
    return;
  }
  showProblem(null);
  take(answer);
  state.sequence = Math.max(state.sequence, answer.sequence ?? 0);
  showChain(answer.chain, state.now ?? new Date().toISOString());
  show();
}

async function load() {
  state.turn += 1;
  setAttribute(byId('mutations'), 'aria-busy', 'true');
  const turn = state.turn;
  try {
    await read({}, (answer) => {
      Object.assign(state, { mutations: answer.mutations, hasMore: answer.more, sequence: 0, isLoaded: true });
    });
  } finally {
    if (turn === state.turn) {
      setAttribute(byId('mutations'), 'aria-busy', null);
    }
  }
}

// What came since, and mutations that have ended since; too much of it: from the start.
async function readNewer() {
  if (!state.isLoaded) {
    await load();
    return;
  }
  let isTooMuch = false;
  await read({ after: state.sequence, limit: MOST_FOLLOWED }, (answer) => {
    isTooMuch = answer.more;
    const fresh = new Map(answer.mutations.map((mutation) => [mutation.id, mutation]));
    const kept = state.mutations.map((mutation) => fresh.get(mutation.id) ?? mutation);
    const known = new Set(state.mutations.map((mutation) => mutation.id));
    state.mutations = [...answer.mutations.filter((mutation) => !known.has(mutation.id)), ...kept];
    if (state.mutations.length > MOST_SHOWN) {
      state.mutations.length = MOST_SHOWN;
      state.hasMore = true;
    }
  });
  if (isTooMuch) {
    await load();
  }
}

async function readOlder() {
  const last = state.mutations.at(-1);
  await read({ before: last.sequence }, (answer) => {
    const known = new Set(state.mutations.map((mutation) => mutation.id));
    state.mutations = [...state.mutations, ...answer.mutations.filter((mutation) => !known.has(mutation.id))];
    state.hasMore = answer.more;
  });
}

// For what a person asked for: failures are said at once.
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    failed(error);
  }
}

function failed(error) {
  if (error.isLocked) {
    locked(error);
  } else {
    showProblem(error);
  }
}

function applyFilters() {
  for (const node of document.querySelectorAll('#filters .custom')) {
    node.hidden = !hasCustomRange();
  }
  attempt(load);
}

function listen(poller) {
  let typing = 0;
  byId('filters').addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(applyFilters, document.activeElement.matches('input') ? TYPING_MS : 0);
  });
  byId('filters').addEventListener('submit', (event) => {
    event.preventDefault();
    clearTimeout(typing);
    applyFilters();
  });
  byId('filters').addEventListener('reset', () => setTimeout(applyFilters)); // after its fields are
  byId('older').addEventListener('click', () => attempt(readOlder));
  byId('follow').addEventListener('click', () => {
    state.isFollowing = !state.isFollowing;
    setAttribute(byId('follow'), 'aria-pressed', String(state.isFollowing));
    if (state.isFollowing) {
      poller.start();
    } else {
      poller.stop();
    }
  });
  setText(byId('audit-zone'), `Time (${zone()})`);
}

// Names to choose from that the trail has not shown yet.
export function offerClients(clients) {
  setOptions(byId('filter-client'), clients.map((client) => client.name));
}

function showTrail({ audit, operations, now }) {
  state.now = now;
  setOptions(byId('filter-operation'), operations.map((operation) => operation.id));
  byId('writable').hidden = !audit || (audit.writable && audit.waiting === 0);
  if (audit) {
    setPill(byId('writable'), audit.writable ? `${count(audit.waiting)} waiting for the disk` : 'Not writable: changes get 503',
      audit.writable ? 'accent' : 'bad');
  }
}

/*
 * makePoller(turn, failed) gives the poller that follows; isLocked hears of a token that
 * does not do. Gives { show(status), resume(), pause() }.
 */
export function startAudit(makePoller, isLocked) {
  locked = isLocked;
  const poller = makePoller(readNewer, failed);
  listen(poller);
  return {
    show: showTrail,
    resume: () => {
      if (state.isFollowing) {
        poller.start();
      } else if (!state.isLoaded) {
        attempt(load);
      }
    },
    pause: () => poller.stop(),
  };
}
