/*
 * How a cached read stays right while changes pass: generations, marks, flights and holds.
 *
 * For readers of C who have not met Promela. A proctype is a process; all of them run at once.
 * A statement that is false where it stands (a comparison, a guard "condition ->") waits until
 * it is true. In "if" and "do", any branch whose guard holds may be taken: the verifier tries
 * them all, and every order in which the processes can take their steps. What stands in
 * "atomic" is one step, as under a lock; between two steps any time may pass. "inline" is a
 * macro. A label that begins with "end" marks a place where a process may wait for ever;
 * waiting for ever anywhere else is reported.
 *
 * One scope, one key. A change that lands adds one to the value that upstream holds, so of two
 * values the smaller is the older. README.md says what is left out, and why nothing is lost.
 *
 * Properties, each an assert:
 *
 *  promise  A read that begins after a change was answered returns at least what upstream held
 *           when that change's final head arrived, which includes the change itself. A change
 *           given up (timeout, lost connection) may land later, so its answer can owe only
 *           what had landed by then; the rest is owed to reads that begin after its hold.
 *           Nothing older than what is owed is in the cache and usable.
 *  strict   What is in the cache and usable is what upstream holds at this very moment. So a
 *           hit, fresh or stale, is as good as asking upstream: it shows a change as soon as
 *           it lands, before anybody was answered, and during a hold. PROMISE_ONLY leaves this
 *           out, to show which rules serve the promise and which serve only this.
 *
 * Not a property: of two reads, one after the other, the second is never older. While a change
 * is under way it may be. The second may join a fetch that passed upstream just before the
 * change landed; the first, begun in an earlier generation, may have waited for a fetch that
 * passed just after. READ_ORDER asserts it, to show that it fails.
 */

#ifndef READS
#define READS 4 /* in all, by two readers */
#endif
#ifndef CHANGES
#define CHANGES 2 /* in all, by two changers */
#endif
#define READERS 2
#define CHANGERS 2
#define FLIGHTS 3 /* fetches at a time, those of earlier generations included */

#define NONE 255

/* ---- Upstream ---- */

byte value; /* what upstream holds */

mtype = { UNSENT, ON_ITS_WAY, LANDED, DROPPED };
mtype change_is[CHANGERS]; /* DROPPED: it never lands; lost, or refused by upstream */

/* ---- The gateway: one scope, one key ---- */

/*
 * Of the generation that an entry or a flight carries, one thing is ever asked: is it still the
 * scope's? So it is kept as that flag, and a raise clears the flag of all there is. This says
 * the same as a number that only grows, and leaves far fewer states to search.
 */
byte marks; /* changes in flight in the scope, those in their hold included */

typedef entry_t {
    byte value;      /* NONE: there is no entry */
    bool is_current; /* its fetch began in the scope's present generation */
};
entry_t entry;

typedef flight_t {
    bool is_flying;
    bool is_current; /* it began in the scope's present generation */
    byte condition;  /* the value of the entry that it revalidates, or NONE */
};
flight_t flight[FLIGHTS];

byte in_table = NONE;    /* the flight that a new reader of the key finds, or NONE */
byte waits_for[READERS]; /* the flight whose answer a reader awaits, or NONE */

/* ---- The bounds of the search ---- */

byte reads_left = READS;
byte changes_left = CHANGES;

/* ---- What the properties speak of; the gateway knows nothing of it ---- */

byte owed;             /* the least that a read which begins now may return */
byte owed_to[READERS]; /* the least that a waiting reader may be given */
#ifdef READ_ORDER
byte newest;                 /* the newest value that any read returned */
byte newest_before[READERS]; /* the same, when a waiting reader's read began */
#endif

/* ---- The rules. Each seeded mistake, a macro given to spin, breaks one of them. ---- */

/* An entry of an earlier generation is not used: no hit, no revalidation, no stale answer. */
#ifdef USE_OLD_ENTRY
#define USABLE (entry.value != NONE)
#else
#define USABLE (entry.value != NONE && entry.is_current)
#endif

/* A flight of an earlier generation takes no new waiter. */
#ifdef JOIN_OLD_FLIGHT
#define JOINABLE (in_table != NONE)
#else
#define JOINABLE (in_table != NONE && flight[in_table].is_current)
#endif

/* While any change is in flight or in its hold, nothing is stored. */
#ifdef STORE_WHILE_IN_FLIGHT
#define MAY_STORE true
#else
#define MAY_STORE (marks == 0)
#endif

/* A flight answers all who joined it, also when its generation is an earlier one by now. */
#ifdef FORGET_WAITERS
#define IS_WAITER(r, f) (waits_for[r] == f && flight[f].is_current)
#else
#define IS_WAITER(r, f) (waits_for[r] == f)
#endif

#define IS_DEALT_WITH(c) (change_is[c] == LANDED || change_is[c] == DROPPED)

/*
 * What ends a change is upstream's own final head, so upstream has dealt with the change. A 5xx
 * that something on the way made (a load balancer's 502 or 504) is no such head.
 */
#ifdef TRUST_ANY_HEAD
#define HAS_FINAL_HEAD(c) (change_is[c] != 0)
#else
#define HAS_FINAL_HEAD(c) IS_DEALT_WITH(c)
#endif

