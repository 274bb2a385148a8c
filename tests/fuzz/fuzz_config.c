/*
 * Configurations: any text is a configuration or a list of problems, each a line of its
 * own that names a place; never both. What is taken keeps the promises that other code
 * rests on.
 */
#include "config/config.h"

#include "fuzz/support.h"

/* Takes ":NUMBER"; false when something else stands there. */
static bool take_number(struct span *line, uint64_t *number)
{
    struct span digits = span_make(line->at, 0);

    if (line->len == 0 || line->at[0] != ':')
        return false;
    (void)fuzz_byte(line);
    digits.at = line->at;
    while (line->len > 0 && line->at[0] >= '0' && line->at[0] <= '9') {
        (void)fuzz_byte(line);
        digits.len++;
    }
    return digits.len > 0 && span_to_number(digits, UINT32_MAX, number);
}

/* ":LINE:COLUMN: " is a place in the file, or the end of one of its lines. */
static void check_place(struct span line, struct span file)
{
    struct span rest = line, there = {0};
    uint64_t row, column;

    if (!take_number(&rest, &row) || !take_number(&rest, &column))
        return; /* it is about the file as a whole */
    fuzz_require(row > 0 && column > 0 && span_starts_with(rest, SPAN(": ")),
                 "no place: %s", fuzz_shown(line));
    while (row > 1 && memchr(file.at, '\n', file.len) != NULL) {
        (void)fuzz_take_until(&file, '\n');
        row--;
    }
    there = fuzz_take_until(&file, '\n');
    fuzz_require(row == 1, "no such line: %s", fuzz_shown(line));
    fuzz_require(column <= there.len + 1, "no such column: %s", fuzz_shown(line));
}

static void check_lines(const struct problems *problems, const char *path,
                        struct span file)
{
    struct span rest = fuzz_text(&problems->lines);
    unsigned lines = 0;

    while (rest.len > 0) {
        struct span line = fuzz_take_until(&rest, '\n');

        fuzz_require(span_starts_with(line, span_of(path)), "a line without the file: %s",
                     fuzz_shown(line));
        (void)fuzz_take(&line, strlen(path));
        check_place(line, file);
        lines++;
    }
    fuzz_require(lines == problems->count, "%u problems in %u lines", problems->count,
                 lines);
}

static void check_listen(const struct config_listen *listen)
{
    fuzz_require((listen->host != NULL) != (listen->path != NULL),
                 "a listener is neither a socket nor an address");
    fuzz_require(listen->host == NULL || listen->has_tls || listen->allow_plaintext ||
                     config_is_loopback(listen->host),
                 "a listener without TLS off the loopback");
}

static void check(const struct config *config)
{
    const struct config_upstream *upstream = &config->upstream;

    for (size_t i = 0; i < config->listen_count; i++)
        check_listen(&config->listen[i]);
    fuzz_require(upstream->host != NULL && upstream->host[0] != '\0' &&
                     upstream->authority != NULL && upstream->port != 0,
                 "an upstream without host or port");
    fuzz_require(strpbrk(upstream->authority, "\r\n /@?#") == NULL,
                 "an authority that breaks a head: %s", upstream->authority);
    fuzz_require(upstream->is_tls || upstream->allow_plaintext ||
                     config_is_loopback(upstream->host),
                 "an upstream without TLS off the loopback");
    fuzz_require(config->limits.header_bytes > 0 && config->limits.headers > 0 &&
                     config->limits.headers <= UINT16_MAX &&
                     config->limits.header_bytes <= CONFIG_MOST_HEADER_BYTES &&
                     config->limits.connections > 0 && upstream->max_connections > 0,
                 "a limit that is none");
    fuzz_require(config->credential_count > 0 && config->clients_file != NULL &&
                     config->audit.directory != NULL,
                 "something required is missing");
    for (size_t i = 0; i < config->credential_count; i++)
        fuzz_require((config->credentials[i].api_key_file != NULL) !=
                         (config->credentials[i].api_key_env != NULL),
                     "a credential with no key, or with two");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(fuzz_span(data, size));
    struct problems problems = {0};
    struct config *config = config_load(path, &problems);

    fuzz_require((config == NULL) == (problems.count > 0), "%u problems, and %s result",
                 problems.count, config != NULL ? "a" : "no");
    if (config != NULL)
        check(config);
    else
        check_lines(&problems, path, fuzz_span(data, size));
    config_free(config);
    problems_fini(&problems);
    return 0;
}
