// Plausible data for the mock: the same each time but for the present moment.

const STEP_S = 10;
const POINTS = 360;

function makeRandom(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const iso = (ms) => new Date(ms).toISOString();
export const secondsAgo = (seconds, now = Date.now()) => iso(now - seconds * 1000);

function makePoint(random, i) {
  const busy = 0.55 + 0.35 * Math.sin(i / 37) + 0.1 * Math.sin(i / 5);
  const isTrouble = i > 214 && i < 226;
  const requests = Math.round(10 * (9 + 26 * busy + 5 * random()));
  const hits = Math.round(requests * (0.62 + 0.06 * random()));
  const errors = isTrouble ? Math.round(requests * 0.08 * random()) : random() < 0.03 ? 1 : 0;
  const refused = i % 90 < 6 ? Math.round(requests * 0.12) : random() < 0.2 ? 1 : 0;
  const upstream = (isTrouble ? 0.38 : 0.044) * (0.9 + 0.25 * random());
  return { requests, errors, refused, hits, p50: 0.00021 * (0.9 + 0.3 * random()), p90: upstream * 1.05,
           p99: upstream * (2.1 + 0.6 * random()), upstream_p50: upstream, upstream_p99: upstream * (2 + 0.5 * random()) };
}

const operation = (id, requests, errors, cache) => ({
  id, requests, errors, refused: { getSession: 371, createTeamSecret: 9, deleteTeamSecret: 2 }[id] ?? 0, cached: Boolean(cache), scope: cache?.scope ?? null,
  hits: cache?.hits ?? 0, misses: cache?.misses ?? 0, stale: cache?.stale ?? 0, collapsed: cache?.collapsed ?? 0,
});

const IDLE = ['updateTeamSecret', 'createProjectSecret', 'updateProjectSecret', 'deleteProjectSecret',
  'updateContainerRegistry', 'deleteContainerRegistry', 'createStorageProvider', 'updateStorageProvider',
  'deleteStorageProvider', 'manageApiKeys'];

export function makeOperations() {
  return [
    operation('getSession', 214862, 3, { scope: 'session', hits: 198114, misses: 8951, stale: 5870, collapsed: 1927 }),
    operation('listTeamMembers', 58930, 1, { scope: 'members', hits: 47802, misses: 6614, stale: 1404, collapsed: 3110 }),
    operation('updateTeamMember', 41, 0), operation('removeTeamMember', 6, 0), operation('listTeamSecrets', 2218, 0),
    operation('createTeamSecret', 87, 2), operation('getTeamSecret', 954, 0), operation('deleteTeamSecret', 23, 0),
    operation('createContainerRegistry', 4, 0), ...IDLE.map((id) => operation(id, 0, 0)), operation('other', 120417, 61),
  ];
}

export function makeStatus() {
  const started = Date.now() - (3 * 86400 + 4 * 3600 + 12 * 60) * 1000;
  const random = makeRandom(7);
  const points = Array.from({ length: POINTS }, (_, i) => makePoint(random, i));
  const operations = makeOperations();
  const base = {
    version: '0.1.0', workers: 2, config_generation: 4, ready: true, reasons: [], connections: 38, requests_in_flight: 5,
    requests: { total: operations.reduce((sum, one) => sum + one.requests, 0), errors: 67, refused: 412 },
    operations,
    cache: { bytes: 12.4 * 1024 * 1024, limit: 64 * 1024 * 1024, entries: 23114, scopes: ['members', 'session'] },
    upstream: { url: 'https://api.paperspace.com', state: 'up', circuit: 'closed', connections: { active: 5, idle: 27, limit: 256 },
                last_error: 'connection timed out' },
    audit: { writable: true, chain_id: '6f1c2a9be04d4e0f', records: 18442, sequence: 18442, waiting: 0 },
  };
  // What depends on the moment is made anew for every request.
  return () => {
    const now = Date.now();
    return {
      ...base, now: iso(now), started: iso(started),
      history: { step: STEP_S, from: iso(now - POINTS * STEP_S * 1000 + 2000), points },
      upstream: { last_success: secondsAgo(0.4, now), last_failure: secondsAgo(1360, now), ...base.upstream },
      credentials: base.credentials ?? [
        { name: 'default', slot: 'api_key_file', state: 'accepted', last_success: secondsAgo(0.4, now), last_failure: null },
        { name: 'research', slot: 'next_api_key_file', state: 'accepted', last_success: secondsAgo(41, now),
          last_failure: secondsAgo(7520, now) }],
      audit: base.audit && { last_checkpoint: { time: secondsAgo(34, now), sequence: 18440 }, ...base.audit },
    };
  };
}

const client = (name, members) => ({
  name, identities: ['token'], allow: ['*'], deny: [], teams: ['*'], credential: 'default', expires: null, rate: null,
  admin: false, last_seen: null, requests: 0, refused: 0, ...members,
});

export function makeClients() {
  const inDays = (days) => secondsAgo(-days * 86400);
  return [
    client('ci', { allow: ['list*', 'getSession', 'createTeamSecret'], teams: ['tq4bhs5wr'], expires: inDays(61), rate: '20/s',
                   last_seen: secondsAgo(1), requests: 241880, refused: 388 }),
    client('deploy-bot', { identities: ['certificate'], deny: ['*Member'], teams: ['tq4bhs5wr'], last_seen: secondsAgo(14),
                           requests: 90412, refused: 3 }),
    client('grafana', { identities: ['jwt'], allow: ['getSession', 'listTeamMembers'], rate: '2/s', last_seen: secondsAgo(9),
                        requests: 51920 }),
    client('local-tools', { identities: ['uid'], last_seen: secondsAgo(3720), requests: 811 }),
    client('maria', { identities: ['token', 'certificate'], expires: inDays(5), admin: true, last_seen: secondsAgo(96),
                      requests: 6207, refused: 2 }),
    client('notebooks', { allow: ['getSession', 'list*'], teams: ['tq4bhs5wr', 't9kd20xma'], credential: 'research', rate: '600/m',
                          expires: inDays(-2), last_seen: secondsAgo(180000), requests: 1206, refused: 19 }),
    client('terraform', { allow: ['*Secret', '*ContainerRegistry', '*StorageProvider'], rate: '5/s' }),
  ];
}

const ROUTES = {
  createTeamSecret: ['POST', '/v1/teams/{id}/secrets', 'secret', 'creation', 201],
  updateTeamSecret: ['PATCH', '/v1/teams/{id}/secrets/{name}', 'secret', 'change', 200],
  deleteTeamSecret: ['DELETE', '/v1/teams/{id}/secrets/{name}', 'secret', 'deletion', 204],
  createContainerRegistry: ['POST', '/v1/container-registries', 'container-registry', 'creation', 201],
  updateTeamMember: ['PUT', '/v1/teams/{teamId}/users/{userId}', null, 'change', 200],
  removeTeamMember: ['DELETE', '/v1/teams/{teamId}/users/{userId}', null, 'deletion', 204],
};

const hexOf = (random, length) => Array.from({ length }, () => Math.floor(random() * 16).toString(16)).join('');

function makeRecord(mutation, phase, more) {
  const { type } = mutation;
  return {
    '@timestamp': mutation.time, 'ecs.version': '8.11.0', 'proxy.phase': phase, 'event.kind': 'event', 'event.type': [type],
    'event.id': mutation.id, 'event.category': [mutation.user_target ? 'iam' : 'configuration'], 'event.action': mutation.operation,
    'user.name': mutation.client, 'client.auth': 'bearer', 'source.ip': mutation.source, 'user_agent.original': 'pspace/1.10.1',
    'organization.id': mutation.team, ...(mutation.user_target ? { 'user.target.id': mutation.user_target } : {}),
    'http.request.method': mutation.method, 'proxy.route': mutation.route,
    ...(mutation.resource ? { 'proxy.resource.type': mutation.resource.type, 'proxy.resource.name': mutation.resource.name } : {}),
    'proxy.credential': 'default', 'proxy.config_generation': 4, ...more,
  };
}

const REASONS = { failure: 'upstream_status', unknown: 'response_timeout', refused: 'not_allowed' };

/*
 * A mutation whose first record has this sequence; members of given replace its own, and
 * outcome "open" has no result yet.
 */
export function makeMutation(sequence, given = {}) {
  const random = makeRandom(sequence * 2654435761);
  const { operation: id = 'createTeamSecret', outcome = 'success' } = given;
  const [method, route, type, kind, status] = ROUTES[id];
  const isShort = outcome === 'open' || outcome === 'refused';
  const mutation = {
    id: hexOf(random, 32), sequence, last_sequence: isShort ? sequence : sequence + 1, time: secondsAgo(0), operation: id,
    client: 'ci', source: '10.20.4.17', team: 'tq4bhs5wr', resource: type && { type, name: 'DB_URL' },
    user_target: type ? null : 'u7c1fe2', method, route,
    status: { success: status, failure: 422, refused: 403 }[outcome] ?? null, outcome, reason: REASONS[outcome] ?? null,
    duration: isShort ? null : outcome === 'unknown' ? 60.02 : 0.06 + 0.12 * random(), ...given,
  };
  const tail = (place) => ({ 'event.sequence': sequence + place, 'proxy.chain_id': '6f1c2a9be04d4e0f',
                             'proxy.prev_hash': hexOf(random, 64) });
  const withType = { ...mutation, type: kind };
  mutation.records ??= outcome === 'refused'
    ? [makeRecord(withType, 'refused', { 'event.outcome': 'failure', 'event.reason': mutation.reason,
                                         'http.response.status_code': mutation.status, ...tail(0) })]
    : [makeRecord(withType, 'intent', tail(0)), makeRecord(withType, 'result', {
      'event.outcome': outcome, ...(mutation.reason ? { 'event.reason': mutation.reason } : {}),
      'event.duration': Math.round((mutation.duration ?? 0) * 1e9),
      ...(mutation.status ? { 'http.response.status_code': mutation.status } : {}), ...tail(1) })].slice(0, isShort ? 1 : 2);
  return mutation;
}

const SCRIPT = [
  { operation: 'createTeamSecret', client: 'ci', resource: { type: 'secret', name: 'GHCR_TOKEN' } },
  { operation: 'updateTeamMember', client: 'maria', source: '10.20.1.5', user_target: 'u3k9wq1' },
  { operation: 'updateTeamSecret', client: 'deploy-bot', source: '10.20.4.31', resource: { type: 'secret', name: 'DB_URL' } },
  { operation: 'deleteTeamSecret', client: 'notebooks', source: '10.20.9.88', outcome: 'refused', resource: { type: 'secret', name: 'AWS_SECRET_ACCESS_KEY' } },
  { operation: 'createTeamSecret', client: 'terraform', source: '10.20.4.40', outcome: 'failure', resource: { type: 'secret', name: 'not a valid name' } },
  { operation: 'createContainerRegistry', client: 'terraform', source: '10.20.4.40', resource: { type: 'container-registry', name: 'ghcr-prod' } },
  { operation: 'deleteTeamSecret', client: 'ci', resource: { type: 'secret', name: 'OLD_WANDB_KEY' } },
  { operation: 'removeTeamMember', client: 'maria', source: '10.20.1.5', outcome: 'unknown', user_target: 'u7c1fe2' },
];

// count mutations, the newest a moment ago.
export function makeMutations(count = 64) {
  return Array.from({ length: count }, (_, i) => makeMutation(18441 - 2 * i, {
    ...SCRIPT[i % SCRIPT.length], time: secondsAgo(35 + i * 411 + (i % 5) * 37) }));
}

export const makeChain = () => ({ state: 'intact', records: 18442, checked: secondsAgo(74), problem: null,
                                  last_checkpoint: { time: secondsAgo(34), sequence: 18440 } });

export const makeData = (mutations = 64) => ({
  status: makeStatus(), clients: makeClients(), mutations: makeMutations(mutations), chain: makeChain(),
});
