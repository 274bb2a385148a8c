#include "gateway/listeners.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has_listener(const struct listeners *listeners,
                         const struct listener *listener)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->list[i] == listener)
            return true;
    }
    return false;
}

/* An open listener for the address that is not among those taken already. */
static struct listener *find_listener(const struct listeners *open,
                                      const struct config_listen *listen,
                                      const struct listeners *taken)
{
    for (size_t i = 0; i < open->count; i++) {
        struct listener *listener = open->list[i];

        if (strcmp(listener->address, listen->address) != 0 ||
            has_listener(taken, listener))
            continue;
        if (listener->path != NULL)
            (void)chmod(listener->path, listen->mode);
        return listener;
    }
    return NULL;
}

static struct listener_options listener_options(const struct config_listen *listen)
{
    return (struct listener_options){
        .address = listen->address,
        .host = listen->host,
        .port = listen->port,
        .path = listen->path,
        .mode = listen->mode,
        .is_tls = listen->has_tls,
    };
}

struct listener *listeners_open_one(const struct config_listen *listen,
                                    const struct inherited *inherited,
                                    struct error *error)
{
    const struct listener_options options = listener_options(listen);
    int fd;

    if (!inherited_open(inherited, &options, &fd, error))
        return NULL;
    return fd >= 0 ? listener_take(&options, fd, error) : listener_open(&options, error);
}

bool listeners_open(struct listeners *listeners, const struct config *config,
                    const struct listeners *open, const struct inherited *inherited,
                    struct error *error)
{
    struct listeners fresh = {
        .list = calloc(config->listen_count, sizeof(struct listener *)),
    };

    if (fresh.list == NULL)
        return error_set(error, "out of memory");
    for (size_t i = 0; i < config->listen_count; i++) {
        fresh.list[i] = find_listener(open, &config->listen[i], &fresh);
        if (fresh.list[i] == NULL)
            fresh.list[i] = listeners_open_one(&config->listen[i], inherited, error);
        if (fresh.list[i] == NULL) {
            listeners_close(&fresh, open);
            return false;
        }
        fresh.count++;
    }
    *listeners = fresh;
    return true;
}

void listeners_close(struct listeners *listeners, const struct listeners *others)
{
    for (size_t i = 0; i < listeners->count; i++) {
        if (others == NULL || !has_listener(others, listeners->list[i]))
            listener_close(listeners->list[i]);
    }
    free(listeners->list);
    *listeners = (struct listeners){0};
}

/* Everything that config wants to be listened on; at most two more than listeners. */
static size_t list_addresses(const struct config *config,
                             struct listener_options *addresses)
{
    const struct config_listen *const admin[] = {&config->admin.endpoint,
                                                 &config->admin.metrics};
    size_t count = 0;

    for (size_t i = 0; i < config->listen_count; i++)
        addresses[count++] = listener_options(&config->listen[i]);
    for (size_t i = 0; i < sizeof(admin) / sizeof(admin[0]); i++) {
        if (admin[i]->address != NULL)
            addresses[count++] = listener_options(admin[i]);
    }
    return count;
}

void listeners_check(const struct config *config, const struct inherited *inherited,
                     struct problems *problems)
{
    const struct place root = {0}, listen = {.parent = &root, .key = "listen"};
    struct listener_options *addresses =
        calloc(config->listen_count + 2, sizeof(*addresses));
    struct error error;
    size_t count;

    if (addresses == NULL) {
        problems_add(problems, config->path, "out of memory");
        return;
    }
    count = list_addresses(config, addresses);
    for (size_t i = 0; i < inherited_count(inherited); i++) {
        if (!inherited_is_wanted(inherited, i, addresses, count, &error))
            config_problem(config, problems, &listen, "%s", error.text);
    }
    free(addresses);
}
