/*
 * How two gateways keep their caches true through one Redis: generations with stamps, marks
 * of changes under way, publications, synchronisation, and what happens when links break, a
 * gateway dies, or Redis forgets.
 *
 * generations.pml says how to read Promela, and holds what goes on inside one gateway. Here
 * a gateway is smaller: one entry, one fetch, one change at a time; each "atomic" is a step on
 * one thread. README.md says what is left out, and why nothing is lost.
 *
 * Time is told by what it must not hide. "owed" is the least that a read which begins now
 * and asks upstream would have to return: what upstream held at the end of the latest change
 * that was answered. A gateway remembers, for each question it puts to Redis, what was owed
 * when it asked. Its knowledge is as old as the older of its two answered questions; once that
 * is older than max_staleness it stops trusting its cache, at any moment here.
 *
 * Properties, each an assert:
 *
 *  bound    While a gateway trusts its cache, neither the entry nor the fetch that readers may
 *           join is older than what was owed when its knowledge was asked for. So nothing that
 *           is owed is missing from an answer later than max_staleness after.
 *           A gateway that does not trust may know nothing for ever, so what it answers from
 *           must not be older than what is owed now.
 *  session  What a client was told by a gateway, that gateway never goes back before.
 *  refusal  Without faults no change is refused (NO_FAULTS).
 */

#ifndef CHANGES
#define CHANGES 1 /* in all */
#endif
#ifndef CHANGERS
#define CHANGERS 1 /* gateway 0 alone, or both */
#endif
#ifndef READER
#define READER 1 /* the gateway whose readers are watched */
#endif
#ifndef FORGETS
#define FORGETS 1 /* how often Redis restarts empty, or as it was at an earlier moment */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef CUTS
#define CUTS 1 /* links that lose what is sent from then on, and say so only later */
#endif
#ifndef BREAKS
#define BREAKS 1 /* links that break at once, not counting those that were cut */
#endif
#define QUEUE 3 /* of publications and answers on their way to a gateway */

#define NONE 255

#define least(a, b) ((a) < (b) -> (a) : (b))

/* ---- Upstream ---- */

byte value; /* what upstream holds; of two values the smaller is the older */

mtype = { ON_ITS_WAY, LANDED, DROPPED };
mtype change_is[2]; /* a gateway's change; DROPPED: it never lands */

#define IS_DEALT_WITH(g) (change_is[g] == LANDED || change_is[g] == DROPPED)

/* ---- Redis ---- */

mtype = { STANDING, HOLDING }; /* a mark: of a change under way, of one whose end is unknown */

typedef redis_t {
    byte epoch;      /* 0: none yet */
    byte generation; /* counter and stamp in one: a number that nobody else has; 0: none */
    mtype marks[2];  /* by gateway; 0: none */
};
redis_t redis;
redis_t copy; /* what a restart or a replica may bring back */
byte epochs = 1; /* names that it has had */

/* ---- The gateways ---- */

mtype = { UP, CUT, DOWN };          /* a link; CUT: it is not known yet that nothing passes */
mtype = { ASKED, ANSWERED, FAILED }; /* a question: nothing comes; an answer is under way */
mtype = { OVER_KNOWN, OVER_UNKNOWN }; /* a mark whose end Redis was not told yet */
mtype = { SUBSCRIBED, PONG, RAISED };

typedef gateway_t {
    bool is_dead;
    /* The cache. An entry or a fetch of an earlier generation does nothing, so it is gone. */
    byte entry; /* its value; NONE: there is none */
    bool is_shared; /* readers may join the fetch */
    byte fetched;   /* NONE: there is no fetch */
    bool is_marked; /* a change of the other gateway is under way */
    bool is_changing; /* one of ours is in flight, or in its hold */
    /* Our change, as the thread of the cluster knows it. */
    mtype mark;     /* STANDING; OVER_...: to be told again; 0: none */
    bool is_lasting; /* the mark cannot have expired: so much time has not passed yet */
    mtype errand;
    /* The links, and what is under way on them. */
    mtype commands;
    mtype events;
    bool is_deaf;   /* events is at a Redis where nobody publishes any more */
    mtype sync;
    byte sync_owed; /* owed when it was sent */
    byte told_epoch;
    byte told_generation;
    bool told_marked;
    bool is_pinging;
    byte ping_owed;
    /* What is known. */
    byte epoch;
    byte known;     /* the generation; NONE: unknown */
    byte synced;    /* owed, when what is known was asked for; NONE: not on this link */
    byte pinged;
    bool is_trusted;
    byte knows;     /* the older of both when it was last trusted */
    byte session;   /* the least that a client of ours may be given */
};
gateway_t gateway[2];

