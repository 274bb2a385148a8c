#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "confine/confine.h"
#include "confine/sanitized.h"

static bool is_kept(cap_value_t value, bool keep_low_ports)
{
    return (keep_low_ports && value == CAP_NET_BIND_SERVICE) ||
           (CONFINE_SANITIZED && value == CAP_SYS_PTRACE);
}

/* What could come back with a program that is started. Without CAP_SETPCAP there is
 * nothing to drop with, and no_new_privs does it. */
static void drop_bounding_set(bool keep_low_ports)
{
    for (cap_value_t value = 0; cap_get_bound(value) >= 0; value++) {
        if (!is_kept(value, keep_low_ports))
            (void)cap_drop_bound(value);
    }
}

/* Copies one capability, if it is there. */
static bool keep(cap_t present, cap_value_t value, cap_t wanted)
{
    cap_flag_value_t is_there = CAP_CLEAR;

    if (cap_get_flag(present, value, CAP_PERMITTED, &is_there) != 0 ||
        is_there == CAP_CLEAR)
        return true;
    return cap_set_flag(wanted, CAP_PERMITTED, 1, &value, CAP_SET) == 0 &&
           cap_set_flag(wanted, CAP_EFFECTIVE, 1, &value, CAP_SET) == 0;
}

/* Who has none is not asked to: service managers may have taken away the call as well. */
static bool drop_the_rest(bool keep_low_ports)
{
    cap_t present = cap_get_proc(), wanted = cap_init();
    bool is_done = present != NULL && wanted != NULL;

    for (cap_value_t value = 0; is_done && value <= CAP_LAST_CAP; value++)
        is_done = !is_kept(value, keep_low_ports) || keep(present, value, wanted);
    is_done = is_done && (cap_compare(present, wanted) == 0 || cap_set_proc(wanted) == 0);
    (void)cap_free(present);
    (void)cap_free(wanted);
    return is_done;
}

bool confine_capabilities(bool keep_low_ports, struct error *error)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set_errno(error, errno, "cannot give up new privileges");
    drop_bounding_set(keep_low_ports);
    (void)cap_reset_ambient();
    if (!drop_the_rest(keep_low_ports))
        return error_set_errno(error, errno, "cannot give up capabilities");
    return true;
}
