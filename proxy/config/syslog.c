#include "config/syslog.h"

#include <sys/un.h>

#include "config/address.h"

#define OFFSET(type, field) offsetof(struct type, field)

/* RFC 5427, in the order of the codes. */
static const char *const facility_names[] = {
    "kern",    "user",   "mail",   "daemon",   "auth",   "syslog", "lpr",
    "news",    "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",
    "console", "cron2",  "local0", "local1",   "local2", "local3", "local4",
    "local5",  "local6", "local7", NULL};

static const char shape[] =
    "is none of tcp://HOST:PORT, tls://HOST:PORT and unix:/PATH (such as "
    "\"tls://logs.example:6514\" or \"unix:/dev/log\")";

static bool parse_path(struct arena *arena, const char *path,
                       struct config_syslog *syslog, struct error *error)
{
    if (path[0] != '/' || path[1] == '\0')
        return error_set(error, "%s", shape);
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(error, "is longer than a unix socket's path may be (107 bytes)");
    syslog->transport = CONFIG_SYSLOG_UNIX;
    syslog->path = arena_copy(arena, span_of(path));
    return syslog->path != NULL || error_set(error, "out of memory");
}

static bool parse_url(struct arena *arena, const char *url, struct config_syslog *syslog,
                      struct error *error)
{
    struct span text = span_of(url);

    if (span_starts_with(text, SPAN("unix:")))
        return parse_path(arena, url + 5, syslog, error);
    if (span_starts_with(text, SPAN("tls://"))) {
        syslog->transport = CONFIG_SYSLOG_TLS;
        syslog->port = 6514;
    } else if (span_starts_with(text, SPAN("tcp://"))) {
        syslog->transport = CONFIG_SYSLOG_TCP;
        syslog->port = 514;
    } else {
        return error_set(error, "%s", shape);
    }
    return address_parse_authority(arena, span_of(url + 6), &syslog->host, &syslog->port,
                                   error) ||
           error_set(error, "%s", shape);
}

static void read_url(struct document *document, const struct place *place, json_t *value,
                     void *target)
{
    struct config_syslog *syslog = target;
    struct error error;

    if (!json_is_string(value))
        document_problem(document, place, "must be a string such as \"unix:/dev/log\"");
    else if (!parse_url(document->arena, json_string_value(value), syslog, &error))
        document_problem(document, place, "%s", error.text);
    else
        syslog->url = arena_copy(document->arena, span_of(json_string_value(value)));
}

static const struct document_option syslog_options[] = {
    {.key = "url", .kind = OPTION_CUSTOM, .read = read_url, .is_required = true},
    {.key = "ca_file", .kind = OPTION_PATH, .offset = OFFSET(config_syslog, ca_file)},
    {.key = "facility",
     .kind = OPTION_CHOICE,
     .offset = OFFSET(config_syslog, facility),
     .choices = facility_names},
    {0},
};

void config_read_syslog(struct document *document, const struct place *place,
                        json_t *value, struct config_syslog *syslog)
{
    const struct place ca_file = {.parent = place, .key = "ca_file"};

    *syslog = (struct config_syslog){.facility = CONFIG_SYSLOG_AUTH};
    if (json_is_null(value))
        return;
    if (json_is_string(value)) {
        read_url(document, place, value, syslog);
        return;
    }
    if (!json_is_object(value)) {
        document_problem(document, place,
                         "must be a URL such as \"unix:/dev/log\", or an object with "
                         "\"url\", and perhaps \"ca_file\" and \"facility\"");
        return;
    }
    document_read_object(document, place, value, syslog_options, syslog);
    if (syslog->url != NULL && syslog->ca_file != NULL &&
        syslog->transport != CONFIG_SYSLOG_TLS)
        document_problem(document, &ca_file,
                         "is only for tls:// (use that, or remove it)");
}
