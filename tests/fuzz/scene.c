#include "fuzz/scene.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "audit/trail.h"
#include "base/log.h"
#include "gateway/conn.h"
#include "gateway/metrics.h"

enum { START_MS = 1000000, MOST_DESCRIPTORS = 256, BUFFER_BYTES = 4096 };
#define START_WALL_MS INT64_C(1767225600000) /* 2026-01-01 */

static struct snapshot *snapshot;
static struct rates *rates;
static struct health health;
static char token[TOKEN_BYTES + 1];

static struct scene *playing; /* NULL: time is the real one */
static int64_t now_ms;

/* The clock. libevent asks for it too, so it is not only wrapped. */

int clock_gettime(clockid_t id, struct timespec *now)
{
    if (playing == NULL || (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE))
        return (int)syscall(SYS_clock_gettime, id, now);
    now->tv_sec = now_ms / 1000;
    now->tv_nsec = now_ms % 1000 * 1000000;
    return 0;
}

int64_t __wrap_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void)
{
    return START_WALL_MS + now_ms - START_MS;
}

/* Sockets */

static void make_pair(int *ours, int *theirs)
{
    const int bytes = BUFFER_BYTES;
    int pair[2];

    fuzz_require(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0,
        "no pair of sockets");
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    (void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    *ours = pair[0];
    *theirs = pair[1];
}

int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
    int ours, theirs;

    (void)domain;
    (void)type;
    (void)protocol;
    if (playing->peer_count == SCENE_MOST_PEERS) {
        errno = EMFILE;
        return -1;
    }
    make_pair(&ours, &theirs);
    playing->peers[playing->peer_count++] = theirs;
    return ours;
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)fd;
    (void)address;
    (void)len;
    if (!playing->refuses_connections)
        return 0;
    (void)close(playing->peers[--playing->peer_count]);
    errno = ECONNREFUSED;
    return -1;
}

int scene_take_peer(struct scene *scene)
{
    int fd = scene->peers[0];

    if (scene->peer_count == 0)
        return -1;
    scene->peer_count--;
    memmove(scene->peers, scene->peers + 1, scene->peer_count * sizeof(scene->peers[0]));
    return fd;
}

int scene_connect(struct scene *scene)
{
    const struct sockaddr peer = {.sa_family = AF_UNIX};
    int ours, theirs;

    make_pair(&ours, &theirs);
    conn_accept(scene->station, ours, &peer, scene->trust);
    return theirs;
}

/* The trail */

bool __wrap_audit_trail_queue(struct audit_trail *trail, struct audit_entry *entry);
bool __wrap_audit_trail_queue(struct audit_trail *trail, struct audit_entry *entry)
{
    (void)trail;
    if (entry->phase == AUDIT_INTENT && playing->is_unwritable)
        return false;
    entry->next = NULL;
    *playing->last_entry = entry;
    playing->last_entry = &entry->next;
    return true;
}

void __wrap_audit_trail_wake(struct audit_trail *trail);
void __wrap_audit_trail_wake(struct audit_trail *trail)
{
    (void)trail;
}

bool __wrap_audit_trail_is_writable(struct audit_trail *trail, struct error *why);
bool __wrap_audit_trail_is_writable(struct audit_trail *trail, struct error *why)
{
    (void)trail;
    if (playing->is_unwritable)
        (void)error_set(why, "the scene says so");
    return !playing->is_unwritable;
}

bool __wrap_audit_trail_admits_refusal(struct audit_trail *trail, struct span source);
bool __wrap_audit_trail_admits_refusal(struct audit_trail *trail, struct span source)
{
    (void)trail;
    (void)source;
    return true;
}

const struct audit_entry *scene_oldest(const struct scene *scene)
{
    return scene->entries;
}

void scene_acknowledge(struct scene *scene, enum audit_done done)
{
    struct audit_entry *entry = scene->entries;

    if (entry == NULL)
        return;
    scene->entries = entry->next;
    if (scene->entries == NULL)
        scene->last_entry = &scene->entries;
    if (entry->on_done == NULL)
        audit_entry_free(entry);
    else
        entry->on_done(entry, entry->phase == AUDIT_INTENT ? done : AUDIT_DURABLE);
}

/* The configuration */

