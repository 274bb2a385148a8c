#include "command/territory.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "confine/confine.h"

enum { LOW_PORTS = 1024 };

struct list {
    struct arena arena; /* of the paths' texts */
    struct confine_path *paths;
    size_t count, capacity;
    bool has_failed; /* out of memory */
};

/* What resolving names, trusting certificates, and the C library read. */
static const char *const system_paths[] = {
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/nscd",
    "/dev",
    "/proc/self",
    "/sys/devices/system/cpu",
};

static bool has(const struct list *list, const char *path, enum confine_access access)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->paths[i].access == access && strcmp(list->paths[i].path, path) == 0)
            return true;
    }
    return false;
}

static bool make_room(struct list *list)
{
    size_t capacity = list->capacity > 0 ? 2 * list->capacity : 32;
    struct confine_path *paths;

    if (list->count < list->capacity)
        return true;
    paths = realloc(list->paths, capacity * sizeof(*paths));
    if (paths == NULL)
        return false;
    list->paths = paths;
    list->capacity = capacity;
    return true;
}

/* Once each: most of a configuration's files lie in the same few folders. */
static void add(struct list *list, const char *path, enum confine_access access)
{
    if (path == NULL || (!has(list, path, access) && !make_room(list)))
        list->has_failed = true;
    else if (!has(list, path, access))
        list->paths[list->count++] = (struct confine_path){path, access};
}

static void add_folder(struct list *list, const char *file, enum confine_access access)
{
    char *copy = arena_copy(&list->arena, span_of(file));

    add(list, copy != NULL ? dirname(copy) : NULL, access);
}

/* A file's folder, and that of the file that a link stands for. NULL: no file. */
static void add_file(struct list *list, const char *file)
{
    char *target;

    if (file == NULL)
        return;
    add_folder(list, file, CONFINE_READ);
    target = realpath(file, NULL);
    if (target != NULL)
        add_folder(list, target, CONFINE_READ);
    free(target);
}

static void add_listener(struct list *list, const struct config_listen *listen)
{
    if (listen->path != NULL)
        add_folder(list, listen->path, CONFINE_SOCKETS);
    add_file(list, listen->tls.certificate);
    add_file(list, listen->tls.private_key);
    add_file(list, listen->tls.client_ca);
    add_file(list, listen->tls.client_crl);
}

static void add_keys(struct list *list, const struct config *config)
{
    for (size_t i = 0; i < config->credential_count; i++) {
        add_file(list, config->credentials[i].api_key_file);
        add_file(list, config->credentials[i].next_api_key_file);
    }
    for (size_t i = 0; i < config->jwt_count; i++) {
        add_file(list, config->jwt[i].jwks_file);
        add_file(list, config->jwt[i].ca_file);
    }
    add_file(list, config->audit.signing_key_file);
}

/* OpenSSL's own settings of where the system's store is. */
static void add_store(struct list *list)
{
    const char *folder = getenv("SSL_CERT_DIR");

    add_file(list, getenv("SSL_CERT_FILE"));
    if (folder != NULL)
        add(list, folder, CONFINE_READ);
}

static void collect(struct list *list, const struct config *config)
{
    for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
        add(list, system_paths[i], CONFINE_READ);
    add_store(list);
    for (size_t i = 0; i < config->listen_count; i++)
        add_listener(list, &config->listen[i]);
    add_listener(list, &config->admin.endpoint);
    add_listener(list, &config->admin.metrics);
    add_file(list, config->path);
    add_file(list, config->clients_file);
    add_file(list, config->operations_file);
    add_file(list, config->upstream.ca_file);
    add_file(list, config->audit.syslog.ca_file);
    add_keys(list, config);
    if (config->log.file != NULL)
        add_folder(list, config->log.file, CONFINE_WRITE); /* where it is made anew */
    /* With the folder around it: one that went and is made again must be within reach. */
    add_folder(list, config->audit.directory, CONFINE_WRITE);
    add_file(list, config->cluster.ca_file);
    add_file(list, config->cluster.password_file);
    add_file(list, config->cluster.path);
    add(list, config->audit.directory, CONFINE_WRITE);
}

static bool is_low_port(const struct config_listen *listen)
{
    return listen->host != NULL && listen->port != 0 && listen->port < LOW_PORTS;
}

static bool has_low_port(const struct config *config)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        if (is_low_port(&config->listen[i]))
            return true;
    }
    return is_low_port(&config->admin.endpoint) || is_low_port(&config->admin.metrics);
}

static bool judge(enum confine_result result, const char *what)
{
    if (result == CONFINE_NOT_THERE)
        log_warn("confinement: this kernel has no %s", what);
    return result != CONFINE_FAILED;
}

bool territory_confine(const struct config *config, struct error *error)
{
    struct list list = {.count = 0};
    bool is_done;

    collect(&list, config);
    is_done = list.has_failed
                  ? error_set(error, "out of memory")
                  : confine_capabilities(has_low_port(config), error) &&
                        judge(confine_files(list.paths, list.count, error),
                              "Landlock: files are kept apart by their modes alone") &&
                        judge(confine_calls(error), "seccomp filters");
    arena_fini(&list.arena);
    free(list.paths);
    return is_done;
}
