// Speaks the admin endpoint's contract from scripted data: for states that are hard to reach.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const PAGE = fileURLToPath(new URL('../../../proxy/admin/page/', import.meta.url));
const LIBRARY = '/usr/share/javascript/dygraphs/';
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8',
                svg: 'image/svg+xml' };
const HEADERS = {
  'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
};

function fileOf(name) {
  switch (name) {
    case '/': return path.join(PAGE, 'index.html');
    case '/chart.js': return path.join(LIBRARY, 'dygraph.min.js');
    case '/chart.css': return path.join(LIBRARY, 'dygraph.min.css');
    default: return /^\/[a-z]+\.(js|css|svg)$/.test(name) ? path.join(PAGE, name) : null;
  }
}

const lastSequence = (mutation) => mutation.last_sequence;

/*
 * data: { status, clients, mutations, chain }, read anew for every request, so that a test
 * changes what is shown by changing it. requests: what was asked for, path and query.
 * failing: { PATH: [STATUS, MESSAGE] }. hold(request): a promise delays the answer.
 */
export class Mock {
  constructor(data) {
    Object.assign(this, { data, requests: [], purged: [], failing: {}, tokens: null, hold: null, port: 0, server: null });
  }

  async open() {
    this.server = createServer((request, response) => this.serve(request, response));
    await new Promise((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    this.port = this.server.address().port;
    return this;
  }

  async close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  get url() {
    return `http://127.0.0.1:${this.port}/`;
  }

  asked(name) {
    return this.requests.filter((request) => request.path === name);
  }

  async serve(request, response) {
    const url = new URL(request.url, this.url);
    const file = request.method === 'GET' && fileOf(url.pathname);
    if (file) {
      response.writeHead(200, { ...HEADERS, 'Content-Type': TYPES[path.extname(file).slice(1)] });
      response.end(await readFile(file));
      return;
    }
    const seen = { path: url.pathname, method: request.method, query: Object.fromEntries(url.searchParams),
                   target: request.url, authorization: request.headers.authorization ?? null };
    this.requests.push(seen);
    await this.hold?.(seen);
    const [status, body] = this.answer(request, url);
    response.writeHead(status, { ...HEADERS, 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }

  answer(request, url) {
    const refusal = this.refusal(request) ?? this.failing[url.pathname];
    if (refusal) {
      const [status, message] = refusal;
      return [status, { status, message: `psgate: ${message}` }];
    }
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /api/status': return [200, this.data.status()];
      case 'GET /api/clients': return [200, { clients: this.data.clients }];
      case 'GET /api/audit': return [200, this.search(Object.fromEntries(url.searchParams))];
      case 'POST /cache/purge': return this.purge(url.searchParams.get('scope'));
      default: return [404, { status: 404, message: 'psgate: there is nothing here' }];
    }
  }

  // tokens: { TOKEN: is an admin's }, or null where none is needed.
  refusal(request) {
    if (!this.tokens) {
      return null;
    }
    const isAdmin = this.tokens[request.headers.authorization?.replace(/^Bearer /, '')];
    if (isAdmin === undefined) {
      return [401, 'an admin token is needed'];
    }
    return isAdmin ? null : [403, 'the client is not an admin'];
  }

  purge(scope) {
    if (scope !== '*' && !this.data.status().cache.scopes.includes(scope)) {
      return [404, { status: 404, message: `psgate: there is no scope ${scope}` }];
    }
    this.purged.push(scope);
    return [200, { scope }];
  }

  search({ from, to, operation, client, resource, outcome, before, after, limit = '50' }) {
    const hours = { '1h': 1, '24h': 24, '7d': 168, '30d': 720 }[from];
    const start = hours ? Date.now() - hours * 3600e3 : from ? Date.parse(from) : 0;
    const end = to ? Date.parse(to) : Infinity;
    const found = this.data.mutations.filter((one) => {
      const time = Date.parse(one.time);
      return time >= start && time <= end && (!operation || one.operation === operation)
        && (!client || one.client === client) && (!outcome || one.outcome === outcome)
        && (!resource || `${one.resource?.name} ${one.user_target}`.includes(resource))
        && (!before || one.sequence < Number(before)) && (!after || lastSequence(one) > Number(after));
    }).sort((a, b) => b.sequence - a.sequence);
    return { mutations: found.slice(0, Number(limit)), more: found.length > Number(limit),
             sequence: Math.max(0, ...this.data.mutations.map(lastSequence)), chain: this.data.chain };
  }
}
