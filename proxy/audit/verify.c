#include "audit/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/copies.h"
#include "audit/folder.h"
#include "audit/line.h"
#include "audit/open_set.h"
#include "audit/reader.h"
#include "audit/repeats.h"

enum { MOST_TRIES = 5 };

/* A chain as far as it was read: what the next line must be and carry. */
struct head {
    uint64_t next;
    char hash[AUDIT_HASH_HEX]; /* of the line before */
    const char *path;          /* where that one stands; NULL: there is none */
    uint64_t line;
};

/*
 * A line did not carry the hash of the one before it. Which of the two was changed, the
 * line after them tells: it carries the hash of a line that was not.
 */
struct doubt {
    bool is_raised;
    struct head after; /* what follows, if the second line is as it was written */
    char before[sizeof(((struct audit_verdict *)0)->place)];
    char second[sizeof(((struct audit_verdict *)0)->place)];
};

struct walk {
    const struct audit_verify_request *request;
    struct audit_verdict *verdict;
    struct error *error;
    bool is_moved; /* a file is not the one that was listed: all must be read anew */

    struct audit_folder folder;
    struct audit_hasher *hasher;
    struct audit_open_set open;
    struct audit_repeats repeats;
    uint64_t repeats_left;                /* how many of the next lines may be repeats */
    const struct audit_checkpoint **held; /* of this chain, by sequence */
    size_t held_count, held_next;

    char chain_id[AUDIT_CHAIN_ID_HEX]; /* all 0 before the first line */
    struct head head;
    struct head branch; /* the same for the superseded lines of the present file */
    struct doubt doubt;

    const struct audit_file *file; /* where the line that is looked at stands */
    uint64_t line;

    struct audit_progress progress;
    uint64_t bytes_before; /* of the files before the present one */
};

/* The members that the chain's rules need. */
enum member {
    PHASE,
    ACTION,
    EVENT_ID,
    STATEMENT,
    SIGNATURE,
    KEY,
    SUSPECT,
    LAST_HASH,
    REPEATED,
    MEMBERS
};

static const struct span member_keys[MEMBERS] = {
    [PHASE] = SPAN("proxy.phase"),
    [ACTION] = SPAN("event.action"),
    [EVENT_ID] = SPAN("event.id"),
    [STATEMENT] = AUDIT_KEY_STATEMENT,
    [SIGNATURE] = AUDIT_KEY_SIGNATURE,
    [KEY] = AUDIT_KEY_KEY,
    [SUSPECT] = SPAN("proxy.trail.suspect_file"),
    [LAST_HASH] = SPAN("proxy.trail.last_hash"),
    [REPEATED] = SPAN("proxy.trail.repeated"),
};

/* A line taken apart. */
struct record {
    struct span text;
    struct audit_line cut;
    struct span members[MEMBERS]; /* strings without their quotes; at NULL: not there */
    uint64_t repeated;
    char hash[AUDIT_HASH_HEX];
    unsigned char body[AUDIT_HASH_BYTES]; /* digest, where repeats are looked for */
};

static void set_place(char *place, const char *path, uint64_t line)
{
    size_t size = sizeof(((struct audit_verdict *)0)->place);

    if (line > 0)
        (void)snprintf(place, size, "%s:%llu", path, (unsigned long long)line);
    else
        (void)snprintf(place, size, "%s", path);
}

/* The line that is looked at is where the error is. Returns false. */
static bool blame(struct walk *walk)
{
    set_place(walk->verdict->place, walk->file->path, walk->line);
    return false;
}

#define broken(walk, ...) (error_set((walk)->error, __VA_ARGS__), blame(walk))

static unsigned long long shown(uint64_t number)
{
    return (unsigned long long)number;
}

static bool is_member(const struct record *record, enum member member, struct span value)
{
    return record->members[member].at != NULL &&
           span_equal(record->members[member], value);
}

static bool take_apart(struct walk *walk, struct span text, struct record *record)
{
    struct span values[MEMBERS];

    record->text = text;
    if (!audit_line_cut(text, &record->cut, walk->error) ||
        !audit_line_pick(text, member_keys, MEMBERS, values, walk->error))
        return blame(walk);
    record->repeated = 0;
    (void)audit_value_number(values[REPEATED], &record->repeated);
    for (int i = 0; i < MEMBERS; i++) {
        record->members[i] = (struct span){0};
        (void)audit_value_string(values[i], &record->members[i]);
    }
    return true;
}

