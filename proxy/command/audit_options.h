/* The options that `psgate audit search` and `psgate audit tail` share. */
#ifndef PSGATE_COMMAND_AUDIT_OPTIONS_H
#define PSGATE_COMMAND_AUDIT_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "audit/search.h"

struct audit_options {
    const char *folder;
    struct search_filter filter; /* borrows from argv, and from source below */
    char source[INET6_ADDRSTRLEN];
    bool is_json;
    bool is_following; /* tail only, as the next */
    uint64_t count;
};

enum audit_verb { AUDIT_VERB_SEARCH, AUDIT_VERB_TAIL };

/*
 * Reads the arguments after the verb, which is argv[0]. False when there is no more to do
 * but to end with *status: help was shown, or what is wrong with the usage was said.
 * *options must stay where it is.
 */
bool audit_options_read(struct audit_options *options, enum audit_verb verb, int argc,
                        char **argv, int *status);

/*
 * A time as people give it: a duration before now_ms ("7d"), an RFC 3339 time with any
 * offset, or a date, which is its midnight in UTC. False for anything else.
 */
bool audit_options_parse_time(const char *text, int64_t now_ms, int64_t *time_ms);

#endif