static const char config_text[] =
    "{\"upstream\":{\"url\":\"http://127.0.0.1:1\",\"max_connections\":2,"
    "\"response_timeout\":\"20s\"},"
    "\"credentials\":{\"default\":{\"api_key_file\":\"api-key\"}},"
    "\"clients_file\":\"clients.json\",\"operations_file\":\"operations.json\","
    "\"cache\":{\"memory\":\"1MiB\",\"unknown_hold\":\"5s\"},"
    "\"limits\":{\"header_bytes\":\"4KiB\",\"headers\":16,\"audited_body\":\"1KiB\","
    "\"audited_bodies_total\":\"2KiB\"},\"log\":{\"access\":false}}";

#define ALL "\"invalidates\":[\"session\",\"members\",\"u\"]"

static const char operations_text[] =
    "{\"operations\":["
    "{\"id\":\"getSession\",\"method\":\"GET\",\"path\":\"/v1/auth/session\",\"cache\":{"
    "\"scope\":\"session\",\"ttl\":\"30s\",\"stale_while_revalidate\":\"30s\","
    "\"stale_if_error\":\"10m\"}},"
    "{\"id\":\"listTeamMembers\",\"method\":\"GET\",\"path\":\"/v1/teams/{t}/users\","
    "\"cache\":{\"scope\":\"members\",\"ttl\":\"2s\",\"stale_while_revalidate\":\"60s\","
    "\"stale_if_error\":\"10m\"}},"
    "{\"id\":\"getU\",\"method\":\"GET\",\"path\":\"/v1/u/"
    "{x}\",\"cache\":{\"scope\":\"u\","
    "\"freshness\":\"upstream\",\"ttl\":\"5s\"}},"
    "{\"id\":\"updateTeamMember\",\"method\":\"PUT\",\"path\":\"/v1/teams/{t}/users/"
    "{u}\","
    "\"user\":\"u\",\"audit\":{\"record\":[\"isAdmin\"]}," ALL "},"
    "{\"id\":\"createTeamSecret\",\"method\":\"POST\",\"path\":\"/v1/teams/{t}/secrets\","
    "\"resource\":{\"type\":\"secret\",\"name\":\"body.name\"},\"audit\":{}," ALL "},"
    "{\"id\":\"deleteTeamSecret\",\"method\":\"DELETE\","
    "\"path\":\"/v1/teams/{t}/secrets/{name}\",\"audit\":{}," ALL "}]}";

static void write_file(const char *folder, const char *name, struct span content,
                       char path[256])
{
    int fd;

    (void)snprintf(path, 256, "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_require(fd >= 0 && write(fd, content.at, content.len) == (ssize_t)content.len,
                 "cannot write %s", path);
    (void)close(fd);
}

static void make_clients(struct text *clients)
{
    unsigned char digest[TOKEN_DIGEST_BYTES];
    struct error error;
    struct token_hasher *hasher = token_hasher_new(&error);

    fuzz_require(hasher != NULL && token_generate(hasher, token, &error) &&
                     token_digest(hasher, span_of(token), digest),
                 "no token");
    text_add(clients, SPAN("{\"clients\":[{\"name\":\"ci\",\"token_sha256\":\""));
    for (size_t i = 0; i < sizeof(digest); i++)
        text_add_format(clients, "%02x", digest[i]);
    text_add(clients, SPAN("\"}]}"));
    token_hasher_free(hasher);
}

void scene_prepare(void)
{
    static const char *const names[] = {"psgate.json", "operations.json", "clients.json",
                                        "api-key"};
    char folder[] = "/dev/shm/psgate-fuzz-XXXXXX", paths[4][256];
    struct problems problems = {0};
    struct text clients = {0};

    log_configure(LOG_ERROR, LOG_TEXT);
    make_clients(&clients);
    fuzz_require(mkdtemp(folder) != NULL, "no folder in /dev/shm");
    write_file(folder, names[0], span_of(config_text), paths[0]);
    write_file(folder, names[1], span_of(operations_text), paths[1]);
    write_file(folder, names[2], fuzz_text(&clients), paths[2]);
    write_file(folder, names[3], SPAN(SCENE_KEY "\n"), paths[3]);
    snapshot = snapshot_load(paths[0], NULL, NULL, &problems);
    for (size_t i = 0; i < 4; i++)
        (void)unlink(paths[i]);
    (void)rmdir(folder);
    fuzz_require(snapshot != NULL, "%s", problems.lines.bytes);
    rates = rates_new();
    fuzz_require(rates != NULL && client_set_bind_rates(snapshot->clients, rates),
                 "out of memory");
    health_init(&health);
    text_fini(&clients);
}

