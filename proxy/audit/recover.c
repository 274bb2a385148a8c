#include "audit/recover.h"

#include <string.h>

#include "audit/folder.h"
#include "audit/line.h"
#include "audit/reader.h"

struct recovery {
    struct audit_journal *journal;
    struct audit_hasher *hasher;
    struct audit_unfinished *unfinished;
    struct audit_recovered *recovered;
    struct error *error;

    /* Of the file that is read. */
    const struct audit_file *file;
    uint64_t torn_at;
    bool is_torn;
};

static bool fail_in(struct recovery *recovery, uint64_t line, const char *what)
{
    return error_set(recovery->error,
                     "%s:%llu: %.200s (look with psgate audit verify; to begin a new "
                     "trail, move the folder away)",
                     recovery->file->path, (unsigned long long)line, what);
}

static bool note_intent(struct recovery *recovery, struct span id,
                        const struct audit_line *cut)
{
    return audit_unfinished_add(recovery->unfinished, id, cut->sequence,
                                cut->body.len + AUDIT_TAIL_MOST_BYTES, cut->body) ||
           error_set(recovery->error, "out of memory");
}

static bool take_line(struct recovery *recovery, const struct audit_read_line *line)
{
    struct audit_chain *chain = &recovery->recovered->chain;
    struct audit_line cut;
    struct span id, phase;
    struct error error;

    if (!audit_line_cut(line->text, &cut, &error))
        return fail_in(recovery, line->number, error.text);
    memcpy(chain->id, cut.chain_id.at, cut.chain_id.len);
    chain->sequence = cut.sequence;
    if (!audit_hash_hex(recovery->hasher, line->text, chain->last_hash))
        return error_set(recovery->error, "SHA-256 failed");
    if (!audit_line_find_string(line->text, SPAN("proxy.phase"), &phase) ||
        !audit_line_find_string(line->text, SPAN("event.id"), &id))
        return true; /* a line of the trail's own */
    if (span_equal(phase, SPAN("intent")))
        return note_intent(recovery, id, &cut);
    if (span_equal(phase, SPAN("result")))
        audit_unfinished_remove(recovery->unfinished, id);
    return true;
}

static bool read_lines(struct recovery *recovery, struct audit_reader *reader)
{
    struct audit_read_line line;
    struct error error;

    for (;;) {
        switch (audit_reader_next(reader, &line, &error)) {
        case AUDIT_READ_END:
            return true;
        case AUDIT_READ_LINE:
            break;
        case AUDIT_READ_SHORT:
        case AUDIT_READ_FAILED:
            return fail_in(recovery, audit_reader_line(reader), error.text);
        }
        if (!line.is_whole) {
            recovery->is_torn = true;
            recovery->torn_at = line.offset;
            recovery->recovered->torn_bytes = line.text.len;
            return true;
        }
        if (!take_line(recovery, &line))
            return false;
    }
}

static bool read_file(struct recovery *recovery, const struct audit_file *file)
{
    struct audit_reader *reader = audit_reader_open(file->path, recovery->error);
    bool is_read;

    if (reader == NULL)
        return false;
    recovery->file = file;
    recovery->is_torn = false;
    is_read = read_lines(recovery, reader);
    audit_reader_close(reader);
    return is_read;
}

/* The last file of the chain; NULL when no file has a record. */
static const struct audit_file *find_last(const struct audit_folder *folder)
{
    const struct audit_file *last = NULL;

    for (size_t i = 0; i < folder->count; i++) {
        if (folder->files[i].first != 0 && !folder->files[i].is_copy)
            last = &folder->files[i];
    }
    return last;
}

/* The number of the oldest intent that was open when the file was begun. */
static bool read_oldest_open(struct recovery *recovery, const struct audit_file *file,
                             uint64_t *oldest)
{
    struct audit_reader *reader = audit_reader_open(file->path, recovery->error);
    struct audit_read_line line;
    struct audit_line cut;
    struct error error;

    *oldest = file->first;
    if (reader == NULL)
        return false;
    if (audit_reader_next(reader, &line, &error) == AUDIT_READ_LINE &&
        audit_line_cut(line.text, &cut, &error) && cut.oldest_open != 0)
        *oldest = cut.oldest_open;
    audit_reader_close(reader);
    return true;
}

/* Reads the files from the one that holds the oldest open intent to the last. */
static bool read_chain(struct recovery *recovery, const struct audit_folder *folder,
                       const struct audit_file *last)
{
    const struct audit_file *from = last;
    uint64_t oldest;

    if (!read_oldest_open(recovery, last, &oldest))
        return false;
    for (const struct audit_file *file = last; file >= folder->files; file--) {
        if (file->is_copy || file->first == 0)
            continue;
        from = file;
        if (file->first <= oldest)
            break;
    }
    for (const struct audit_file *file = from; file <= last; file++) {
        if (!file->is_copy && file->first != 0 && !read_file(recovery, file))
            return false;
    }
    return true;
}

static bool set_aside(struct recovery *recovery, const char *name, uint64_t offset)
{
    return audit_journal_set_aside(recovery->journal, name, offset,
                                   recovery->recovered->chain.sequence + 1,
                                   recovery->recovered->set_aside, recovery->error);
}