inline raise()
{
    entry.is_current = false;
    flight[0].is_current = false;
    flight[1].is_current = false;
    flight[2].is_current = false
}

/* Before the first byte of a change goes out: mark, and only then raise. */
inline before_first_byte()
{
#ifdef MARK_AFTER_RAISE
    raise()
#else
    marks++
#endif
}

inline at_first_byte()
{
#ifdef MARK_AFTER_RAISE
    marks++
#elif !defined(DROP_FIRST_RAISE)
    raise()
#else
    skip
#endif
}

/* The final head is here: raise, and only then take the mark away; then answer the client. */
inline at_final_head()
{
#ifdef UNMARK_BEFORE_RAISE
    marks--
#elif !defined(DROP_SECOND_RAISE)
    raise()
#else
    skip
#endif
}

inline before_answer()
{
#ifdef UNMARK_BEFORE_RAISE
    raise()
#else
    marks--
#endif
}

/* Timeout, connection lost: raise, but leave the mark. The mark that stays is the hold. */
inline at_giving_up()
{
#if !defined(DROP_SECOND_RAISE) && !defined(DROP_RAISE_ON_FAILURE)
    raise();
#endif
#if defined(DROP_HOLD) || defined(STORE_IN_HOLD)
    marks--;
#endif
    skip
}

/* unknown_hold is over: raise, and only then take the mark away. */
inline at_hold_end()
{
#if !defined(DROP_HOLD) && !defined(DROP_RAISE_AFTER_HOLD)
    raise();
#endif
    skip
}

inline after_hold_end()
{
#if !defined(DROP_HOLD) && !defined(STORE_IN_HOLD)
    marks--;
#endif
    skip
}

/*
 * What a flight of an earlier generation fetched is not stored, and a 304 that it got does not
 * refresh the entry. An entry carries the generation at which its fetch began.
 */
inline store(f, fetched, is_not_modified)
{
    if
#ifdef STAMP_WHEN_STORED
    :: true ->
        entry.value = fetched;
        entry.is_current = true
#else
    :: flight[f].is_current ->
        entry.value = fetched;
        entry.is_current = true
#ifdef REVIVE_BY_304
    :: !flight[f].is_current && is_not_modified ->
        entry.value = fetched;
        entry.is_current = true
#endif
    :: else
#endif
    fi
}

/* ---- The properties ---- */

inline check_cache()
{
    assert(!USABLE || entry.value >= owed);
#ifndef PROMISE_ONLY
    assert(!USABLE || entry.value == value);
#endif
}

inline owe(least)
{
    if
    :: owed < least -> owed = least
    :: else
    fi;
    check_cache()
}

inline begin_read(r)
{
    reads_left--;
    owed_to[r] = owed;
#ifdef READ_ORDER
    newest_before[r] = newest;
#endif
}

inline end_read(r, got)
{
    assert(got >= owed_to[r]);
#ifdef READ_ORDER
    assert(got >= newest_before[r]);
    newest_before[r] = 0;
    newest = (got > newest -> got : newest);
#endif
    owed_to[r] = 0;
    waits_for[r] = NONE
}

inline end_read_with_error(r)
{
#ifdef READ_ORDER
    newest_before[r] = 0;
#endif
    owed_to[r] = 0;
    waits_for[r] = NONE
}

/* ---- The processes ---- */

/*
 * The way of a changer's requests to upstream. Each lands at any moment after it was sent. A
 * process of its own, because a change may still be on its way when the gateway has given it
 * up.
 */
proctype way(byte me)
{
end_way:
    do
    :: atomic {
           change_is[me] == ON_ITS_WAY ->
           value++;
           change_is[me] = LANDED;
           check_cache()
       }
    od
}

/*
 * A changer: a client that makes changes, and the exchange that serves it. A change that was
 * refused, or found no connection, is not seen here at all: nothing happens to the scope
 * before the gateway is about to write the first byte. If that first write fails, nothing went
 * out: the mark goes, and nothing more is raised. Otherwise the final head arrives at any
 * moment after upstream dealt with the change, and the client is answered; or the gateway
 * gives up at any moment, whatever became of the change, answers the client with a 504, and
 * holds. A hold ends only when upstream has certainly dealt with the change: that unknown_hold
 * is long enough for this is an assumption, the only one about time. It stands below as the
 * condition on which a hold ends.
 */
proctype changer(byte me)
{
    byte held; /* what upstream held when the end of the change, or of its hold, was seen */

    do
    :: atomic {
           /* Idle changers are alike, so the second starts only while the first is busy. */
           changes_left > 0 && (me == 0 || change_is[0] != 0) ->
           changes_left--;
           change_is[me] = UNSENT;
           before_first_byte()
       }
       atomic {
           at_first_byte();
           if
           :: change_is[me] = ON_ITS_WAY
           :: change_is[me] = DROPPED
           :: marks--; /* the first write failed */
               change_is[me] = 0
           fi
       }
       if
       :: change_is[me] == 0
       :: atomic {
              HAS_FINAL_HEAD(me) ->
              held = value;
              at_final_head()
          }
          atomic {
              before_answer();
              owe(held);
              change_is[me] = 0;
              held = 0
          }
       :: atomic {
              change_is[me] != 0 -> /* the gateway gives up */
              at_giving_up();
              owe(value)
          }
          atomic {
              IS_DEALT_WITH(me) ->
              held = value;
              at_hold_end()
          }
          atomic {
              after_hold_end();
              owe(held);
              change_is[me] = 0;
              held = 0
          }
       fi
    :: atomic {
           changes_left == 0 -> break
       }
    od
}