byte number;

chan heard[2] = [QUEUE] of { mtype, bool, bool }; /* RAISED: marked, by the other one */

byte owed;
byte changes_left = CHANGES;
byte forgets_left = FORGETS;
byte deaths_left = DEATHS;
byte cuts_left = CUTS;
byte breaks_left = BREAKS;
bool has_copied;

#define G gateway[g]

/* ---- The rules. Each seeded mistake, a macro given to spin, breaks one of them. ---- */

/* While a change is under way anywhere, nothing is stored. */
#ifdef IGNORE_MARKS
#define MAY_STORE (!G.is_changing)
#else
#define MAY_STORE (!G.is_changing && !G.is_marked)
#endif

/* Knowledge counts from when it was asked for. */
#ifdef STAMP_AT_RECEIPT
#define SYNC_STAMP owed
#else
#define SYNC_STAMP G.sync_owed
#endif

/* One ping at a time: else an answer counts from when the next one was asked for. */
#ifdef PING_TWICE
#define MAY_PING true
#else
#define MAY_PING (!G.is_pinging)
#endif

/* A change whose end Redis was not told is not answered, but with an error. */
#ifdef TRUST_OWN_MARK
#define IS_COVERED G.is_lasting
#elif defined(COVERED_WITHOUT_MARK)
#define IS_COVERED true
#else
#define IS_COVERED false
#endif

/* A read that does not trust the cache asks upstream by itself. */
#ifdef JOIN_UNTRUSTED
#define JOINS_UNTRUSTED true
#else
#define JOINS_UNTRUSTED false
#endif
#ifdef USE_UNTRUSTED
#define USES_UNTRUSTED true
#else
#define USES_UNTRUSTED false
#endif

/* ---- The properties ---- */

inline check_gateway(g)
{
    if
    :: G.entry != NONE && G.is_trusted -> assert(G.entry >= G.knows) /* bound */
    :: G.entry != NONE && !G.is_trusted && USES_UNTRUSTED -> assert(G.entry >= owed)
    :: else
    fi;
    assert(G.entry == NONE || G.entry >= G.session);
    if
    :: G.is_shared && G.fetched != NONE ->
        assert(!G.is_trusted || G.fetched >= G.knows); /* bound */
        assert(!JOINS_UNTRUSTED || G.is_trusted || G.fetched >= owed);
        assert(G.fetched >= G.session)
    :: else
    fi
}

inline check()
{
    check_gateway(READER)
}

inline owe(least_value)
{
    owed = (owed > (least_value) -> owed : (least_value))
}

/* ---- A gateway's own generation ---- */

inline end_fetch(g)
{
    G.is_shared = false;
    G.fetched = NONE
}

/* Everything that is stored or under way is of an earlier generation now. */
inline raise(g)
{
    G.entry = NONE;
    end_fetch(g)
}

inline distrust_all(g)
{
    raise(g);
    G.known = NONE
}

/* Both links count: one knows what is, the other what has been in between. */
inline note_heard(g)
{
    if
    :: G.synced != NONE && G.pinged != NONE ->
        G.is_trusted = true;
        G.knows = least(G.synced, G.pinged)
    :: else
    fi
}

/* ---- Redis, and its scripts: each is one step ---- */

/*
 * Of generations only one thing is asked: whether two are equal. So the present one is always
 * 1; one that was raised keeps a number of its own only while another place has it too.
 */
#define WATCHED gateway[READER]

