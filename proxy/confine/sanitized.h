/*
 * Whether this build has a sanitizer in it: at the end that traces the process's own
 * threads and may run a symbolizer, which no other build may.
 */
#ifndef PSGATE_CONFINE_SANITIZED_H
#define PSGATE_CONFINE_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONFINE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CONFINE_SANITIZED 1
#endif
#endif

#ifndef CONFINE_SANITIZED
#define CONFINE_SANITIZED 0
#endif

#endif
