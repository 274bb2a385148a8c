#include "fuzz/scene_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/log_output.h"
#include "gateway/conn.h"
#include "gateway/metrics.h"

enum { START_MS = 1000000, MOST_DESCRIPTORS = 256, BUFFER_BYTES = 4096 };

struct scene_kind scene_kind;
struct wire_trust scene_trust;
static SSL_CTX *listener_tls;           /* the gateway's; NULL: plain */
static struct snapshot *first_snapshot; /* each scene begins with it */
static struct rates *rates;
static struct health health;

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
    return SCENE_START_WALL_MS + now_ms - START_MS;
}

bool scene_jwt_has_expired(void)
{
    enum { LEEWAY_MS = 1000 };

    return __wrap_clock_wall_ms() > SCENE_JWT_EXPIRES_MS + LEEWAY_MS;
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

/* Both sides in turns; whoever fails shows it to the script later. */
static void shake_hands(struct scene *scene, struct wire *wire)
{
    for (int i = 0; i < 4 && wire->fd >= 0 && !wire_shake(wire); i++)
        scene_turn(scene, 1);
}

struct wire scene_take_peer(struct scene *scene)
{
    struct wire wire =
        wire_new(scene->peer_count > 0 ? scene->peers[0] : -1, scene_trust.server, true);

    if (wire.fd < 0)
        return wire;
    scene->peer_count--;
    memmove(scene->peers, scene->peers + 1, scene->peer_count * sizeof(scene->peers[0]));
    shake_hands(scene, &wire);
    return wire;
}

struct wire scene_connect(struct scene *scene, unsigned worker)
{
    const struct sockaddr peer = {.sa_family = AF_UNIX};
    const struct networks proxies = {0};
    struct wire wire;
    int ours, theirs;

    make_pair(&ours, &theirs);
    wire = wire_new(theirs, scene_trust.client, false);
    conn_accept(scene->crew[worker].station, ours, &peer, scene->trust, &proxies);
    shake_hands(scene, &wire);
    return wire;
}

/* What nobody may see */

void scene_require_no_secret(struct span bytes, const char *where)
{
    const struct span secrets[] = {span_of(scene_token()), span_of(scene_jwt()),
                                   SPAN(SCENE_KEY), SPAN(SCENE_SECRET)};

    for (size_t i = 0; bytes.len > 0 && i < sizeof(secrets) / sizeof(secrets[0]); i++)
        fuzz_require(memmem(bytes.at, bytes.len, secrets[i].at, secrets[i].len) == NULL,
                     "a secret is in %s: %s", where, fuzz_shown(bytes));
}

void __wrap_log_output_write(enum log_level level, struct span line);
void __wrap_log_output_write(enum log_level level, struct span line)
{
    (void)level;
    scene_require_no_secret(line, "the log");
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

static void prepare_tls(void)
{
    const struct tls_server_options options = {.certificate = scene_trust.certificate,
                                               .private_key = scene_trust.private_key};
    struct error error;

    wire_trust_make(&scene_trust);
    listener_tls = tls_server_context(&options, &error);
    fuzz_require(listener_tls != NULL, "%s", error.text);
}

void scene_prepare(const struct scene_kind *kind)
{
    scene_kind = *kind;
    (void)signal(SIGPIPE, SIG_IGN);
    log_configure(LOG_DEBUG, LOG_TEXT);
    if (kind->has_tls)
        prepare_tls();
    scene_files_prepare();
    scene_trail_prepare();
    first_snapshot = scene_files_load(NULL);
    rates = rates_new();
    fuzz_require(rates != NULL, "out of memory");
    health_init(&health);
}

/* Ties a snapshot to what outlives it, as the gateway does. */
static void tie(struct scene *scene, struct snapshot *snapshot)
{
    struct metrics *metrics = scene->shared.metrics;

    fuzz_require(client_set_bind_rates(snapshot->clients, rates) &&
                     metrics_name_clients(metrics, snapshot->clients),
                 "out of memory");
    if (snapshot->lender == NULL) { /* else borrowed */
        free(snapshot->operation_numbers);
        snapshot->operation_numbers =
            metrics_name_operations(metrics, snapshot->operations);
    }
}

static void adopt(struct scene *scene, struct snapshot *snapshot)
{
    struct error error = {.text = ""};

    for (unsigned i = 0; i < SCENE_WORKERS; i++)
        fuzz_require(station_adopt(scene->crew[i].station, snapshot, NULL, 0, &error),
                     "%s", error.text);
}

static void hire(struct scene *scene, unsigned index)
{
    struct scene_worker *hand = &scene->crew[index];
    struct error error = {.text = ""};

    hand->worker = worker_new(index, &error);
    fuzz_require(hand->worker != NULL, "%s", error.text);
    hand->station = station_new(&scene->shared, hand->worker, &error);
    fuzz_require(hand->station != NULL, "%s", error.text);
    (void)evtimer_assign(&hand->end_of_turn, hand->worker->base, on_end_of_turn,
                         hand->worker);
}

void scene_begin(struct scene *scene)
{
    *scene =
        (struct scene){.descriptors = count_descriptors(), .on_record = scene->on_record};
    now_ms = START_MS;
    playing = scene;
    scene_files_reset();
    fuzz_require(cache_init(&scene->cache, 1 << 20), "out of memory");
    scene->shared = (struct stations){.cache = &scene->cache,
                                      .rates = rates,
                                      .metrics = metrics_new(),
                                      .health = &health,
                                      .max_connections = 1000};
    fuzz_require(scene->shared.metrics != NULL, "out of memory");
    scene_trail_begin(scene);
    scene->snapshot = snapshot_ref(first_snapshot);
    tie(scene, scene->snapshot);
    for (unsigned i = 0; i < SCENE_WORKERS; i++)
        hire(scene, i);
    adopt(scene, scene->snapshot);
    scene->trust = trust_new();
    fuzz_require(scene->trust != NULL, "out of memory");
    trust_change(scene->trust, listener_tls);
}

bool scene_reload(struct scene *scene, enum scene_reload what)
{
    struct snapshot *fresh;
    bool is_new;

    if (scene->reloads == SCENE_MOST_RELOADS)
        return false;
    scene->reloads++;
    scene_files_change(what);
    fresh = what == SCENE_RELOAD_CLIENTS ? scene_files_load_clients(scene->snapshot)
                                         : scene_files_load(scene->snapshot);
    is_new = fresh->epoch != scene->snapshot->epoch;
    tie(scene, fresh);
    adopt(scene, fresh);
    snapshot_unref(scene->snapshot);
    scene->snapshot = fresh;
    return is_new;
}

void scene_purge(struct scene *scene)
{
    struct generations *generations = scene->cache.generations;

    for (int i = 0; i < generations_count(generations); i++)
        generations_raise(generations, i);
}

void scene_turn(struct scene *scene, unsigned turns)
{
    const struct timeval now = {0};

    while (turns-- > 0) {
        for (unsigned i = 0; i < SCENE_WORKERS; i++) {
            struct scene_worker *hand = &scene->crew[i];

            hand->worker->is_stopping = false;
            (void)event_add(&hand->end_of_turn, &now);
            worker_run(hand->worker);
        }
    }
}

void scene_advance(struct scene *scene, int64_t ms)
{
    (void)scene;
    now_ms += ms;
}

static void on_idle(void *arg)
{
    const struct station *station = arg;

    fuzz_require(station->conns == NULL && station->orphans == NULL,
                 "idle, but something is left");
}

void scene_drain(struct scene *scene)
{
    for (unsigned i = 0; i < SCENE_WORKERS; i++) {
        struct station *station = scene->crew[i].station;

        station->on_idle = on_idle;
        station->arg = station;
        station_drain(station);
    }
}

void scene_require_rest(const struct scene *scene)
{
    const struct upstream_target *target = scene->snapshot->target;

    for (unsigned i = 0; i < SCENE_WORKERS; i++) {
        fuzz_require(scene->crew[i].station->conns == NULL, "a connection is left");
        fuzz_require(scene->crew[i].station->orphans == NULL, "an exchange is left");
        fuzz_require(scene->crew[i].station->renewals == NULL, "a key is still tried");
    }
    fuzz_require(!scene_has_records(scene), "a record is left");
    fuzz_require(atomic_load(&scene->shared.held_bytes) == 0, "held bodies are left");
    fuzz_require(atomic_load(&target->waiting) == 0 &&
                     atomic_load(&target->connections) == atomic_load(&target->idle),
                 "a call upstream is left");
}

/* As the program ends: first all stop, then their last letters are opened. */
static void dismiss(struct scene *scene)
{
    for (unsigned i = 0; i < SCENE_WORKERS; i++)
        station_close_all(scene->crew[i].station);
    scene->is_unwritable = false;
    scene_trail_flush(scene);
    trust_unref(scene->trust);
    for (unsigned i = 0; i < SCENE_WORKERS; i++) {
        worker_free(scene->crew[i].worker); /* opens the last letters */
        fuzz_require(!scene_has_awaited_records(scene),
                     "a record is to be told of to a worker that is no more");
        station_free(scene->crew[i].station);
    }
}

void scene_end(struct scene *scene)
{
    const struct upstream_target *target = first_snapshot->target;

    dismiss(scene);
    fuzz_require(atomic_load(&scene->shared.held_bytes) == 0, "held bodies are left");
    scene_trail_end(scene);
    cache_fini(&scene->cache);
    metrics_free(scene->shared.metrics);
    while (scene->peer_count > 0)
        (void)close(scene->peers[--scene->peer_count]);
    playing = NULL;
    snapshot_unref(scene->snapshot);
    fuzz_require(atomic_load(&first_snapshot->references) == 1, "a snapshot is left");
    fuzz_require(atomic_load(&target->connections) == 0 &&
                     atomic_load(&target->waiting) == 0,
                 "a slot upstream is left");
    fuzz_require(count_descriptors() == scene->descriptors, "a descriptor is left");
}