/* The present one is so no longer. */
inline retire_generation()
{
    number = (copy.generation == 2 || WATCHED.known == 2 || WATCHED.told_generation == 2
              -> 3 : 2);
    copy.generation = (copy.generation == 1 -> number : copy.generation);
    WATCHED.known = (WATCHED.known == 1 -> number : WATCHED.known);
    WATCHED.told_generation =
        (WATCHED.told_generation == 1 -> number : WATCHED.told_generation);
    number = 0
}

inline change_generation()
{
#ifdef COUNTER_ONLY
    redis.generation++
#else
    d_step {
        retire_generation();
        redis.generation = 1;
        tidy()
    }
#endif
}

/* The one of the copy is the present one again. */
inline restore_generation()
{
#ifdef COUNTER_ONLY
    redis.generation = copy.generation;
    copy.generation = 0
#else
    d_step {
        if
        :: copy.generation != redis.generation ->
            retire_generation();
            WATCHED.known = (WATCHED.known == copy.generation && WATCHED.known > 1 ->
                             1 : WATCHED.known);
            WATCHED.told_generation =
                (WATCHED.told_generation == copy.generation && WATCHED.told_generation > 1 ->
                 1 : WATCHED.told_generation);
            redis.generation = (copy.generation == 0 -> 0 : 1)
        :: else
        fi;
        copy.generation = 0;
        tidy()
    }
#endif
}

inline tidy()
{
    if
    :: WATCHED.known > 1 && WATCHED.known != NONE && WATCHED.known != copy.generation &&
            WATCHED.known != WATCHED.told_generation ->
        WATCHED.known = NONE
    :: else
    fi;
    if
    :: WATCHED.told_generation > 1 && WATCHED.told_generation != copy.generation &&
            WATCHED.told_generation != WATCHED.known ->
        WATCHED.told_generation = 4 /* nobody else's */
    :: else
    fi
}

/* Where there is no room Redis ends the connection, which is noticed later. */
inline tell(to, what, has_mark, is_by_other)
{
    if
    :: gateway[to].events == UP && nfull(heard[to]) -> heard[to]!what, has_mark, is_by_other
    :: gateway[to].events == UP && full(heard[to]) -> gateway[to].events = CUT
    :: gateway[to].events != UP -> skip
    fi
}

inline publish_to(to, from)
{
    if
    :: !gateway[to].is_deaf && gateway[to].events == UP ->
        tell(to, RAISED, (redis.marks[0] != 0 || redis.marks[1] != 0), (to != from))
    :: else
    fi
}

inline redis_raise(from)
{
    change_generation();
    publish_to(0, from);
    publish_to(1, from)
}

/* Takes the mark away, or lets it stand for the hold. */
inline redis_end(g, is_known_end)
{
    redis.marks[g] = (is_known_end -> 0 : HOLDING);
#ifndef DROP_END_RAISE
    redis_raise(g)
#endif
}

/*
 * Whether so much time may have passed that a mark is over. Its gateway counts from when it
 * asked, so it is the first to give the mark up, and no answer is under way for so long. A
 * hold, and the mark of a gateway that died, last until upstream has dealt with the change.
 */
#define MAY_EXPIRE(h) \
    (redis.marks[h] == HOLDING || gateway[h].is_dead -> \
        (change_is[h] == 0 || IS_DEALT_WITH(h)) : \
        (!gateway[h].is_lasting && gateway[h].sync != ANSWERED && \
         gateway[h].errand != ANSWERED))

inline expire(h, from)
{
    if
    :: redis.marks[h] != 0 && MAY_EXPIRE(h) ->
        if
        :: redis.marks[h] == HOLDING || gateway[h].is_dead -> owe(value)
        :: else
        fi;
        redis.marks[h] = 0;
#ifndef DROP_EXPIRY_RAISE
        redis_raise(from)
#endif
    :: true
    fi
}

inline redis_sync(g)
{
    if
    :: redis.epoch == 0 ->
        epochs++;
        redis.epoch = epochs
    :: else
    fi;
    if
    :: G.mark == STANDING || G.mark == HOLDING -> redis.marks[g] = G.mark
    :: else
    fi;
    expire(0, g);
    expire(1, g);
    if
    :: g == READER ->
        G.sync = ANSWERED;
        G.told_epoch = redis.epoch;
        G.told_generation = redis.generation;
        G.told_marked = (redis.marks[1 - g] != 0)
    :: g != READER && G.mark == STANDING -> G.is_lasting = true
    :: else
    fi
}