const char *scene_token(void)
{
    return token;
}

/* Life of a scene */

static unsigned count_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < MOST_DESCRIPTORS; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void on_end_of_turn(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;

    (void)fd;
    (void)what;
    worker->is_stopping = true;
}

void scene_begin(struct scene *scene)
{
    struct error error = {.text = ""};

    *scene = (struct scene){.descriptors = count_descriptors()};
    scene->last_entry = &scene->entries;
    now_ms = START_MS;
    playing = scene;
    fuzz_require(cache_init(&scene->cache, 1 << 20), "out of memory");
    scene->shared = (struct stations){.cache = &scene->cache,
                                      .rates = rates,
                                      .metrics = metrics_new(),
                                      .health = &health,
                                      .max_connections = 1000};
    fuzz_require(scene->shared.metrics != NULL &&
                     metrics_name_clients(scene->shared.metrics, snapshot->clients),
                 "out of memory");
    free(snapshot->operation_numbers);
    snapshot->operation_numbers =
        metrics_name_operations(scene->shared.metrics, snapshot->operations);
    scene->worker = worker_new(1, &error);
    fuzz_require(scene->worker != NULL, "%s", error.text);
    scene->station = station_new(&scene->shared, scene->worker, &error);
    fuzz_require(scene->station != NULL &&
                     station_adopt(scene->station, snapshot, NULL, 0, &error),
                 "%s", error.text);
    scene->trust = trust_new();
    (void)evtimer_assign(&scene->end_of_turn, scene->worker->base, on_end_of_turn,
                         scene->worker);
}

void scene_turn(struct scene *scene, unsigned turns)
{
    const struct timeval now = {0};

    while (turns-- > 0) {
        scene->worker->is_stopping = false;
        (void)event_add(&scene->end_of_turn, &now);
        worker_run(scene->worker);
    }
}

void scene_advance(struct scene *scene, int64_t ms)
{
    (void)scene;
    now_ms += ms;
}

static void on_idle(void *arg)
{
    const struct scene *scene = arg;

    fuzz_require(scene->station->conns == NULL && scene->station->orphans == NULL,
                 "idle, but something is left");
}

void scene_drain(struct scene *scene)
{
    scene->station->on_idle = on_idle;
    scene->station->arg = scene;
    station_drain(scene->station);
}

void scene_require_rest(const struct scene *scene)
{
    const struct upstream_target *target = snapshot->target;

    fuzz_require(scene->station->conns == NULL, "a connection is left");
    fuzz_require(scene->station->orphans == NULL, "an exchange is left");
    fuzz_require(scene->entries == NULL, "a record is left");
    fuzz_require(atomic_load(&scene->shared.held_bytes) == 0, "held bodies are left");
    fuzz_require(atomic_load(&target->waiting) == 0 &&
                     atomic_load(&target->connections) == atomic_load(&target->idle),
                 "a call upstream is left");
}

void scene_end(struct scene *scene)
{
    station_close_all(scene->station);
    while (scene->entries != NULL) /* the last flush */
        scene_acknowledge(scene, AUDIT_DURABLE);
    trust_unref(scene->trust);
    worker_free(scene->worker); /* opens the last letters */
    for (; scene->entries != NULL; scene_acknowledge(scene, AUDIT_DURABLE))
        fuzz_require(scene->entries->on_done == NULL,
                     "a record is to be told of to a worker that is no more");
    fuzz_require(atomic_load(&scene->shared.held_bytes) == 0, "held bodies are left");
    station_free(scene->station);
    cache_fini(&scene->cache);
    metrics_free(scene->shared.metrics);
    while (scene->peer_count > 0)
        (void)close(scene->peers[--scene->peer_count]);
    playing = NULL;
    fuzz_require(atomic_load(&snapshot->target->connections) == 0 &&
                     atomic_load(&snapshot->target->waiting) == 0,
                 "a slot upstream is left");
    fuzz_require(count_descriptors() == scene->descriptors, "a descriptor is left");
}