inline end_flight(f)
{
    if
    :: in_table == f -> in_table = NONE
    :: else
    fi;
    flight[f].is_flying = false;
    flight[f].is_current = false;
    flight[f].condition = NONE
}

/*
 * A flight: one fetch, for all who wait for it. It belongs to no reader. Its request passes
 * upstream at any moment after it began, and its answer arrives at any later moment; or it
 * fails. A revalidation gets a 304 if upstream holds what the entry holds, and then fetched is
 * what was stored. When the answer is here, the gateway looks at the marks; then, which need
 * not be the same step, it compares the generations and stores, takes the flight out of the
 * table, and tells all who joined, whatever the generation is by now. If the flight failed,
 * they get the entry if it is usable (stale-if-error), and an error if not.
 */
proctype fetch(byte me)
{
    byte fetched;
    bool is_not_modified;
    bool may_store;
    byte r;

end_fetch:
    do
    :: atomic {
           flight[me].is_flying ->
           fetched = value;
           is_not_modified = (value == flight[me].condition);
           flight[me].condition = NONE
       }
       may_store = MAY_STORE;
       atomic {
           if
           :: may_store ->
               store(me, fetched, is_not_modified);
               check_cache()
           :: else
           fi;
           for (r : 0 .. READERS - 1) {
               if
               :: IS_WAITER(r, me) -> end_read(r, fetched)
               :: else
               fi
           }
           end_flight(me);
           fetched = 0;
           is_not_modified = false;
           may_store = false;
           r = 0
       }
    :: atomic {
           flight[me].is_flying -> /* the fetch fails */
           for (r : 0 .. READERS - 1) {
               if
               :: IS_WAITER(r, me) && USABLE -> end_read(r, entry.value)
               :: IS_WAITER(r, me) && !USABLE -> end_read_with_error(r)
               :: else
               fi
           }
           end_flight(me);
           r = 0
       }
    od
}

/* Joins the flight in the table, or starts one and puts it there in place of an older one. */
inline join_or_start(stored)
{
    if
    :: JOINABLE
    :: else ->
        if /* any free one; flights are alike, so always the first of them */
        :: !flight[0].is_flying -> in_table = 0
        :: flight[0].is_flying && !flight[1].is_flying -> in_table = 1
        :: else ->
            assert(!flight[2].is_flying); /* FLIGHTS are enough for READS */
            in_table = 2
        fi;
        flight[in_table].is_flying = true;
        flight[in_table].is_current = true;
        flight[in_table].condition = stored
    fi
}

/*
 * A reader: a client that reads. Its read begins with the look into the cache, which is one
 * step (the lock of the key). A usable entry may be fresh, and answers at once. Or it is
 * stale, and answers at once while a flight revalidates it, or the reader waits for that
 * flight. Where there is no usable entry the reader waits for a flight without condition.
 * While it waits it may be answered with an entry that is usable by then (stale_after); else
 * the flight answers it.
 *
 * In truth time may pass between the beginning of a read and its look into the cache. But the
 * later a read begins the more it is owed, so to begin with the look is the hardest case.
 */
proctype reader(byte me)
{
    do
    :: atomic {
           /* Idle readers are alike, so the second reads only while the first is waiting. */
           reads_left > 0 && waits_for[me] == NONE && (me == 0 || waits_for[0] != NONE) ->
           begin_read(me);
           if
           :: USABLE -> /* fresh */
               end_read(me, entry.value)
           :: USABLE -> /* stale, while a flight revalidates it */
               join_or_start(entry.value);
               end_read(me, entry.value)
           :: USABLE -> /* stale, and not to be served as it is */
               join_or_start(entry.value);
               waits_for[me] = in_table
           :: !USABLE ->
               join_or_start(NONE);
               waits_for[me] = in_table
           fi
       }
    :: atomic {
           waits_for[me] != NONE && USABLE -> /* stale_after is over */
           end_read(me, entry.value)
       }
    :: atomic {
           reads_left == 0 && waits_for[me] == NONE -> break
       }
    od
}

/* All begins at rest, with an empty cache or with an entry that is right. */
init
{
    byte i;

    atomic {
        if
        :: entry.value = NONE
        :: entry.value = value;
            entry.is_current = true
        fi;
        for (i : 0 .. FLIGHTS - 1) {
            flight[i].condition = NONE;
            run fetch(i)
        }
        for (i : 0 .. CHANGERS - 1) {
            run way(i);
            run changer(i)
        }
        for (i : 0 .. READERS - 1) {
            waits_for[i] = NONE;
            run reader(i)
        }
        i = 0
    }
}
