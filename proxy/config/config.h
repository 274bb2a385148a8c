/*
 * psgate.json as plain, immutable data. Reading it touches no socket and opens none of
 * the files that it names; whoever needs those reads them. INTERFACES: "Configuration".
 */
#ifndef PSGATE_CONFIG_CONFIG_H
#define PSGATE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/network.h"
#include "config/document.h"
#include "config/jwt.h"
#include "config/syslog.h"
#include "config/units.h"

enum config_client_auth {
    CONFIG_CLIENT_AUTH_NONE,
    CONFIG_CLIENT_AUTH_OPTIONAL,
    CONFIG_CLIENT_AUTH_REQUIRED,
};

struct config_tls {
    const char *certificate; /* a PEM file, with its chain */
    const char *private_key;
    const char *client_ca;  /* NULL: clients show no certificate */
    const char *client_crl; /* NULL: revocation is not looked at */
    int client_auth;        /* enum config_client_auth */
};

struct config_listen {
    const char *address; /* as written */
    const char *host;    /* a literal IP address without brackets, or NULL: unix */
    uint16_t port;       /* 0: any free one */
    const char *path;    /* of a unix socket, or NULL */
    unsigned mode;       /* of a unix socket */
    bool has_tls;
    struct config_tls tls;
    bool allow_plaintext;
    struct networks proxy_protocol; /* from whom connections begin with a PROXY header */
};

/* address NULL: none. */
struct config_admin {
    struct config_listen endpoint; /* a unix socket or a loopback address */
    struct config_listen metrics;
};

enum config_encoded_slashes { CONFIG_SLASHES_REFUSE, CONFIG_SLASHES_FORWARD };

struct config_upstream {
    const char *url; /* as written */
    bool is_tls;
    const char *host; /* a name, or a literal address without brackets */
    const char
        *authority; /* what the Host field says: host, and port if not the default */
    uint16_t port;
    const char *ca_file; /* NULL: the system's store */
    int encoded_slashes; /* enum config_encoded_slashes */
    bool allow_plaintext;
    int64_t connect_timeout_ms, response_timeout_ms, idle_timeout_ms;
    int64_t max_connections; /* of the process */
};

/* One team's key: exactly one of the first two is set. */
struct config_credential {
    const char *name;
    const char *api_key_file;
    const char *api_key_env;
    const char *next_api_key_file; /* NULL: there is no other key to go on with */
};

/* The most that limits.header_bytes may be. */
enum { CONFIG_MOST_HEADER_BYTES = 1 << 20 };

struct config_limits {
    int64_t header_bytes, headers, connections;
    int64_t audited_body_bytes, audited_bodies_total_bytes;
    int64_t header_timeout_ms, body_timeout_ms, send_timeout_ms, keepalive_timeout_ms;
    int64_t tunnel_idle_timeout_ms, drain_timeout_ms;
    struct units_rate upstream_rate; /* of all clients' requests that go upstream */
    int64_t upstream_burst;          /* 0: the rate's count */
};

struct config_log {
    int level;  /* enum log_level */
    int format; /* enum log_format */
    bool access;
    const char *file; /* NULL: standard error */
};

struct config_cache {
    int64_t memory_bytes;
    int64_t stale_after_ms, unknown_hold_ms;
    const char *const *other_invalidates; /* scopes; "*": all */
    size_t other_invalidates_count;
};

enum config_other_mutations {
    CONFIG_OTHER_LOG,     /* recorded, without waiting */
    CONFIG_OTHER_REQUIRE, /* like audited operations */
    CONFIG_OTHER_OFF,
};

enum config_unreadable_body { CONFIG_UNREADABLE_REFUSE, CONFIG_UNREADABLE_FORWARD };

struct config_audit {
    const char *directory;
    int other_mutations; /* enum config_other_mutations */
    int unreadable_body; /* enum config_unreadable_body */
    int64_t timeout_ms, rotate_bytes;
    const char *signing_key_file; /* NULL: no checkpoints */
    struct config_syslog syslog;
};

/* Several gateways that share one Redis server. */
struct config_cluster {
    const char *redis; /* the URL as it stands; NULL: a gateway alone */
    bool is_tls;
    const char *host; /* NULL: path is the server's unix socket */
    uint16_t port;
    const char *path;
    int database;
    const char *ca_file;       /* NULL: the system's authorities */
    const char *password_file; /* NULL: none is asked for */
    const char *prefix;        /* of every key and channel */
    int64_t max_staleness_ms;
};

struct config {
    struct arena arena; /* holds every string and array below */
    const char *path;
    struct span text; /* the file's, to say where a problem stands */
    struct config_listen *listen;
    size_t listen_count;
    struct networks trusted_proxies; /* whose Forwarded and X-Forwarded-For hold */
    struct config_admin admin;
    int64_t workers; /* 0: one a core */
    struct config_upstream upstream;
    struct config_credential *credentials;
    size_t credential_count;
    const struct config_jwt *jwt;
    size_t jwt_count;
    const char *clients_file;
    const char *operations_file; /* NULL: the built-in table */
    struct config_cache cache;
    struct config_audit audit;
    struct config_limits limits;
    struct config_log log;
    struct config_cluster cluster;
};

/*
 * Reads a configuration file. NULL when there were problems, which are then in *problems.
 * The caller frees it.
 */
struct config *config_load(const char *path, struct problems *problems);
void config_free(struct config *config);

/*
 * Records a problem that was found after loading, with the value at a place in the file:
 * a file that cannot be read, say.
 */
void config_problem(const struct config *config, struct problems *problems,
                    const struct place *place, const char *format, ...) PRINTF_LIKE(4, 5);

bool config_is_same_cluster(const struct config_cluster *one,
                            const struct config_cluster *other);

/* The credential of that name, or NULL. */
const struct config_credential *config_find_credential(const struct config *config,
                                                       const char *name);

/* Whether host is a literal loopback address: 127.0.0.0/8 or ::1. */
bool config_is_loopback(const char *host);

#endif
