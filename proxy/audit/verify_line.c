#include "audit/verify_internal.h"

/* Sequence and chain; the hash is for whoever asks. */
static bool check_place(struct verify_walk *walk, const struct verify_head *head,
                        const struct audit_line *cut)
{
    if (cut->sequence < head->next)
        return verify_broken(
            walk,
            "has event.sequence %llu where %llu must come: a line was doubled, "
            "moved or inserted",
            verify_shown(cut->sequence), verify_shown(head->next));
    if (head->next == 1 && cut->sequence > 1)
        return verify_broken(
            walk, "begins the trail, but earlier records, 1 to %llu, are not here",
            verify_shown(cut->sequence - 1));
    if (cut->sequence > head->next)
        return verify_broken(
            walk, "has event.sequence %llu, but records %llu to %llu are missing",
            verify_shown(cut->sequence), verify_shown(head->next),
            verify_shown(cut->sequence - 1));
    /* The first line of all may be a superseded one. */
    if (walk->verdict->chain_id[0] == '\0')
        memcpy(walk->verdict->chain_id, cut->chain_id.at, AUDIT_CHAIN_ID_HEX);
    if (memcmp(cut->chain_id.at, walk->verdict->chain_id, AUDIT_CHAIN_ID_HEX) != 0)
        return verify_broken(walk, "is of another chain (proxy.chain_id)");
    return true;
}

static bool carries(const struct verify_head *head, const struct audit_line *cut)
{
    return memcmp(cut->prev_hash.at, head->hash, AUDIT_HASH_HEX) == 0;
}

static void advance(struct verify_head *head, const struct verify_walk *walk,
                    const struct verify_record *record)
{
    memcpy(head->hash, record->hash, AUDIT_HASH_HEX);
    head->next = record->cut.sequence + 1;
    head->path = walk->file->path;
    head->line = walk->line;
}

/* The line does not carry the hash: which of the two is wrong, the next line says. */
static bool raise_doubt(struct verify_walk *walk, const struct verify_head *head,
                        const struct verify_record *record)
{
    if (head->path == NULL)
        return verify_broken(
            walk, "is the chain's first line, but proxy.prev_hash is not zeros");
    walk->doubt.is_raised = true;
    walk->doubt.after = *head;
    advance(&walk->doubt.after, walk, record);
    verify_set_place(walk->doubt.before, head->path, head->line);
    verify_set_place(walk->doubt.second, walk->file->path, walk->line);
    return true;
}

bool verify_settle_doubt(struct verify_walk *walk, const struct audit_line *next)
{
    const struct verify_doubt *doubt = &walk->doubt;
    bool is_second_good = next != NULL && carries(&doubt->after, next);

    if (next != NULL && !is_second_good) {
        memcpy(walk->verdict->place, doubt->second, sizeof(doubt->second));
        return error_set(walk->error,
                         "was changed, or what follows it was put in: neither "
                         "its proxy.prev_hash nor its own hash fits its "
                         "neighbours");
    }
    memcpy(walk->verdict->place, doubt->before, sizeof(doubt->before));
    if (is_second_good)
        return error_set(walk->error,
                         "was changed: the line after it carries another hash");
    return error_set(walk->error,
                     "this line or the next was changed: that one carries another hash");
}

/* Whether it is one of the lines that a resumed file repeats. */
static bool match_repeat(struct verify_walk *walk, const struct verify_record *record,
                         bool *is_repeat)
{
    *is_repeat = false;
    if (walk->repeats_left == 0)
        return true;
    *is_repeat = audit_repeats_match(&walk->repeats, record->body);
    return --walk->repeats_left > 0 || verify_end_repeats(walk);
}

static bool is_resumed(const struct verify_record *record)
{
    return verify_is_member(record, VERIFY_PHASE, SPAN("trail")) &&
           verify_is_member(record, VERIFY_ACTION, SPAN("trail.resumed"));
}

/* A line of the chain. */
static bool take_record(struct verify_walk *walk, struct verify_record *record)
{
    bool is_first = walk->head.next == 1;
    bool is_repeat = false;

    if (!check_place(walk, &walk->head, &record->cut) ||
        !verify_hash_record(walk, record, walk->repeats_left > 0))
        return false;
    if (!carries(&walk->head, &record->cut))
        return raise_doubt(walk, &walk->head, record);
    if (is_first && !verify_select_held(walk))
        return false;
    if (!(walk->line == 1 && is_resumed(record)) &&
        !match_repeat(walk, record, &is_repeat))
        return false;
    if (!verify_check_oldest_open(walk, &record->cut) ||
        !verify_take_meaning(walk, record, is_repeat) ||
        !verify_compare_with_held(walk, record) ||
        !verify_compare_with_copy(walk, record))
        return false;
    walk->verdict->records++;
    memcpy(walk->verdict->last_hash, record->hash, AUDIT_HASH_HEX);
    advance(&walk->head, walk, record);
    walk->branch = walk->head;
    return true;
}

/* A line behind the last acknowledged one of a suspect file: chained, but not counted. */
static bool take_superseded(struct verify_walk *walk, struct verify_record *record)
{
    struct audit_superseded line = {
        .is_required = !verify_is_member(record, VERIFY_PHASE, SPAN("trail")) &&
                       !verify_is_member(record, VERIFY_PHASE, SPAN("checkpoint")),
        .path = walk->file->path,
        .line = walk->line,
    };

    if (!check_place(walk, &walk->branch, &record->cut) ||
        !verify_hash_record(walk, record, true))
        return false;
    if (!carries(&walk->branch, &record->cut))
        return raise_doubt(walk, &walk->branch, record);
    memcpy(line.body, record->body, AUDIT_HASH_BYTES);
    if (!audit_repeats_add(&walk->repeats, &line))
        return verify_broken(walk, "cannot be remembered: out of memory");
    advance(&walk->branch, walk, record);
    return true;
}

/* Whether the lines from here on in this file are superseded ones. */
static bool is_behind_acknowledged(const struct verify_walk *walk)
{
    return walk->file->superseded_from != 0 &&
           walk->head.next >= walk->file->superseded_from;
}

static bool take_incomplete(struct verify_walk *walk)
{
    if (is_behind_acknowledged(walk))
        return true;
    walk->verdict->is_incomplete = true;
    (void)verify_blame(walk);
    return true;
}

bool verify_take_line(struct verify_walk *walk, const struct audit_read_line *line)
{
    struct verify_record record;

    if (walk->verdict->is_incomplete) /* its place is set */
        return error_set(walk->error, "has no end, and is not the trail's last line");
    if (!line->is_whole)
        return walk->doubt.is_raised ? verify_settle_doubt(walk, NULL)
                                     : take_incomplete(walk);
    if (!verify_take_apart(walk, line->text, &record))
        return false;
    if (walk->doubt.is_raised)
        return verify_settle_doubt(walk, &record.cut);
    return is_behind_acknowledged(walk) ? take_superseded(walk, &record)
                                        : take_record(walk, &record);
}
