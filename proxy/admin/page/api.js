// Asking the gateway: the token, the errors, and polling that backs off and sleeps when hidden.

const TOKEN = 'psgate-admin-token';
const TIMEOUT_MS = 10000;
const LONGEST_WAIT_MS = 30000;

// The tab's own storage: gone when the tab is closed, never in an address.
export const token = {
  read: () => sessionStorage.getItem(TOKEN),
  keep: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

// status is 0 when there was no answer.
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  get isGone() {
    return this.status === 0;
  }

  get isLocked() {
    return this.status === 401 || this.status === 403;
  }
}

// A space is %20 here, which is one in every reading of a query.
function queryOf(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  const text = pairs.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&');
  return text && `?${text}`;
}

async function messageOf(answer) {
  try {
    const { message } = await answer.json();
    return String(message).replace(/^psgate: /, '');
  } catch {
    return `the gateway answered ${answer.status}`;
  }
}

// Gives the JSON of the answer (null when it has none), or throws a Failure.
export async function ask(path, { method = 'GET', query = {} } = {}) {
  const headers = { Accept: 'application/json' };
  if (token.read()) {
    headers.Authorization = `Bearer ${token.read()}`;
  }
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  let answer;
  try {
    answer = await fetch(path + queryOf(query),
      { method, headers, signal, cache: 'no-store', credentials: 'omit', redirect: 'error' });
  } catch {
    throw new Failure(0, 'the gateway does not answer');
  }
  if (!answer.ok) {
    throw new Failure(answer.status, await messageOf(answer));
  }
  try {
    const text = await answer.text();
    return text ? JSON.parse(text) : null;
  } catch {
    throw new Failure(0, 'the answer was cut short');
  }
}

/*
 * Calls turn() again and again while the page is visible: period after it ended well,
 * twice as long after each failure in a row. failed(error, wait) hears of failures.
 */
export class Poller {
  constructor(period, turn, failed) {
    Object.assign(this, { period, turn, failed, failures: 0, timer: 0, isOn: false, isBusy: false });
    document.addEventListener('visibilitychange', () => this.isOn && this.now());
  }

  start() {
    if (!this.isOn) {
      this.isOn = true;
      this.now();
    }
  }

  stop() {
    this.isOn = false;
    this.failures = 0;
    clearTimeout(this.timer);
  }

  async now() {
    clearTimeout(this.timer);
    if (!this.isOn || this.isBusy || document.visibilityState === 'hidden') {
      return;
    }
    this.isBusy = true;
    let wait = this.period;
    try {
      await this.turn();
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
      wait = Math.min(this.period * 2 ** this.failures, LONGEST_WAIT_MS);
      this.failed(error, wait);
    } finally {
      this.isBusy = false;
    }
    if (this.isOn) {
      this.timer = setTimeout(() => this.now(), wait);
    }
  }
}