/* The hash of the line, and of its body where it may be a repeat or be repeated. */
static bool hash_record(struct walk *walk, struct record *record, bool wants_body)
{
    if (audit_hash_hex(walk->hasher, record->text, record->hash) &&
        (!wants_body || audit_hash(walk->hasher, record->cut.body, record->body)))
        return true;
    return broken(walk, "OpenSSL cannot compute SHA-256");
}

/* Sequence and chain; the hash is for whoever asks. */
static bool check_place(struct walk *walk, const struct head *head,
                        const struct audit_line *cut)
{
    if (cut->sequence < head->next)
        return broken(walk,
                      "has event.sequence %llu where %llu must come: a line was doubled, "
                      "moved or inserted",
                      shown(cut->sequence), shown(head->next));
    if (head->next == 1 && cut->sequence > 1)
        return broken(walk,
                      "begins the trail, but earlier records, 1 to %llu, are not here",
                      shown(cut->sequence - 1));
    if (cut->sequence > head->next)
        return broken(walk,
                      "has event.sequence %llu, but records %llu to %llu are missing",
                      shown(cut->sequence), shown(head->next), shown(cut->sequence - 1));
    /* The first line of all may be a superseded one. */
    if (walk->chain_id[0] == '\0')
        memcpy(walk->chain_id, cut->chain_id.at, AUDIT_CHAIN_ID_HEX);
    if (memcmp(cut->chain_id.at, walk->chain_id, AUDIT_CHAIN_ID_HEX) != 0)
        return broken(walk, "is of another chain (proxy.chain_id)");
    return true;
}

static bool carries(const struct head *head, const struct audit_line *cut)
{
    return memcmp(cut->prev_hash.at, head->hash, AUDIT_HASH_HEX) == 0;
}

static void advance(struct head *head, const struct walk *walk,
                    const struct record *record)
{
    memcpy(head->hash, record->hash, AUDIT_HASH_HEX);
    head->next = record->cut.sequence + 1;
    head->path = walk->file->path;
    head->line = walk->line;
}

/* The line does not carry the hash: which of the two is wrong, the next line says. */
static bool raise_doubt(struct walk *walk, const struct head *head,
                        const struct record *record)
{
    if (head->path == NULL)
        return broken(walk,
                      "is the chain's first line, but proxy.prev_hash is not zeros");
    walk->doubt.is_raised = true;
    walk->doubt.after = *head;
    advance(&walk->doubt.after, walk, record);
    set_place(walk->doubt.before, head->path, head->line);
    set_place(walk->doubt.second, walk->file->path, walk->line);
    return true;
}