/* ---- The links ---- */

/* Ends that Redis has not heard of; whether they arrive is not waited for. */
inline retry_end(g)
{
    if
    :: G.mark == OVER_KNOWN || G.mark == OVER_UNKNOWN ->
        if
        :: G.commands == UP -> redis_end(g, (G.mark == OVER_KNOWN))
        :: else
        fi;
        G.mark = 0
    :: else
    fi
}

inline send_sync(g)
{
    retry_end(g);
    G.sync_owed = (g == READER -> owed : 0);
    if
    :: G.commands == UP -> redis_sync(g)
    :: G.commands != UP && g == READER -> G.sync = ASKED
    :: else
    fi
}

inline forget_told(g)
{
    G.sync = 0;
    G.sync_owed = 0;
    G.told_epoch = 0;
    G.told_generation = 0;
    G.told_marked = false
}

inline learn(g)
{
    if
    :: G.told_epoch != G.epoch ->
        distrust_all(g);
        G.epoch = G.told_epoch
    :: else
    fi;
    if
    :: G.told_generation != 0 && G.told_generation != G.known ->
        raise(g);
        G.known = (G.told_generation == 4 -> NONE : G.told_generation)
    :: else
    fi;
    G.is_marked = G.told_marked;
#if !defined(DROP_RAISE_WHILE_MARKED) && !defined(IGNORE_MARKS)
    if
    :: G.is_marked -> raise(g)
    :: else
    fi;
#endif
    G.synced = SYNC_STAMP;
    note_heard(g)
}

inline take_sync(g)
{
    if
    :: G.mark == STANDING -> G.is_lasting = true
    :: else
    fi;
    learn(g);
    forget_told(g)
}
inline send_ping(g)
{
    G.is_pinging = true;
    G.ping_owed = owed;
    tell(g, PONG, false, false)
}

inline take_heard(g)
{
    if
    :: heard[g]?SUBSCRIBED, _, _ ->
#ifndef DROP_RAISE_AT_SUBSCRIPTION
        distrust_all(g);
#endif
        if
        :: MAY_PING -> send_ping(g)
        :: else
        fi
    :: heard[g]?PONG, _, _ ->
        G.is_pinging = false;
        G.pinged = G.ping_owed;
        note_heard(g)
    :: heard[g]?RAISED, was_marked, was_other ->
        G.is_marked = was_marked;
        if
        :: was_other -> raise(g)
        :: else
        fi;
        was_marked = false;
        was_other = false
    fi
}

inline forget_heard(g)
{
    do
    :: nempty(heard[g]) -> heard[g]?_, _, _
    :: empty(heard[g]) -> break
    od;
    G.is_pinging = false;
    G.ping_owed = 0;
    G.is_deaf = false;
    G.pinged = NONE
}

#define may_break(link) (link == CUT || (link == UP && breaks_left > 0))

inline count_break(link)
{
    breaks_left = breaks_left - (link == UP -> 1 : 0)
}

inline break_commands(g)
{
    G.commands = DOWN;
    forget_told(g);
    G.synced = NONE;
    G.errand = (G.errand != 0 -> FAILED : 0)
}

/* A gateway's thread for Redis. A break loses what has not arrived. */
proctype links(byte g)
{
    bool was_marked;
    bool was_other;

end_links:
    do
    :: atomic {
           !G.is_dead && G.commands != DOWN && G.sync == 0 -> send_sync(g)
       }
    :: atomic {
           G.sync == ANSWERED ->
           take_sync(g);
           check()
       }
    :: atomic {
           /* One that tells nothing new is left out. */
           G.events != DOWN && !G.is_pinging && (G.pinged != owed || !G.is_trusted) ->
           send_ping(g)
       }
    :: atomic {
           nempty(heard[g]) ->
           take_heard(g);
           check()
       }
#ifndef NO_FAULTS
    :: atomic {
           may_break(G.commands) ->
           count_break(G.commands);
           break_commands(g)
       }
    :: atomic {
           !G.is_dead && G.commands == DOWN ->
           G.commands = UP;
#ifndef DROP_RAISE_AT_CONNECTION
           distrust_all(g);
#endif
           send_sync(g)
       }
    :: atomic {
           may_break(G.events) ->
           count_break(G.events);
           G.events = DOWN;
           forget_heard(g)
       }
    :: atomic {
           g == READER && !G.is_dead && G.events == DOWN ->
           G.events = UP;
           tell(g, SUBSCRIBED, false, false)
       }
#endif
    od
}

