#include "admin/tally.h"

void tally_add(struct tally *tally, const struct metrics_series *series)
{
    tally->requests += series->count;
    if (series->status >= 500)
        tally->errors += series->count;
    if (series->status == 401 || series->status == 403 || series->status == 429)
        tally->refused += series->count;
    tally->outcomes[series->outcome] += series->count;
}
