#include "audit/pace.h"

enum {
    COMPANY = 8, /* records of a batch that make others likely */
    LONGEST_US = 250,
};

void pace_note(struct pace *pace, size_t records, int64_t took_us)
{
    pace->records = records;
    pace->took_us = took_us;
}

int64_t pace_pause_us(const struct pace *pace, size_t waiting)
{
    int64_t pause_us = pace->took_us / 2;

    if (pace->records < COMPANY || waiting >= pace->records)
        return 0;
    return pause_us < LONGEST_US ? pause_us : LONGEST_US;
}
