#include "config/admin.h"

#include "config/address.h"

/* False: there is none, or a problem that is told already. */
static bool read_address(struct document *document, const struct place *place,
                         json_t *value, struct config_listen *listen)
{
    struct error error;

    if (json_is_null(value))
        return false;
    listen->mode = 0660;
    if (!json_is_string(value)) {
        document_problem(document, place,
                         "must be a string such as \"127.0.0.1:9090\" or "
                         "\"unix:/run/psgate/admin.sock\"");
        return false;
    }
    if (address_parse_listen(document->arena, json_string_value(value), listen, &error))
        return true;
    document_problem(document, place, "%s", error.text);
    return false;
}

static void read_admin_address(struct document *document, const struct place *place,
                               json_t *value, void *target)
{
    struct config_admin *admin = target;

    if (read_address(document, place, value, &admin->endpoint) &&
        admin->endpoint.host != NULL && !config_is_loopback(admin->endpoint.host))
        document_problem(document, place,
                         "%s is not a loopback address: the admin endpoint is for this "
                         "machine (use unix:/PATH or 127.0.0.1:PORT; metrics alone may "
                         "have a metrics_address)",
                         admin->endpoint.address);
}

static void read_metrics_address(struct document *document, const struct place *place,
                                 json_t *value, void *target)
{
    (void)read_address(document, place, value, &((struct config_admin *)target)->metrics);
}

static const struct document_option options[] = {
    {.key = "address", .kind = OPTION_CUSTOM, .read = read_admin_address},
    {.key = "metrics_address", .kind = OPTION_CUSTOM, .read = read_metrics_address},
    {0},
};

void config_read_admin(struct document *document, const struct place *place,
                       json_t *value, struct config_admin *admin)
{
    if (!json_is_null(value))
        document_read_object(document, place, value, options, admin);
}
