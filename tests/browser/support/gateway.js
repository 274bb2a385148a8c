// The real gateway before its built-in sandbox, with an admin endpoint on loopback.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { eventually } from './stage.js';

const run = promisify(execFile);
const LISTENING = /^listening on (http:\/\/\S+)$/m;
const ADMIN = /admin: endpoint on (http:\/\/[^\s"]+)/;

export class Gateway {
  constructor(binary) {
    Object.assign(this, { binary, tokens: {}, output: '', errors: '', url: null, adminUrl: null, process: null });
  }

  async start() {
    this.folder = await mkdtemp(path.join(tmpdir(), 'psgate-browser-'));
    await this.addClient('ci');
    await this.addClient('reader', '--allow', 'getSession');
    await this.addClient('maria', '--admin');
    await writeFile(path.join(this.folder, 'psgate.json'), JSON.stringify({
      listen: [{ address: '127.0.0.1:0' }], admin: { address: '127.0.0.1:0' }, workers: 1,
      credentials: { default: { api_key_env: 'PAPERSPACE_API_KEY' } }, clients_file: 'clients.json',
      limits: { drain_timeout: '1s' } }));
    this.process = spawn(this.binary, ['serve', '--sandbox', '-c', path.join(this.folder, 'psgate.json')],
      { env: { ...process.env, PAPERSPACE_API_KEY: 'sandbox' }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.process.stdout.on('data', (bytes) => { this.output += bytes; });
    this.process.stderr.on('data', (bytes) => { this.errors += bytes; });
    await eventually(() => {
      assert.equal(this.process.exitCode, null, this.errors);
      this.url = LISTENING.exec(this.output)?.[1] ?? null;
      this.adminUrl = ADMIN.exec(this.errors)?.[1].replace(/\/?$/, '/') ?? null;
      return this.url && this.adminUrl;
    }, 'the gateway to listen');
    return this;
  }

  async addClient(name, ...options) {
    const { stdout } = await run(this.binary, ['token', 'create', '--clients', path.join(this.folder, 'clients.json'),
      '--name', name, ...options]);
    this.tokens[name] = stdout.trim();
  }

  ask(target, { client = 'ci', method = 'GET', body = null } = {}) {
    return fetch(this.url + target, { method, body: body && JSON.stringify(body),
      headers: { Authorization: `Bearer ${this.tokens[client]}`, ...(body ? { 'Content-Type': 'application/json' } : {}) } });
  }

  async stop() {
    if (this.process && this.process.exitCode === null) {
      const ended = new Promise((resolve) => this.process.once('exit', resolve));
      this.process.kill('SIGTERM');
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true });
    assert.equal(this.process?.exitCode, 0, this.errors);
    assert.ok(Object.values(this.tokens).every((token) => !this.errors.includes(token)));
  }
}
