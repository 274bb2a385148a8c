// Polls the gateway and hands its answers to the parts of the page.

import { Failure, Poller, ask, token } from './api.js';
import { offerClients, startAudit } from './audit.js';
import { makeCharts } from './charts.js';
import { startClients } from './clients.js';
import { announce, byId, setPill, setText } from './dom.js';
import { startOperations } from './operations.js';
import { showOverview } from './overview.js';

const STATUS_MS = 2000;
const CLIENTS_MS = 5000;
const FOLLOW_MS = 1000;

const showCharts = makeCharts();
const showOperations = startOperations(lock);
const showClients = startClients();
const audit = startAudit((turn, failed) => new Poller(FOLLOW_MS, turn, failed), lock);
const status = new Poller(STATUS_MS, readStatus, statusFailed);
const clients = new Poller(CLIENTS_MS, readClients, clientsFailed);
let now = '';
let countdown = 0;

// "loading", "live", "gone" (nobody answers) or "locked" (no token that does).
function setState(name) {
  document.body.dataset.state = name;
  byId('content').hidden = name === 'locked';
  byId('locked').hidden = name !== 'locked';
  byId('banner').hidden = name !== 'gone';
  clearInterval(countdown);
  if (name === 'live') {
    setPill(byId('link'), 'Live', 'good', 'asked every 2 s while this page is visible');
  } else if (name === 'locked') {
    setPill(byId('link'), 'Locked', 'warn');
    byId('reasons').hidden = true;
  }
}

async function readStatus() {
  const answer = await ask('api/status');
  if (!status.isOn) {
    return; // locked meanwhile
  }
  now = answer.now;
  if (document.body.dataset.state !== 'live') {
    setState('live');
  }
  byId('forget').hidden = !token.read();
  showOverview(answer);
  showOperations(answer);
  showCharts(answer);
  audit.show(answer);
  showOrHideAudit(answer);
  clients.start();
}

function showOrHideAudit(answer) {
  const section = byId('audit');
  section.toggleAttribute('data-off', !answer.audit);
  if (answer.audit) {
    audit.resume();
  } else {
    audit.pause();
    setPill(byId('chain'), 'No trail', 'warn');
    setText(byId('audit-empty'), 'This gateway keeps no audit trail.');
    byId('audit-empty').hidden = false;
  }
}

function statusFailed(error, wait) {
  if (error.isLocked) {
    lock(error);
    return;
  }
  if (!(error instanceof Failure)) {
    console.error(error); // an answer unlike what this page knows
  }
  clients.stop();
  audit.pause();
  setState('gone');
  setPill(byId('ready'), 'Not answering', 'bad');
  const end = Date.now() + wait;
  const say = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    setPill(byId('link'), left > 0 ? `Trying again in ${left} s` : 'Trying again', 'bad');
  };
  say();
  countdown = setInterval(say, 500);
  setText(byId('banner-text'), error.isGone
    ? `The gateway does not answer (${error.message}). What is below is as it was.`
    : `The gateway cannot say how it is: ${error.message}. What is below is as it was.`);
}

async function readClients() {
  const answer = await ask('api/clients');
  setText(byId('client-problem'), '');
  showClients(answer.clients, now);
  offerClients(answer.clients);
}

function clientsFailed(error) {
  if (error.isLocked) {
    lock(error);
  } else {
    setText(byId('client-problem'), `The clients could not be read: ${error.message}.`);
  }
}

// Asks for a token. 403 names a client that is no admin; 401 nobody, or a wrong token.
function lock(error) {
  status.stop();
  clients.stop();
  audit.pause();
  const hadToken = Boolean(token.read());
  token.forget();
  byId('forget').hidden = true;
  setState('locked');
  setText(byId('token-problem'), !hadToken ? '' : error.status === 403
    ? 'That token’s client is not an admin. Use the token of one that is.'
    : 'The gateway does not know that token, or it has expired.');
  byId('token').value = '';
  byId('token').focus();
}

function unlock(event) {
  event.preventDefault();
  const value = byId('token').value.trim();
  if (!/^[!-~]+$/.test(value)) {
    setText(byId('token-problem'), 'That is not a token: it begins with psgate_ and has no spaces.');
    return;
  }
  token.keep(value);
  setPill(byId('link'), 'Checking the token', 'idle');
  byId('token').value = '';
  status.start();
}

// A reload is the sure way to leave nothing of what the token showed on the page.
function forget() {
  token.forget();
  location.reload();
}

byId('token-form').addEventListener('submit', unlock);
byId('forget').addEventListener('click', forget);
byId('retry').addEventListener('click', () => {
  announce('Asking the gateway again.', 'idle');
  status.now();
});
status.start();