/* Ends a doubt, with the next line or (NULL) with none. Returns false. */
static bool settle_doubt(struct walk *walk, const struct audit_line *next)
{
    const struct doubt *doubt = &walk->doubt;
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

static bool take_intent(struct walk *walk, const struct record *record)
{
    walk->verdict->mutations++;
    switch (audit_open_set_add(&walk->open, record->members[EVENT_ID],
                               record->cut.sequence)) {
    case AUDIT_OPEN_ADDED:
        return true;
    case AUDIT_OPEN_THERE:
        return broken(walk, "is a second intent of one event.id");
    case AUDIT_OPEN_NO_MEMORY:
        break;
    }
    return broken(walk, "cannot be remembered: out of memory");
}

static bool take_mutation(struct walk *walk, const struct record *record)
{
    if (record->members[EVENT_ID].at == NULL ||
        !audit_is_hex(record->members[EVENT_ID], AUDIT_EVENT_ID_HEX))
        return broken(walk, "has no event.id of 32 hex digits");
    if (is_member(record, PHASE, SPAN("intent")))
        return take_intent(walk, record);
    return audit_open_set_remove(&walk->open, record->members[EVENT_ID]) ||
           broken(walk, "is a result without an intent, or a second one");
}

static bool is_signature_good(const struct walk *walk,
                              const struct audit_checkpoint *checkpoint)
{
    for (size_t i = 0; i < walk->request->key_count; i++) {
        const struct audit_key *key = &walk->request->keys[i];

        if ((checkpoint->key_id[0] == '\0' || strcmp(checkpoint->key_id, key->id) == 0) &&
            audit_checkpoint_verify(checkpoint, key))
            return true;
    }
    return walk->request->key_count == 0;
}

static bool take_checkpoint(struct walk *walk, const struct record *record)
{
    struct audit_checkpoint checkpoint;

    if (record->members[STATEMENT].at == NULL || record->members[SIGNATURE].at == NULL ||
        record->members[KEY].at == NULL)
        return broken(walk, "is a checkpoint without statement, signature or key");
    if (!audit_checkpoint_read(record->members[STATEMENT], record->members[SIGNATURE],
                               record->members[KEY], &checkpoint, walk->error))
        return blame(walk);
    if (memcmp(checkpoint.chain_id, walk->chain_id, AUDIT_CHAIN_ID_HEX) != 0 ||
        checkpoint.sequence != walk->head.next - 1 ||
        memcmp(checkpoint.hash, walk->head.hash, AUDIT_HASH_HEX) != 0)
        return broken(walk,
                      "is a checkpoint whose statement is not about the line before");
    if (!is_signature_good(walk, &checkpoint))
        return broken(walk,
                      "is a checkpoint that no given public key has signed (its key is "
                      "named %s)",
                      checkpoint.key_id);
    walk->verdict->checkpoints++;
    walk->verdict->last_checkpoint = checkpoint;
    return true;
}

static bool has_suspect(const struct walk *walk, struct span name)
{
    char wanted[512];

    (void)snprintf(wanted, sizeof(wanted), "%.*s",
                   name.len < sizeof(wanted) ? (int)name.len : 0,
                   name.at != NULL ? name.at : "");
    for (size_t i = 0; i < walk->folder.count; i++) {
        if (audit_folder_is_suspect(&walk->folder, &walk->folder.files[i], wanted))
            return true;
    }
    return false;
}

/* All that had to be repeated was. */
static bool end_repeats(struct walk *walk)
{
    const struct audit_superseded *missing = audit_repeats_missing(&walk->repeats);

    if (missing != NULL) {
        set_place(walk->verdict->place, missing->path, missing->line);
        return error_set(walk->error, "lines after the last acknowledged one were not "
                                      "repeated: this is the first of them");
    }
    audit_repeats_clear(&walk->repeats);
    return true;
}

static bool take_resumed(struct walk *walk, const struct record *record)
{
    if (walk->line != 1)
        return broken(walk, "is a trail.resumed in the midst of a file");
    if (!has_suspect(walk, record->members[SUSPECT]))
        return broken(walk, "goes on from a suspect file that is not here "
                            "(proxy.trail.suspect_file)");
    if (record->members[LAST_HASH].at == NULL ||
        !span_equal(record->members[LAST_HASH], record->cut.prev_hash))
        return broken(walk, "is a trail.resumed whose proxy.trail.last_hash is not its "
                            "proxy.prev_hash");
    walk->repeats_left = record->repeated;
    return record->repeated > 0 || end_repeats(walk);
}

/* What a line says; whether its place in the chain is right is known already. */
static bool take_meaning(struct walk *walk, const struct record *record, bool is_repeat)
{
    if (is_member(record, PHASE, SPAN("intent")) ||
        is_member(record, PHASE, SPAN("result")))
        return take_mutation(walk, record);
    if (is_member(record, PHASE, SPAN("refused")))
        return true;
    if (is_member(record, PHASE, SPAN("checkpoint")))
        return is_repeat || take_checkpoint(walk, record);
    if (!is_member(record, PHASE, SPAN("trail")))
        return broken(walk, "has no proxy.phase that is known");
    return is_repeat || !is_member(record, ACTION, SPAN("trail.resumed")) ||
           take_resumed(walk, record);
}

/*
 * oldest_open is where a reader that wants all that is open must begin: lower is only
 * slower, higher would lose one.
 */
static bool check_oldest_open(struct walk *walk, const struct audit_line *cut)
{
    uint64_t oldest;

    if (cut->oldest_open == 0)
        return true;
    if (walk->line != 1)
        return broken(walk,
                      "has a proxy.trail.oldest_open, but is not a file's first line");
    oldest = audit_open_set_oldest(&walk->open);
    if (oldest == 0)
        oldest = cut->sequence;
    return cut->oldest_open <= oldest ||
           broken(walk,
                  "says that nothing before record %llu is without a result, but record "
                  "%llu is",
                  shown(cut->oldest_open), shown(oldest));
}

static int compare_held(const void *a, const void *b)
{
    const struct audit_checkpoint *const *left = a, *const *right = b;

    return (*left)->sequence < (*right)->sequence
               ? -1
               : (*left)->sequence > (*right)->sequence;
}

/* Of the held checkpoints those of this chain, once it is known which it is. */
static bool select_held(struct walk *walk)
{
    const struct audit_verify_request *request = walk->request;

    walk->held = calloc(request->held_count + 1, sizeof(struct audit_checkpoint *));
    if (walk->held == NULL)
        return broken(walk, "out of memory");
    for (size_t i = 0; i < request->held_count; i++) {
        if (memcmp(request->held[i].chain_id, walk->chain_id, AUDIT_CHAIN_ID_HEX) != 0)
            continue;
        if (!is_signature_good(walk, &request->held[i]))
            return error_set(
                walk->error,
                "the held checkpoint of record %llu was not signed by a given "
                "public key",
                shown(request->held[i].sequence));
        walk->held[walk->held_count++] = &request->held[i];
    }
    qsort(walk->held, walk->held_count, sizeof(struct audit_checkpoint *), compare_held);
    return walk->held_count > 0 || request->held_count == 0 ||
           broken(walk, "begins another chain than that of the held checkpoints "
                        "(proxy.chain_id)");
}

static bool compare_with_held(struct walk *walk, const struct record *record)
{
    while (walk->held_next < walk->held_count &&
           walk->held[walk->held_next]->sequence == record->cut.sequence) {
        const struct audit_checkpoint *held = walk->held[walk->held_next++];

        if (memcmp(held->hash, record->hash, AUDIT_HASH_HEX) != 0)
            return broken(walk,
                          "is not the record %llu that a held checkpoint is about: the "
                          "trail was rewritten",
                          shown(held->sequence));
        walk->verdict->held++;
        walk->verdict->last_held = *held;
    }
    return true;
}

/* Whether it is one of the lines that a resumed file repeats. */
static bool match_repeat(struct walk *walk, const struct record *record, bool *is_repeat)
{
    *is_repeat = false;
    if (walk->repeats_left == 0)
        return true;
    *is_repeat = audit_repeats_match(&walk->repeats, record->body);
    return --walk->repeats_left > 0 || end_repeats(walk);
}

static bool is_resumed(const struct record *record)
{
    return is_member(record, PHASE, SPAN("trail")) &&
           is_member(record, ACTION, SPAN("trail.resumed"));
}

/* A line of the chain. */
static bool take_record(struct walk *walk, struct record *record)
{
    bool is_first = walk->head.next == 1;
    bool is_repeat = false;

    if (!check_place(walk, &walk->head, &record->cut) ||
        !hash_record(walk, record, walk->repeats_left > 0))
        return false;
    if (!carries(&walk->head, &record->cut))
        return raise_doubt(walk, &walk->head, record);
    if (is_first && !select_held(walk))
        return false;
    if (!(walk->line == 1 && is_resumed(record)) &&
        !match_repeat(walk, record, &is_repeat))
        return false;
    if (!check_oldest_open(walk, &record->cut) ||
        !take_meaning(walk, record, is_repeat) || !compare_with_held(walk, record))
        return false;
    walk->verdict->records++;
    advance(&walk->head, walk, record);
    walk->branch = walk->head;
    return true;
}

/* A line behind the last acknowledged one of a suspect file: chained, but not counted. */
static bool take_superseded(struct walk *walk, struct record *record)
{
    struct audit_superseded line = {
        .is_required = !is_member(record, PHASE, SPAN("trail")) &&
                       !is_member(record, PHASE, SPAN("checkpoint")),
        .path = walk->file->path,
        .line = walk->line,
    };

    if (!check_place(walk, &walk->branch, &record->cut) ||
        !hash_record(walk, record, true))
        return false;
    if (!carries(&walk->branch, &record->cut))
        return raise_doubt(walk, &walk->branch, record);
    memcpy(line.body, record->body, AUDIT_HASH_BYTES);
    if (!audit_repeats_add(&walk->repeats, &line))
        return broken(walk, "cannot be remembered: out of memory");
    advance(&walk->branch, walk, record);
    return true;
}

/* Whether the lines from here on in this file are superseded ones. */
static bool is_behind_acknowledged(const struct walk *walk)
{
    return walk->file->superseded_from != 0 &&
           walk->head.next >= walk->file->superseded_from;
}

static bool take_incomplete(struct walk *walk)
{
    if (is_behind_acknowledged(walk))
        return true;
    walk->verdict->is_incomplete = true;
    (void)blame(walk);
    return true;
}

static bool take_line(struct walk *walk, const struct audit_read_line *line)
{
    struct record record;

    if (walk->verdict->is_incomplete) /* its place is set */
        return error_set(walk->error, "has no end, and is not the trail's last line");
    if (!line->is_whole)
        return walk->doubt.is_raised ? settle_doubt(walk, NULL) : take_incomplete(walk);
    if (!take_apart(walk, line->text, &record))
        return false;
    if (walk->doubt.is_raised)
        return settle_doubt(walk, &record.cut);
    return is_behind_acknowledged(walk) ? take_superseded(walk, &record)
                                        : take_record(walk, &record);
}

/* A report takes longer than a record, so not every one gets one. False: give it up. */
static bool tell_progress(struct walk *walk, const struct audit_reader *reader)
{
    enum { RECORDS_A_REPORT = 256 };

    if (walk->request->on_progress == NULL || walk->line % RECORDS_A_REPORT != 0)
        return true;
    walk->progress.records = walk->verdict->records;
    walk->progress.bytes = walk->bytes_before + audit_reader_bytes(reader);
    return walk->request->on_progress(walk->request->owner, &walk->progress) ||
           error_set(walk->error, "was given up");
}

static bool read_lines(struct walk *walk, struct audit_reader *reader)
{
    for (;;) {
        struct audit_read_line line;
        enum audit_read answer = audit_reader_next(reader, &line, walk->error);

        walk->line = audit_reader_line(reader);
        if (answer == AUDIT_READ_END)
            break;
        if (answer != AUDIT_READ_LINE)
            return blame(walk);
        if (!take_line(walk, &line))
            return false;
        if (!tell_progress(walk, reader))
            return false;
        if (!line.is_whole)
            break;
    }
    return !walk->doubt.is_raised || walk->file->superseded_from == 0 ||
           settle_doubt(walk, NULL);
}

static bool read_file(struct walk *walk, const struct audit_file *file)
{
    struct audit_reader *reader = audit_reader_open(file->path, walk->error);
    bool is_good;

    walk->file = file;
    walk->line = 0;
    if (reader == NULL) {
        walk->is_moved = access(file->path, F_OK) != 0 && errno == ENOENT;
        return false;
    }
    audit_repeats_begin_file(&walk->repeats);
    walk->branch = walk->head;
    walk->is_moved = audit_reader_inode(reader) != file->inode;
    is_good = !walk->is_moved && read_lines(walk, reader);
    walk->bytes_before += audit_reader_bytes(reader);
    audit_reader_close(reader);
    return is_good;
}

/* The fullest of a file and its copies that follow it, or NULL with error. */
static const struct audit_file *choose_copy(struct walk *walk, size_t index)
{
    const struct audit_folder *folder = &walk->folder;
    const struct audit_file *best = &folder->files[index];

    for (size_t i = index + 1; i < folder->count && folder->files[i].is_copy; i++) {
        walk->file = &folder->files[i];
        switch (audit_copies_compare(best->path, walk->file->path, &walk->line,
                                     walk->error)) {
        case AUDIT_COPIES_FIRST:
            break;
        case AUDIT_COPIES_SECOND:
            best = walk->file;
            break;
        case AUDIT_COPIES_DIFFER:
            (void)blame(walk);
            return NULL;
        case AUDIT_COPIES_FAILED:
            walk->is_moved =
                access(best->path, F_OK) != 0 || access(walk->file->path, F_OK) != 0;
            return NULL;
        }
    }
    return best;
}

/* A first line that is no record is said before its absence confuses the others. */
static bool check_first_lines(struct walk *walk)
{
    if (walk->folder.count == 0) {
        set_place(walk->verdict->place, walk->request->folder, 0);
        return error_set(walk->error, "holds no trail (no file audit*.jsonl*)");
    }
    for (size_t i = 0; i < walk->folder.count; i++) {
        walk->file = &walk->folder.files[i];
        walk->line = 1;
        if (walk->file->fault != NULL && !walk->file->is_copy)
            return broken(walk, "%s", walk->file->fault);
    }
    return true;
}

/* What only the end of the trail can show. */
static bool check_end(struct walk *walk)
{
    if (walk->doubt.is_raised)
        return settle_doubt(walk, NULL);
    if (walk->head.next == 1 && walk->request->held_count > 0) {
        set_place(walk->verdict->place, walk->request->folder, 0);
        return error_set(walk->error, "holds no record, but there are held checkpoints: "
                                      "the trail was removed");
    }
    if (walk->held_next < walk->held_count) {
        set_place(walk->verdict->place, walk->head.path, walk->head.line);
        return error_set(
            walk->error,
            "is the last record, %llu, but a held checkpoint is about record "
            "%llu: the end of the trail was cut off",
            shown(walk->head.next - 1),
            shown(walk->held[walk->held_count - 1]->sequence));
    }
    walk->verdict->unfinished = walk->open.count;
    walk->verdict->is_repeating = audit_repeats_missing(&walk->repeats) != NULL;
    return true;
}

/* An incomplete first line of a suspect file is superseded with all that it has. */
static bool may_count(const struct audit_file *file)
{
    return !file->is_copy && !file->is_empty &&
           (file->first != 0 || file->superseded_from == 0);
}

/* What there is to read; a file that grows, or of which a copy is read, changes it. */
static void count_bytes(struct walk *walk)
{
    struct stat status;

    for (size_t i = 0; i < walk->folder.count; i++) {
        if (may_count(&walk->folder.files[i]) &&
            stat(walk->folder.files[i].path, &status) == 0)
            walk->progress.total_bytes += (uint64_t)status.st_size;
    }
}

static bool read_folder(struct walk *walk)
{
    if (!check_first_lines(walk))
        return false;
    if (walk->request->on_progress != NULL)
        count_bytes(walk);
    for (size_t i = 0; i < walk->folder.count; i++) {
        const struct audit_file *file;

        if (!may_count(&walk->folder.files[i]))
            continue;
        file = choose_copy(walk, i);
        if (file == NULL || !read_file(walk, file))
            return false;
    }
    return check_end(walk);
}

/* One try; *is_moved says that the files changed names under it. */
static bool try_verify(const struct audit_verify_request *request,
                       struct audit_verdict *verdict, bool *is_moved, struct error *error)
{
    struct walk walk = {.request = request, .verdict = verdict, .error = error};
    bool is_good = false;

    *verdict = (struct audit_verdict){0};
    walk.head.next = 1;
    memcpy(walk.head.hash, AUDIT_HASH_NONE, AUDIT_HASH_HEX);
    walk.hasher = audit_hasher_new(error);
    if (walk.hasher != NULL && audit_folder_list(request->folder, &walk.folder, error))
        is_good = read_folder(&walk);
    *is_moved = walk.is_moved;
    audit_hasher_free(walk.hasher);
    audit_open_set_fini(&walk.open);
    audit_repeats_fini(&walk.repeats);
    audit_folder_fini(&walk.folder);
    free(walk.held);
    return is_good;
}

bool audit_verify(const struct audit_verify_request *request,
                  struct audit_verdict *verdict, struct error *error)
{
    bool is_moved = true;
    bool is_good = false;

    for (int i = 0; i < MOST_TRIES && is_moved; i++)
        is_good = try_verify(request, verdict, &is_moved, error);
    if (is_moved)
        (void)error_set(error, "%s: files are renamed all the time: try again",
                        request->folder);
    return is_good;
}
