#include "audit/verify_internal.h"

#include <stdio.h>

static const struct span member_keys[VERIFY_MEMBERS] = {
    [VERIFY_PHASE] = SPAN("proxy.phase"),
    [VERIFY_ACTION] = SPAN("event.action"),
    [VERIFY_EVENT_ID] = SPAN("event.id"),
    [VERIFY_STATEMENT] = AUDIT_KEY_STATEMENT,
    [VERIFY_SIGNATURE] = AUDIT_KEY_SIGNATURE,
    [VERIFY_KEY] = AUDIT_KEY_KEY,
    [VERIFY_SUSPECT] = SPAN("proxy.trail.suspect_file"),
    [VERIFY_LAST_HASH] = SPAN("proxy.trail.last_hash"),
    [VERIFY_REPEATED] = SPAN("proxy.trail.repeated"),
};

void verify_set_place(char *place, const char *path, uint64_t line)
{
    size_t size = sizeof(((struct audit_verdict *)0)->place);

    if (line > 0)
        (void)snprintf(place, size, "%s:%llu", path, (unsigned long long)line);
    else
        (void)snprintf(place, size, "%s", path);
}

bool verify_blame(struct verify_walk *walk)
{
    verify_set_place(walk->verdict->place, walk->file->path, walk->line);
    return false;
}

unsigned long long verify_shown(uint64_t number)
{
    return (unsigned long long)number;
}

bool verify_is_member(const struct verify_record *record, enum verify_member member,
                      struct span value)
{
    return record->members[member].at != NULL &&
           span_equal(record->members[member], value);
}

bool verify_take_apart(struct verify_walk *walk, struct span text,
                       struct verify_record *record)
{
    struct span values[VERIFY_MEMBERS];

    record->text = text;
    if (!audit_line_cut(text, &record->cut, walk->error) ||
        !audit_line_pick(text, member_keys, VERIFY_MEMBERS, values, walk->error))
        return verify_blame(walk);
    record->repeated = 0;
    (void)audit_value_number(values[VERIFY_REPEATED], &record->repeated);
    for (int i = 0; i < VERIFY_MEMBERS; i++) {
        record->members[i] = (struct span){0};
        (void)audit_value_string(values[i], &record->members[i]);
    }
    return true;
}

bool verify_hash_record(struct verify_walk *walk, struct verify_record *record,
                        bool wants_body)
{
    if (audit_hash_hex(walk->hasher, record->text, record->hash) &&
        (!wants_body || audit_hash(walk->hasher, record->cut.body, record->body)))
        return true;
    return verify_broken(walk, "OpenSSL cannot compute SHA-256");
}