/* A file whose very first line was torn has no record at all. */
static bool set_lone_line_aside(struct recovery *recovery,
                                const struct audit_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        const struct audit_file *file = &folder->files[i];

        if (file->first != 0 || file->is_empty || !file->is_current)
            continue;
        if (!read_file(recovery, file))
            return false;
        return !recovery->is_torn || set_aside(recovery, file->name, 0);
    }
    return true;
}

/* A resumed file that did not get as far as all that it was to repeat. */

static bool has_named(const struct audit_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->files[i].first != 0 && !folder->files[i].is_current &&
            audit_folder_is_suspect(folder, &folder->files[i], name))
            return true;
    }
    return false;
}

/* How many lines the file's first says that it repeats. */
static uint64_t repeats_of(struct span first_line)
{
    struct span value;
    uint64_t repeated;

    return audit_line_find(first_line, SPAN("proxy.trail.repeated"), &value) &&
                   audit_value_number(value, &repeated)
               ? repeated
               : 0;
}

/* Reads the file; *bytes is what was read of it when its repeat ends too early, else 0.
 */
static bool read_repeat(struct recovery *recovery, const struct audit_file *file,
                        uint64_t *bytes)
{
    struct audit_reader *reader = audit_reader_open(file->path, recovery->error);
    uint64_t whole = 0, wanted = 0, end = 0;
    enum audit_read answer = AUDIT_READ_LINE;
    struct audit_read_line line;
    struct error error;

    *bytes = 0;
    if (reader == NULL)
        return false;
    while (whole <= wanted) {
        answer = audit_reader_next(reader, &line, &error);
        if (answer != AUDIT_READ_LINE)
            break;
        if (whole == 0)
            wanted = repeats_of(line.text);
        end = line.offset + line.text.len + line.is_whole;
        if (!line.is_whole)
            break;
        whole++;
    }
    audit_reader_close(reader);
    if (whole <= wanted && (answer == AUDIT_READ_LINE || answer == AUDIT_READ_END))
        *bytes = end;
    return true;
}

/*
 * Of a resumed file nobody was told anything before its repeat was whole, and all that
 * anybody was told is in its suspect. Such a file is set aside, and the suspect is none.
 */
static bool set_cut_repeat_aside(struct recovery *recovery,
                                 const struct audit_folder *folder, bool *is_changed)
{
    const struct audit_file *last = find_last(folder);
    uint64_t bytes;

    *is_changed = false;
    if (last == NULL || !last->is_current || last->suspect == NULL ||
        !has_named(folder, last->suspect))
        return true;
    if (!read_repeat(recovery, last, &bytes))
        return false;
    if (bytes == 0)
        return true;
    recovery->recovered->torn_bytes = bytes;
    *is_changed = true;
    return audit_journal_set_aside(recovery->journal, last->name, 0, last->first,
                                   recovery->recovered->set_aside, recovery->error);
}

static bool has_current(const struct audit_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->files[i].is_current)
            return true;
    }
    return false;
}

/*
 * The chain goes on from its last line. A current file that is not the last, or another
 * that cannot be placed where there is no current one, leaves it open which that is.
 */
static bool is_unambiguous(struct recovery *recovery, const struct audit_folder *folder,
                           const struct audit_file *last)
{
    for (size_t i = 0; i < folder->count; i++) {
        const struct audit_file *file = &folder->files[i];

        recovery->file = file;
        if (file->is_current && file->first != 0 && file != last)
            return fail_in(recovery, 1, "is older than other files of the trail");
        if (file->fault != NULL && (last == NULL || !last->is_current))
            return fail_in(recovery, 1, file->fault);
    }
    return true;
}

static bool recover(struct recovery *recovery, const struct audit_folder *folder)
{
    struct audit_recovered *recovered = recovery->recovered;
    const struct audit_file *last = find_last(folder);

    if (!is_unambiguous(recovery, folder, last))
        return false;
    if (last != NULL) {
        if (!read_chain(recovery, folder, last) ||
            (recovery->is_torn && !set_aside(recovery, last->name, recovery->torn_at)))
            return false;
    } else if (!audit_chain_begin(&recovered->chain, recovery->error)) {
        return false;
    }
    if (!set_lone_line_aside(recovery, folder))
        return false;
    if (last != NULL && last->is_current)
        return audit_journal_open(recovery->journal, last->first, recovery->error);
    if (has_current(folder))
        return audit_journal_open(recovery->journal, recovered->chain.sequence + 1,
                                  recovery->error);
    return audit_journal_begin(recovery->journal, recovered->chain.sequence + 1,
                               recovery->error);
}

bool audit_recover(struct audit_journal *journal, struct audit_hasher *hasher,
                   struct audit_unfinished *unfinished, struct audit_recovered *recovered,
                   struct error *error)
{
    struct recovery recovery = {.journal = journal,
                                .hasher = hasher,
                                .unfinished = unfinished,
                                .recovered = recovered,
                                .error = error};
    struct audit_folder folder;
    bool is_recovered, is_changed;

    *recovered = (struct audit_recovered){.torn_bytes = 0};
    if (!audit_folder_list(journal->directory, &folder, error))
        return false;
    is_recovered = set_cut_repeat_aside(&recovery, &folder, &is_changed);
    if (is_recovered && is_changed) {
        audit_folder_fini(&folder);
        if (!audit_folder_list(journal->directory, &folder, error))
            return false;
    }
    is_recovered = is_recovered && recover(&recovery, &folder);
    audit_folder_fini(&folder);
    return is_recovered;
}