/* ---- Reads ---- */

/*
 * A fetch may be for readers of a trusted cache, who share it, or for one who does not trust.
 * It begins where it passes upstream (what is raised before that ends it, so a later begin is
 * the harder case), lands at any moment, or fails. Hits need no step: whatever readers could
 * be given is checked after every step that makes it possible. An entry and a fetch never meet
 * but for the one becoming the other, so there is a fetch only where there is no entry.
 */
proctype cache(byte g)
{
end_cache:
    do
    :: atomic {
           !G.is_dead && G.fetched == NONE && G.entry == NONE ->
           G.fetched = value;
           G.is_shared = G.is_trusted
       }
    :: atomic {
           G.fetched != NONE ->
           if
           :: MAY_STORE -> G.entry = G.fetched
           :: else
           fi;
           end_fetch(g);
           check()
       }
    :: atomic {
           G.is_trusted -> /* max_staleness is over */
           G.is_trusted = false;
           G.knows = 0;
           check()
       }
    od
}

/* ---- Changes ---- */

/* The way of a change upstream: it lands at any moment, or never. */
proctype way(byte g)
{
end_way:
    do
    :: atomic {
           change_is[g] == ON_ITS_WAY ->
           value++;
           change_is[g] = LANDED;
           check()
       }
    :: atomic {
           change_is[g] == ON_ITS_WAY -> change_is[g] = DROPPED
       }
    :: atomic {
           G.is_lasting -> G.is_lasting = false
       }
    od
}

inline ask_begin(g)
{
    G.mark = STANDING;
    if
    :: G.commands == UP ->
        redis.marks[g] = STANDING;
        redis_raise(g);
        G.errand = ANSWERED
    :: G.commands == CUT -> G.errand = ASKED
    fi
}

inline ask_end(g, is_known_end)
{
    if
    :: G.commands == UP ->
        redis_end(g, is_known_end);
        G.errand = ANSWERED
    :: G.commands == CUT -> G.errand = ASKED
    :: G.commands == DOWN -> G.errand = FAILED
    fi;
    raise(g)
}

inline finish_end(g)
{
    if
    :: G.errand == ANSWERED ->
#ifdef FORGET_HOLD
        G.mark = 0;
#else
        G.mark = (is_known -> 0 : HOLDING);
#endif
        owe(held)
    :: G.errand == FAILED ->
        refuse();
        G.mark = (is_known -> OVER_KNOWN : OVER_UNKNOWN);
        if
        :: IS_COVERED -> owe(held)
        :: else
        fi
    fi;
    G.errand = 0
}

/* The hold is over here; Redis is told, if its mark was kept till now. */
inline end_hold(g)
{
    raise(g);
    G.is_changing = false;
    G.session = value;
    if
    :: G.mark == HOLDING && G.commands == UP ->
        redis_end(g, true);
        G.mark = 0
    :: G.mark == HOLDING && G.commands != UP -> G.mark = OVER_KNOWN
    :: else
    fi;
    if
    :: was_told && G.commands == UP -> owe(value)
    :: else
    fi
}

inline refuse()
{
#ifdef NO_FAULTS
    assert(false)
#else
    skip
#endif
}

/*
 * A gateway's changes, one at a time. If Redis cannot be told of the begin, nothing is sent;
 * if it cannot be told of the end, the client hears that instead of upstream's answer.
 */
