/*
 * The parts of `psgate check` that look at a configuration which has loaded: each adds
 * rows for what it tried, and leaves everything as it was.
 */
#ifndef PSGATE_COMMAND_CHECK_PARTS_H
#define PSGATE_COMMAND_CHECK_PARTS_H

#include "command/findings.h"
#include "gateway/snapshot.h"

/* What is close to its end is worth a warning for this long before. */
enum { CHECK_NOTICE_DAYS = 14 };

/* Listeners: whether their addresses can be had. */
void check_listeners(struct findings *findings, const struct snapshot *snapshot);

/* Their certificates, keys, authorities and revocation lists. */
void check_tls(struct findings *findings, const struct snapshot *snapshot);

/* Clients and the operation table. */
void check_access(struct findings *findings, const struct snapshot *snapshot);

/* The trail's folder, really written to, and its signing key. */
void check_audit(struct findings *findings, const struct snapshot *snapshot);

/* The log's file. */
void check_log(struct findings *findings, const struct snapshot *snapshot);

/* The upstream and the API keys; tries neither when offline. */
void check_upstream(struct findings *findings, const struct snapshot *snapshot,
                    bool is_offline);

/* The cluster's Redis; nothing where there is no cluster. */
void check_cluster(struct findings *findings, const struct snapshot *snapshot);

/*
 * What the parts that look at folders share. Makes a file in a folder, writes it out to
 * the disk and removes it; or a folder within a folder, and in that a file. An errno, or
 * 0: it can be done.
 */
int check_folder_write(const char *folder);
int check_folder_make(const char *within);

/* What to do about that errno. */
const char *check_folder_advice(int errnum);

/* The user that the check runs as. */
const char *check_user_name(void);

#endif
