/*
 * For findings of gcc's -fanalyzer that are none: what stands between LEAK_IS_NONE and
 * LEAK_LOOK_AGAIN may look as if it lost memory. The reason stands beside it. (gcc 12
 * forgets an owner that is reached through two pointers; ASan and memcheck look as well.)
 */
#ifndef PSGATE_BASE_ANALYZER_H
#define PSGATE_BASE_ANALYZER_H

#if defined(__GNUC__) && !defined(__clang__)
#define LEAK_IS_NONE                                                                     \
    _Pragma("GCC diagnostic push")                                                       \
        _Pragma("GCC diagnostic ignored \"-Wanalyzer-malloc-leak\"")
#define LEAK_LOOK_AGAIN _Pragma("GCC diagnostic pop")
#else
#define LEAK_IS_NONE
#define LEAK_LOOK_AGAIN
#endif

#endif