proctype change(byte g)
{
    byte held; /* what upstream held when the end was seen */
    bool is_known;
    bool was_told;

end_change:
    do
    :: atomic {
           !G.is_dead && changes_left > 0 && G.mark == 0 && G.commands != DOWN ->
           changes_left--;
           ask_begin(g)
       }
       if
       :: atomic {
              G.errand == FAILED ->
              refuse();
              G.errand = 0;
              G.mark = OVER_KNOWN
          }
       :: atomic {
              G.errand == ANSWERED ->
              G.errand = 0;
              G.is_lasting = true;
              raise(g);
              G.is_changing = true;
              change_is[g] = ON_ITS_WAY
          }
          atomic {
              if
              :: IS_DEALT_WITH(g) -> is_known = true
              :: is_known = false /* given up */
              fi;
              held = value;
              ask_end(g, is_known);
              G.is_changing = !is_known;
              G.session = held;
              check()
          }
          atomic {
              G.errand == ANSWERED || G.errand == FAILED ->
              was_told = (G.errand == ANSWERED);
              finish_end(g);
              check()
          }
          atomic {
              IS_DEALT_WITH(g) ->
              if
              :: !is_known -> end_hold(g)
              :: else
              fi;
              change_is[g] = 0;
              held = 0;
              is_known = false;
              was_told = false;
              check()
          }
       :: G.is_dead -> break
       fi
    :: G.is_dead -> break
    od
}

/* ---- Faults ---- */

inline cut_or_not(link)
{
    if
    :: link != DOWN -> link = CUT
    :: true
    fi
}

/*
 * What Redis was told last is gone. Each link breaks, or goes on as if nothing had happened
 * (through a proxy), or goes on at a server where nobody publishes any more.
 */
inline forget(g)
{
    cut_or_not(G.commands);
    cut_or_not(G.events);
    if
    :: G.events == UP -> G.is_deaf = true
    :: true
    fi
}

inline die(g)
{
    G.is_dead = true;
    raise(g);
    break_commands(g);
    G.errand = 0;
    G.events = DOWN;
    forget_heard(g);
    G.is_trusted = false;
    G.knows = 0;
    G.is_lasting = false;
    G.mark = 0
}

proctype faults()
{
end_faults:
    do
    :: atomic {
           !has_copied && forgets_left > 0 ->
           has_copied = true;
           copy.epoch = redis.epoch;
           copy.generation = redis.generation;
           copy.marks[0] = redis.marks[0];
           copy.marks[1] = redis.marks[1]
       }
    :: atomic {
           has_copied && forgets_left > 0 ->
           forgets_left--;
           redis.epoch = copy.epoch;
           restore_generation();
           redis.marks[0] = copy.marks[0];
           redis.marks[1] = copy.marks[1];
           copy.epoch = 0;
           copy.marks[0] = 0;
           copy.marks[1] = 0;
           has_copied = false;
           forget(0);
           forget(1)
       }
    :: atomic {
           !has_copied && forgets_left > 0 ->
           forgets_left--;
           redis.epoch = 0;
           restore_generation();
           redis.marks[0] = 0;
           redis.marks[1] = 0;
           forget(0);
           forget(1)
       }
    :: atomic {
           cuts_left > 0 && gateway[0].commands == UP ->
           cuts_left--;
           gateway[0].commands = CUT
       }
    :: atomic {
           cuts_left > 0 && gateway[1].commands == UP ->
           cuts_left--;
           gateway[1].commands = CUT
       }
    :: atomic {
           cuts_left > 0 && gateway[READER].events == UP ->
           cuts_left--;
           gateway[READER].events = CUT
       }
    :: atomic {
           deaths_left > 0 && READER != 0 && gateway[0].mark != 0 ->
           deaths_left--;
           die(0)
       }
    od
}

/* All begins at rest, connected, with empty caches. Gateways are alike, so 0 begins. */
init
{
    byte i;

    atomic {
        redis.epoch = 1;
        for (i : 0 .. 1) {
            gateway[i].entry = NONE;
            gateway[i].fetched = NONE;
            gateway[i].commands = UP;
            gateway[i].events = (i == READER -> UP : DOWN);
            gateway[i].epoch = 1;
            gateway[i].known = NONE;
            gateway[i].synced = NONE;
            gateway[i].pinged = NONE;
            run links(i)
        }
        for (i : 0 .. CHANGERS - 1) {
            run way(i);
            run change(i)
        }
        run cache(READER);
#ifndef NO_FAULTS
        run faults();
#endif
        i = 0
    }
}
